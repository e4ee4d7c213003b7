-- ARGV: worker, what it is (JSON), then the kinds it knows (at most 1,000). Notes that it is
-- alive, and throws away what is too old.
local MINUTE, DAY = 60000, 24 * 3600 * 1000
local worker = ARGV[1]
call('ZADD', key('workers'), now, worker)
call('HSET', key('abouts'), worker, ARGV[2])
local seen = {}
for at = 3, #ARGV do
  seen[#seen + 1] = now
  seen[#seen + 1] = ARGV[at]
end
if #seen > 0 then call('ZADD', key('kinds'), unpack(seen)) end

-- Takes out what is older.
local function past(set, before, most)
  local ids = call('ZRANGE', set, '-inf', before, 'BYSCORE', 'LIMIT', 0, most)
  if #ids > 0 then call('ZREM', set, unpack(ids)) end
  return ids
end

for _, gone in ipairs(past(key('workers'), now - MINUTE, 100)) do
  call('HDEL', key('abouts'), gone)
end
local over_age = past(key('kept'), now, 1000)
if #over_age > 0 then call('HDEL', key('history'), unpack(over_age)) end
past(key('kinds'), now - DAY, 100)
past(key('rates'), now, 1000)
forget(past(DEAD, now - LONGEST_DEATH_MS, 1000))

-- No more of each than this, whoever writes them.
local function oldest(set, most)
  local over = call('ZCARD', set) - most
  local ids = {}
  if over > 0 then
    local popped = call('ZPOPMIN', set, math.min(over, 1000))
    for at = 1, #popped, 2 do ids[#ids + 1] = popped[at] end
  end
  return ids
end
oldest(key('kinds'), 1000)
local over = oldest(key('workers'), 1000)
if #over > 0 then call('HDEL', key('abouts'), unpack(over)) end
return 1
