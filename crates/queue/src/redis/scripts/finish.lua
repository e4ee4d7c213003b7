-- ARGV: how many groups of jobs follow that are done; for each: the token of their lease, for how
-- long their records are kept in ms (0: they have none), how many, their ids, each before its record
-- where there are any. Then seven for each other job: id, token, what became of it
-- (done, retry, dead, snooze, back), delay in ms, error, how long its record is kept in ms (0: not
-- at all), the record. Answers which of them, counted from 1, were not settled: their leases are
-- another's.
local has_stops = call('EXISTS', key('stops')) == 1
local has_held = call('EXISTS', key('held')) == 1
local refused, counted, wakes = {}, {}, 0

local function count(verb, jobs) counted[verb] = (counted[verb] or 0) + jobs end

-- Takes jobs from under their token. Returns which of them were not there, or are named twice.
local function take_from(token, ids)
  local lost, seen = {}, {}
  local is_there = call('SMISMEMBER', under(token), unpack(ids))
  if unlease(token, ids) == #ids then return lost end
  for n, id in ipairs(ids) do
    lost[n] = is_there[n] == 0 or seen[id]
    seen[id] = true
  end
  return lost
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

local function release(ids)
  if has_held then wakes = wakes + gates().release(ids) end
end

-- Ids and records that alternate from one argument to another.
local function pairs_of(from, to)
  local ids, records = {}, {}
  for at = from, to, 2 do
    local n = (at - from) / 2 + 1
    ids[n], records[n] = ARGV[at], ARGV[at + 1]
  end
  return ids, records
end

-- Settles a group; `before` are named before it. Thousands of jobs a second come this way.
local function end_group(token, keep_ms, ids, records, before)
  local lost, done = take_from(token, ids), ids
  if next(lost) then
    local of_done = {}
    done = {}
    for n, id in ipairs(ids) do
      if lost[n] then
        refused[#refused + 1] = before + n
      else
        done[#done + 1], of_done[#done + 1] = id, records[n]
      end
    end
    records = of_done
  end
  if #done == 0 then return end
  if keep_ms > 0 then keep(done, records, keep_ms) end
  if has_stops then
    for _, id in ipairs(done) do stopped(id, 'done') end
  end
  release(done)
  forget(done)
  count('done', #done)
end

local first, plain = 2, 0
for _ = 1, tonumber(ARGV[1]) do
  local token, keep_ms, many = ARGV[first], tonumber(ARGV[first + 1]), tonumber(ARGV[first + 2])
  local last = first + 2 + (keep_ms > 0 and 2 * many or many)
  local ids, records = {}, {}
  if keep_ms > 0 then
    ids, records = pairs_of(first + 3, last)
  elseif many > 0 then
    ids = { unpack(ARGV, first + 3, last) }
  end
  if many > 0 then end_group(token, keep_ms, ids, records, plain) end
  plain = plain + many
  first = last + 1
end

local gone, done, ready, front, delayed = {}, {}, {}, {}, {}
local soon = 0

local function later(id, delay)
  if delay > 0 then
    call('ZADD', DELAYED, now + delay, id)
    delayed[#delayed + 1] = id
    if delay < LONGEST_WAIT_MS then soon = 1 end
  else
    ready[#ready + 1] = id
  end
end

-- Does what is due to the job whose seven arguments begin there; returns what is to be counted.
local function settle(at)
  local id, verb, delay, why = ARGV[at], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4]
  local keep_ms = tonumber(ARGV[at + 5])
  if keep_ms > 0 then keep({ id }, { ARGV[at + 6] }, keep_ms) end
  if has_stops and stopped(id, verb) then
    done[#done + 1] = id
    return nil
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
  return verb
end

local lost = {}
for token, group in pairs(by_token(first, 7)) do
  for n, is_lost in pairs(take_from(token, group.ids)) do lost[group.places[n]] = is_lost end
end
-- A job that is in line twice, by hand, was ended by the other: nothing is left to try again.
local function is_gone(at)
  return ARGV[at + 2] ~= 'done' and call('HEXISTS', JOBS, ARGV[at]) == 0
end

for at = first, #ARGV, 7 do
  if lost[at] or is_gone(at) then
    refused[#refused + 1] = plain + (at - first) / 7 + 1
  else
    gone[#gone + 1] = ARGV[at]
    local verb = settle(at)
    if verb then count(verb, 1) end
  end
end

if #gone > 0 then release(gone) end
forget(done)
queue_up(ready, false)
queue_up(front, true)
mark_again(ready, front, delayed)
for verb, n in pairs(counted) do call('HINCRBY', STATS, verb, n) end
wake(#ready + #front + wakes + soon)
return refused
