-- ARGV: five for each job: id, delay in ms, unique key ('' for none), its longest time in ms,
-- envelope. Or, after a first argument that is empty, eight: id, delay, unique key, its longest
-- time, its mode (`running`, `queued`, `replace`, `debounce`), priority, tenant, envelope. Or, after
-- two that are empty, two: id, envelope.
-- Answers for each: '' when it is enqueued, else the id of the job that is there.
-- Nothing is written before everything was looked at: a job is enqueued whole or not at all, and an
-- error names the first that cannot be.
local answer, ready, wakes = {}, {}, 0
-- Field and value, of what is written at the end, by hash.
local notes = { [UNIQUE] = {}, [MARKS] = {}, [key('qmarks')] = {}, [key('lanes')] = {} }
-- What is written of the jobs' unique keys: end of the mark and who holds it.
local held = {}
local function note(hash, field, value)
  local list = notes[hash]
  list[#list + 1] = field
  list[#list + 1] = value
  if hash == UNIQUE then held[field] = value end
end
local first, width = 1, 5
if ARGV[1] == '' then first, width = 2, 8 end
if ARGV[1] == '' and ARGV[2] == '' then first, width = 3, 2 end

local MOST_JOBS = 1000
local LONGEST_TIME_MS = 9e15
local MODES = { running = true, queued = true, replace = true, debounce = true }

local function is_between(text, least, most)
  local number = tonumber(text)
  return number ~= nil and number >= least and number <= most
end

if #ARGV - first >= MOST_JOBS * width then
  return redis.error_reply('ERR more than ' .. MOST_JOBS .. ' jobs in a call')
end
local ids = {}
for at = first, #ARGV, width do ids[(at - first) / width + 1] = ARGV[at] end
local are_all_plain = are_plain(ids)

-- Says what is wrong with the job that begins at an argument; nil: nothing.
local function problem(at)
  local id, envelope = ARGV[at], ARGV[at + width - 1]
  if not envelope then return 'some of its ' .. width .. ' arguments are missing' end
  if not is_sayable(id, are_all_plain) then return 'its id is no text of 1 to 512 bytes' end
  if string.byte(envelope) ~= 123 then return 'its envelope does not begin with {' end
  if #envelope > LARGEST_ENVELOPE then return 'its envelope is too large' end
  if width == 2 then return nil end
  if not is_between(ARGV[at + 1], 0, LONGEST_TIME_MS) then return 'its delay is no number of ms' end
  if ARGV[at + 2] ~= '' and not is_between(ARGV[at + 3], 0, LONGEST_TIME_MS) then
    return 'the life of its unique key is no number of ms'
  end
  if width == 5 then return nil end
  if not MODES[ARGV[at + 4]] then return 'its mode is none of running, queued, replace, debounce' end
  if not is_between(ARGV[at + 5], -128, 127) then return 'its priority is not -128 to 127' end
  if #ARGV[at + 6] > LONGEST_ID then return 'its tenant has more than 512 bytes' end
end

for at = first, #ARGV, width do
  local wrong = problem(at)
  if wrong then return redis.error_reply('ERR job ' .. (at - first) / width + 1 .. ': ' .. wrong) end
end

if width > 2 then
  local keys = {}
  for at = first + 2, #ARGV, width do
    if ARGV[at] ~= '' then keys[#keys + 1] = ARGV[at] end
  end
  local found = #keys > 0 and call('HMGET', UNIQUE, unpack(keys)) or {}
  for n, mark in ipairs(found) do held[keys[n]] = mark end
end

-- The job that holds the key, and until when.
local function holder(unique, id)
  local mark = held[unique]
  if not mark then return '' end
  local ends, by = string.match(mark, '^(%d+):(.*)$')
  if by ~= id and tonumber(ends) > now then return by, tonumber(ends) end
  return ''
end

-- Ids and envelopes of new jobs, written at the end, and where in the list an envelope is, by id.
local fresh, place, many_fresh = {}, {}, 0

-- Says whether the holder of a unique key waits. One that holds it only while it waits does.
local function waits(by)
  return call('HEXISTS', key('qmarks'), by) == 1 or not leases()[by]
end

-- What a job that is left out changes of the one that waits.
local function change(by, ends, mode, delay, envelope)
  if mode == 'replace' and place[by] then
    fresh[place[by]] = envelope
  elseif mode == 'replace' and waits(by) then
    call('HSET', JOBS, by, envelope)
  elseif mode == 'debounce' and delay > 0 and call('ZSCORE', DELAYED, by) then
    -- One that waits out its back-off must not be hurried.
    local only = (tonumber(call('HGET', ATTEMPTS, by) or 0) or 1) > 0 and 'GT' or 'CH'
    call('ZADD', DELAYED, 'XX', only, math.min(now + delay, ends), by)
  end
end

-- Jobs that wait in lanes, and the lane of each.
local fair, lane_of = {}, {}

-- Puts a new job where it waits.
local function place_job(id, delay, lane)
  if delay > 0 then
    call('ZADD', DELAYED, now + delay, id)
    -- Somebody must look again to learn when it is due.
    if delay < LONGEST_WAIT_MS then wakes = 1 end
  elseif lane ~= PLAIN then
    fair[#fair + 1], lane_of[#lane_of + 1] = id, lane
  else
    ready[#ready + 1] = id
  end
end

-- What follows the id of a job that begins at an argument: delay, unique key, mode, lane.
local function asked(at)
  local delay, unique = tonumber(ARGV[at + 1]), ARGV[at + 2]
  if width == 5 then return delay, unique, 'running', PLAIN end
  local lane = string.format('%d:', tonumber(ARGV[at + 5])) .. ARGV[at + 6]
  return delay, unique, ARGV[at + 4], lane
end

local there = #ids > 0 and call('HMGET', JOBS, unpack(ids)) or {}
local stamp = '{"enqueued_at_ms":' .. now .. ','

local function add(id, envelope)
  fresh[many_fresh + 1], fresh[many_fresh + 2] = id, envelope
  many_fresh = many_fresh + 2
  place[id] = many_fresh
end

-- Enqueues a job that asks for something; returns the id of the job that is there instead, or ''.
local function enqueue(n, id, stamped)
  local at = first + (n - 1) * width
  local delay, unique, mode, lane = asked(at)
  local known, ends = '', 0
  if unique ~= '' then known, ends = holder(unique, id) end
  if known ~= '' then
    change(known, ends, mode, delay, stamped)
    return known
  end
  if there[n] or place[id] then return id end
  add(id, stamped)
  if unique ~= '' then mark(unique, id, ARGV[at + 3], mode, note) end
  if lane ~= PLAIN then note(key('lanes'), id, lane) end
  place_job(id, delay, lane)
  return ''
end

for n, id in ipairs(ids) do
  local stamped = stamp .. string.sub(ARGV[first + n * width - 1], 2)
  if width > 2 then
    answer[n] = enqueue(n, id, stamped)
  elseif there[n] or place[id] then
    answer[n] = id
  else
    answer[n] = ''
    add(id, stamped)
    ready[many_fresh / 2] = id
  end
end
if many_fresh > 0 then call('HSET', JOBS, unpack(fresh)) end
for hash, list in pairs(notes) do
  if #list > 0 then call('HSET', hash, unpack(list)) end
end
if #ready > 0 then call('RPUSH', READY, unpack(ready)) end
if #fair > 0 then lanes().line_up(key('fair'), fair, lane_of, false) end
wake(#ready + #fair + wakes)
return answer
