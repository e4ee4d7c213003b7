-- ARGV: how many groups of jobs follow that are done and keep no record; for each: the token of
-- their leases, how many, their ids. Then seven for each other job: id, token, what became of it
-- (done, retry, dead, snooze, back), delay in ms, error, how long its record is kept in ms (0: not
-- at all), the record. Answers which of them, counted from 1, were not settled: their leases are
-- another's.
local ids, tokens, plain = {}, {}, 0
local first = 2
for _ = 1, tonumber(ARGV[1]) do
  local token, last = ARGV[first], first + 1 + tonumber(ARGV[first + 1])
  for at = first + 2, last do
    plain = plain + 1
    ids[plain], tokens[plain] = ARGV[at], token
  end
  first = last + 1
end
local jobs = plain
for at = first, #ARGV, 7 do
  jobs = jobs + 1
  ids[jobs], tokens[jobs] = ARGV[at], ARGV[at + 1]
end
if jobs == 0 then return {} end

local held = call('HMGET', LEASES, unpack(ids))
local has_stops = call('EXISTS', key('stops')) == 1
local refused, settled = {}, {}
-- Thousands a second: lists that say how long they are, as Lua counts its way through others.
local gone, many_gone, done, many_done = {}, 0, {}, 0
local ready, front, delayed, wakes = {}, {}, {}, 0
local counted, has_kept = {}, false

local function end_job(id)
  many_done = many_done + 1
  done[many_done] = id
end

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

-- Does what is due to the job whose seven arguments begin there; returns what is to be counted.
local function settle(at)
  local id, verb, delay, why = ARGV[at], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4]
  local keep_ms = tonumber(ARGV[at + 5])
  if keep_ms > 0 then
    keep(id, keep_ms, ARGV[at + 6])
    has_kept = true
  end
  if has_stops and stopped(id, verb) then
    end_job(id)
    return nil
  elseif verb == 'done' then
    end_job(id)
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
  return verb
end

for n = 1, jobs do
  local id = ids[n]
  if held[n] ~= tokens[n] or settled[id] then
    refused[#refused + 1] = n
  else
    settled[id] = true
    many_gone = many_gone + 1
    gone[many_gone] = id
    local verb = 'done'
    if n > plain then
      verb = settle(first + 7 * (n - plain - 1))
    else
      if has_stops then stopped(id, verb) end
      end_job(id)
    end
    if verb then counted[verb] = (counted[verb] or 0) + 1 end
  end
end

if has_kept then trim_kept() end
if many_gone > 0 then
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
return refused
