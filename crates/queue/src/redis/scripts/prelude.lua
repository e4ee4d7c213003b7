-- Goes before every verb of a queue. All keys of a queue carry one hash tag and every verb is
-- given those that every queue needs, in this order. A hash or set that no job needs does not
-- exist, and costs one EXISTS at most.
local READY = KEYS[1]     -- list: ids, oldest first
local DELAYED = KEYS[2]   -- sorted set: id by the time it is due
local LEASED = KEYS[3]    -- sorted set: token by the time its lease ends
local LEASES = KEYS[4]    -- with `:<token>`, set: ids of the jobs that are leased under it
local JOBS = KEYS[5]      -- hash: id -> envelope
local ATTEMPTS = KEYS[6]  -- hash: id -> attempts spent, without the one that runs
local CRASHES = KEYS[7]   -- hash: id -> attempts that ended with their process
local DEAD = KEYS[8]      -- sorted set: id by the time it died
local ERRORS = KEYS[9]    -- hash: id -> last error
local UNIQUE = KEYS[10]   -- hash: unique key -> `end of the mark in ms`:`id that holds it`
local MARKS = KEYS[11]    -- hash: id -> the unique key it took
local IDLE = KEYS[12]     -- sorted set: waiting worker by the time its wait ends
local WAKE = KEYS[13]     -- list: one element for each wake-up that nobody took yet
local STATS = KEYS[14]    -- hash: counters that only grow
local SEEN = KEYS[15]     -- hash: `at` a worker last called, `hold` recovery until

-- What only some queues need is named when it is used: `fair`, `lanes`, `qmarks`, `cancels`, ..
local BASE = string.sub(READY, 1, -6)
local function key(name) return BASE .. name end

local LONGEST_DEAD = 10000
local LONGEST_DEATH_MS = 30 * 24 * 3600 * 1000
local LONGEST_HISTORY = 10
local LONGEST_KEPT = 1000
local MOST_CRASHES = 3
local SUSPECT_PAUSE_MS = 1000
local LONGEST_WAIT_MS = 5000
local LARGEST_ENVELOPE = 300000 -- in bytes

local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- The set of the jobs that one fetch leased and nobody settled yet.
local function under(token) return LEASES .. ':' .. token end

-- Its jobs, in the order of their ids.
local function ids_under(token)
  local ids = call('SMEMBERS', under(token))
  table.sort(ids)
  return ids
end

-- Takes jobs from under their token; the lease goes with the last one.
local function unlease(token, ids)
  local many = call('SREM', under(token), unpack(ids))
  if call('EXISTS', under(token)) == 0 then call('ZREM', LEASED, token) end
  return many
end

