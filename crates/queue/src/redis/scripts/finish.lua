-- ARGV: five for each job: id, token, what became of it (done, retry, dead, snooze, back),
-- delay in ms, error. Answers for each: 1 when it was settled, 0 when the lease is another's.
local answer, ids = {}, {}
for at = 1, #ARGV, 5 do ids[#ids + 1] = ARGV[at] end
local held = call('HMGET', LEASES, unpack(ids))

local done, ready, front, settled, wakes = {}, {}, {}, {}, 0
local counted = {}

local function later(id, delay)
  if delay > 0 then
    call('ZADD', DELAYED, now + delay, id)
    if delay < LONGEST_WAIT_MS then wakes = 1 end
  else
    ready[#ready + 1] = id
  end
end

for n, id in ipairs(ids) do
  local at = n * 5 - 4
  local verb, delay, why = ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4]
  if held[n] ~= ARGV[at + 1] or settled[id] then
    answer[n] = 0
  else
    answer[n] = 1
    settled[id] = true
    counted[verb] = (counted[verb] or 0) + 1
    if verb == 'done' then
      done[#done + 1] = id
    elseif verb == 'retry' then
      call('HINCRBY', ATTEMPTS, id, 1)
      call('HSET', ERRORS, id, why)
      later(id, delay)
    elseif verb == 'dead' then
      call('HINCRBY', ATTEMPTS, id, 1)
      bury(id, why)
    elseif verb == 'snooze' then
      if why ~= '' then call('HSET', ERRORS, id, why) end
      later(id, delay)
    else
      front[#front + 1] = id
    end
  end
end

local gone = {}
for id in pairs(settled) do gone[#gone + 1] = id end
if #gone > 0 then
  call('ZREM', LEASED, unpack(gone))
  call('HDEL', LEASES, unpack(gone))
end
forget(done)
if #ready > 0 then call('RPUSH', READY, unpack(ready)) end
-- Pushed one by one, the last first: the front keeps their order.
for at = #front, 1, -1 do call('LPUSH', READY, front[at]) end
for verb, n in pairs(counted) do call('HINCRBY', STATS, verb, n) end
wake(#ready + #front + wakes)
return answer
