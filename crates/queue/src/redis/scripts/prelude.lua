-- Goes before every verb of a queue. All keys of a queue carry one hash tag and every verb is
-- given all of them, in this order. A hash or set that no job needs does not exist, and costs
-- one EXISTS at most.
local READY = KEYS[1]     -- list: ids, oldest first
local DELAYED = KEYS[2]   -- sorted set: id by the time it is due
local LEASED = KEYS[3]    -- sorted set: id by the time its lease ends
local LEASES = KEYS[4]    -- hash: id -> token of the lease
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

local LONGEST_DEAD = 10000
local MOST_CRASHES = 3
local LONGEST_WAIT_MS = 5000

local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- Wakes as many waiting workers as `jobs` need, never more than there are. A worker stays
-- registered until it calls again, so a wake-up that is lost costs at most one wait.
local function wake(jobs)
  if jobs < 1 then return end
  local wanted = math.min(jobs, call('ZCOUNT', IDLE, now, '+inf')) - call('LLEN', WAKE)
  for _ = 1, wanted do call('RPUSH', WAKE, '1') end
  if wanted > 0 then call('PEXPIRE', WAKE, 2 * LONGEST_WAIT_MS) end
end

-- Gives up the unique key that the job holds, if it still does.
local function unmark(id)
  local key = call('HGET', MARKS, id)
  if not key then return end
  call('HDEL', MARKS, id)
  local mark = call('HGET', UNIQUE, key)
  if mark and string.match(mark, '^%d+:(.*)$') == id then call('HDEL', UNIQUE, key) end
end

-- Removes every trace of jobs that are in no list any more.
local function forget(ids)
  if #ids == 0 then return end
  if call('EXISTS', MARKS) == 1 then for _, id in ipairs(ids) do unmark(id) end end
  call('HDEL', JOBS, unpack(ids))
  for _, hash in ipairs({ ATTEMPTS, CRASHES, ERRORS }) do
    if call('EXISTS', hash) == 1 then call('HDEL', hash, unpack(ids)) end
  end
end

-- Moves a job to the dead, and the oldest dead out when there are too many.
local function bury(id, why)
  call('ZADD', DEAD, now, id)
  call('HSET', ERRORS, id, why)
  unmark(id)
  local over = call('ZCARD', DEAD) - LONGEST_DEAD
  if over > 0 then
    local oldest = {}
    local popped = call('ZPOPMIN', DEAD, math.min(over, 1000))
    for at = 1, #popped, 2 do oldest[#oldest + 1] = popped[at] end
    forget(oldest)
  end
end

-- Notes that a worker called; returns until when nothing is taken from anyone. When nobody
-- called for half a lease, nobody could renew either (Redis was away, or its clock jumped):
-- then everybody has a third of a lease to do so.
local function note_call(lease_ms)
  local seen = call('HMGET', SEEN, 'at', 'hold')
  call('HSET', SEEN, 'at', now)
  if seen[1] and now - seen[1] > lease_ms / 2 then
    local hold = now + math.floor(lease_ms / 3)
    call('HSET', SEEN, 'hold', hold)
    return hold
  end
  return tonumber(seen[2] or 0)
end

-- Numbers of a hash for some ids, 0 where there is none.
local function numbers(hash, ids)
  if call('EXISTS', hash) == 0 then return {} end
  return call('HMGET', hash, unpack(ids))
end
