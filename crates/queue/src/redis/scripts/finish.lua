-- ARGV: seven for each job: id, token, what became of it (done, retry, dead, snooze, back),
-- delay in ms, error, how long its record is kept in ms (0: not at all), the record. Answers for
-- each: 1 when it was settled, 0 when the lease is another's.
local answer, ids = {}, {}
for at = 1, #ARGV, 7 do ids[#ids + 1] = ARGV[at] end
local held = call('HMGET', LEASES, unpack(ids))
local has_stops = call('EXISTS', key('stops')) == 1

local done, ready, front, delayed, settled, wakes = {}, {}, {}, {}, {}, 0
local counted, has_kept = {}, false

local function later(id, delay)
  if delay > 0 then
    call('ZADD', DELAYED, now + delay, id)
    delayed[#delayed + 1] = id
    if delay < LONGEST_WAIT_MS then wakes = 1 end
  else
    ready[#ready + 1] = id
  end
end

-- A job that was cancelled while it ran is not run again, whatever its worker says.
local function stopped(id, verb)
  local note = call('HGET', key('stops'), id)
  if not note then return false end
  call('HDEL', key('stops'), id)
  if verb == 'done' then return false end
  cancelled(id, note)
  return true
end

for n, id in ipairs(ids) do
  local at = n * 7 - 6
  local verb, delay, why = ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4]
  if held[n] ~= ARGV[at + 1] or settled[id] then
    answer[n] = 0
  else
    answer[n] = 1
    settled[id] = true
    local keep_ms = tonumber(ARGV[at + 5])
    if keep_ms > 0 then
      keep(id, keep_ms, ARGV[at + 6])
      has_kept = true
    end
    if has_stops and stopped(id, verb) then
      done[#done + 1] = id
      verb = nil
    elseif verb == 'done' then
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
    if verb then counted[verb] = (counted[verb] or 0) + 1 end
  end
end

if has_kept then trim_kept() end

local gone = {}
for n, id in ipairs(ids) do
  if answer[n] == 1 then gone[#gone + 1] = id end
end
if #gone > 0 then
  call('ZREM', LEASED, unpack(gone))
  call('HDEL', LEASES, unpack(gone))
  if call('EXISTS', key('held')) == 1 then wakes = wakes + gates().release(gone) end
end
forget(done)
queue_up(ready, false)
queue_up(front, true)
mark_again(ready, front, delayed)
for verb, n in pairs(counted) do call('HINCRBY', STATS, verb, n) end
wake(#ready + #front + wakes)
return answer