-- Ids by token, and which argument each is: of jobs with so many arguments each, from the first, that
-- begin with id and token.
local function by_token(first, width)
  local groups = {}
  for at = first, #ARGV, width do
    local group = groups[ARGV[at + 1]] or { ids = {}, places = {} }
    groups[ARGV[at + 1]] = group
    group.ids[#group.ids + 1] = ARGV[at]
    group.places[#group.places + 1] = at
  end
  return groups
end

-- Every job that is leased: token and end of the lease, by id. Looks once a call at every job that
-- runs: for those who ask seldom.
local all_leases
local function leases()
  if all_leases then return all_leases end
  all_leases = {}
  local all = call('ZRANGE', LEASED, 0, -1, 'WITHSCORES')
  for at = 1, #all, 2 do
    local lease = { token = all[at], ends = tonumber(all[at + 1]) }
    for _, id in ipairs(call('SMEMBERS', under(lease.token))) do all_leases[id] = lease end
  end
  return all_leases
end

-- Wakes as many waiting workers as `jobs` need, never more than there are. A worker stays
-- registered until it calls again, so a wake-up that is lost costs at most one wait.
local function wake(jobs)
  if jobs < 1 then return end
  local wanted = math.min(jobs, call('ZCOUNT', IDLE, now, '+inf')) - call('LLEN', WAKE)
  for _ = 1, wanted do call('RPUSH', WAKE, '1') end
  if wanted > 0 then call('PEXPIRE', WAKE, 2 * LONGEST_WAIT_MS) end
end

-- Gives the unique key up, if it is the job's.
local function unmark_key(unique, id)
  local mark = call('HGET', UNIQUE, unique)
  if mark and string.match(mark, '^%d+:(.*)$') == id then call('HDEL', UNIQUE, unique) end
end

-- Adds one to a counter of a hash. What is there and no number was written by hand.
local function count_up(hash, id)
  local n = redis.pcall('HINCRBY', hash, id, 1)
  if type(n) == 'number' then return n end
  call('HSET', hash, id, 1)
  return 1
end

-- Gives up the unique keys that jobs hold, those that they still do.
local function unmark(ids)
  for _, marks in ipairs({ MARKS, key('qmarks') }) do
    local by, held, free = {}, {}, {}
    local found = call('EXISTS', marks) == 1 and call('HMGET', marks, unpack(ids)) or {}
    for n, mark in ipairs(found) do
      if mark then
        by[#by + 1] = ids[n]
        held[#held + 1] = marks == MARKS and mark or string.match(mark, '^%d+:(.*)$')
      end
    end
    if #by > 0 then
      call('HDEL', marks, unpack(by))
      for n, mark in ipairs(call('HMGET', UNIQUE, unpack(held))) do
        if mark and string.match(mark, '^%d+:(.*)$') == by[n] then free[#free + 1] = held[n] end
      end
      if #free > 0 then call('HDEL', UNIQUE, unpack(free)) end
    end
  end
end

-- Removes every trace of jobs that are in no list any more.
local function forget(ids)
  if #ids == 0 then return end
  if call('EXISTS', MARKS, key('qmarks')) > 0 then unmark(ids) end
  call('HDEL', JOBS, unpack(ids))
  local notes = {
    ATTEMPTS, CRASHES, ERRORS, key('lanes'), key('progress'), key('cancels'), key('dmarks'),
  }
  if call('EXISTS', unpack(notes)) == 0 then return end
  for _, hash in ipairs(notes) do
    if call('EXISTS', hash) == 1 then call('HDEL', hash, unpack(ids)) end
  end
end

-- Adds a record to those of a job: lines of JSON, the last ten.
local function with_record(lines, line)
  if not lines then return line end
  local _, breaks = string.gsub(lines, '\n', '\n')
  for _ = LONGEST_HISTORY, breaks + 1 do lines = string.match(lines, '\n(.*)$') end
  return lines .. '\n' .. line
end

-- Keeps what became of one attempt of each job for a while; of a thousand jobs, the longest-lived.
local function keep(ids, records, keep_ms)
  local before = {}
  if call('EXISTS', key('history')) == 1 then before = call('HMGET', key('history'), unpack(ids)) end
  local lines, ends, head = {}, {}, '{"at_ms":' .. now .. ','
  local until_ms = string.format('%.0f', now + keep_ms)
  for n, id in ipairs(ids) do
    lines[2 * n - 1], lines[2 * n] = id, with_record(before[n], head .. string.sub(records[n], 2))
    ends[2 * n - 1], ends[2 * n] = until_ms, id
  end
  call('HSET', key('history'), unpack(lines))
  call('ZADD', key('kept'), unpack(ends))
  local over = call('ZCARD', key('kept')) - LONGEST_KEPT
  if over < 1 then return end
  local popped, gone = call('ZPOPMIN', key('kept'), math.min(over, 1000)), {}
  for at = 1, #popped, 2 do gone[#gone + 1] = popped[at] end
  call('HDEL', key('history'), unpack(gone))
end

-- Ends a job that somebody cancelled; `text` is the note of who, when and why.
local function cancelled(id, text)
  local ok, note = pcall(cjson.decode, text)
  if not ok or type(note) ~= 'table' then note = {} end
  local by, why = tostring(note.by or ''), tostring(note.why or '')
  local record = cjson.encode({
    outcome = 'cancelled', text = why == '' and by or by .. ': ' .. why,
  })
  keep({ id }, { record }, 24 * 3600 * 1000)
  call('HINCRBY', STATS, 'cancelled', 1)
end

local function put(hash, id, value) call('HSET', hash, id, value) end

-- Marks the key as the job's, for as long as it waits, or runs as well; `note` writes it.
local function mark(unique, id, longest_ms, mode, note)
  -- Times are written whole: at most 2^53.
  local ends = string.format('%.0f', now + longest_ms)
  note(UNIQUE, unique, ends .. ':' .. id)
  if mode == 'running' then
    note(MARKS, id, unique)
  else
    note(key('qmarks'), id, ends .. ':' .. unique)
  end
end

-- Notes which unique key a job that dies would take again, and for how long: `ms`:`mode`:`key`.
local function note_mark(id)
  local unique, ends, mode = call('HGET', MARKS, id), nil, 'running'
  if unique then
    local by
    ends, by = string.match(call('HGET', UNIQUE, unique) or '', '^(%d+):(.*)$')
    if by ~= id then ends = nil end
  else
    ends, unique = string.match(call('HGET', key('qmarks'), id) or '', '^(%d+):(.*)$')
    mode = 'queued'
  end
  local left = ends and tonumber(ends) - now or 0
  if left > 0 then
    call('HSET', key('dmarks'), id, string.format('%.0f', left) .. ':' .. mode .. ':' .. unique)
  end
end

-- Moves a job to the dead, and the oldest dead out when there are too many.
local function bury(id, why)
  call('ZADD', DEAD, now, id)
  call('HSET', ERRORS, id, why)
  if call('EXISTS', MARKS, key('qmarks')) > 0 then
    note_mark(id)
    unmark({ id })
  end
  local over = call('ZCARD', DEAD) - LONGEST_DEAD
  if over > 0 then
    local oldest = {}
    local popped = call('ZPOPMIN', DEAD, math.min(over, 1000))
    for at = 1, #popped, 2 do oldest[#oldest + 1] = popped[at] end
    forget(oldest)
  end
end

-- A job whose id nobody could say again is dead under another one.
local function bury_unsayable(id, envelope)
  local name = 'unsayable:' .. redis.sha1hex(id)
  forget({ id })
  call('HSET', JOBS, name, envelope)
  bury(name, 'its id is no text of 1 to 512 bytes')
  call('HINCRBY', STATS, 'dead', 1)
end

-- Notes that a worker called; returns until when nothing is taken from anyone. When nobody
-- called for half a lease, nobody could renew either (Redis was away, or its clock jumped):
-- then everybody has a third of a lease to do so, and no more when the clock was set back.
local function note_call(lease_ms)
  local seen = call('HMGET', SEEN, 'at', 'hold')
  call('HSET', SEEN, 'at', now)
  local longest = now + math.floor(lease_ms / 3)
  if seen[1] and now - seen[1] > lease_ms / 2 then
    call('HSET', SEEN, 'hold', longest)
    return longest
  end
  return math.min(tonumber(seen[2] or 0), longest)
end

-- Says whether an id can be told to those who speak of it: text of 1 to 512 bytes; `is_plain`
-- where `are_plain` said so.
local LONGEST_ID = 512
local function is_sayable(id, is_plain)
  if #id < 1 or #id > LONGEST_ID then return false end
  if is_plain then return true end
  -- Half the time of a pattern.
  if math.max(string.byte(id, 1, -1)) < 128 then return true end
  -- What UTF-8 is, without what is longer than it need be, halves of pairs, and what is beyond its end.
  for _, wide in ipairs({
    '[\194-\223][\128-\191]',
    '\224[\160-\191][\128-\191]', '[\225-\236\238\239][\128-\191][\128-\191]',
    '\237[\128-\159][\128-\191]',
    '\240[\144-\191][\128-\191][\128-\191]', '[\241-\243][\128-\191][\128-\191][\128-\191]',
    '\244[\128-\143][\128-\191][\128-\191]',
  }) do id = string.gsub(id, wide, '.') end
  return not string.find(id, '[\128-\255]')
end

-- Says whether all ids are letters and digits, as most are, the first after a sign at most: a tenth of
-- the time that a look at each takes, for every job of every call. A number of base 36 ends where a zero
-- byte is, and may have blanks around it.
local function are_plain(ids)
  local all = table.concat(ids)
  if tonumber(all, 36) == nil or string.find(all, '\0', 1, true) then return false end
  return string.byte(all, 1) > 32 and string.byte(all, -1) > 32
end

-- Reads a counter of attempts or crashes, 0 where there is none; nil: it was written by hand, and is
-- none.
local function counted(text)
  local n = tonumber(text or 0)
  return n and n >= 0 and n < 2147483648 and n or nil
end

-- Numbers of a hash for some ids, 0 where there is none.
local function numbers(hash, ids)
  if call('EXISTS', hash) == 0 then return {} end
  return call('HMGET', hash, unpack(ids))
end
