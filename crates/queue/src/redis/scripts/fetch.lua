-- ARGV: worker, token, how many (at most 1,000), lease in ms. Answers: ms until it is worth
-- looking again (0: at once), jobs recovered, jobs buried; then four for each job that is now
-- leased under the token: id, envelope, attempt, crashes.
local worker, token = ARGV[1], ARGV[2]
local wanted, lease_ms = tonumber(ARGV[3]), tonumber(ARGV[4])
-- The first write needs memory, so a full Redis refuses the call before anything has moved.
local hold = note_call(lease_ms)

local due = call('ZRANGE', DELAYED, '-inf', now, 'BYSCORE', 'LIMIT', 0, 1000)
if #due > 0 then
  call('RPUSH', READY, unpack(due))
  call('ZREM', DELAYED, unpack(due))
end

-- A lease that ended means that its worker did.
local recovered, buried = 0, 0
if hold <= now then
  for _, id in ipairs(call('ZRANGE', LEASED, '-inf', now, 'BYSCORE', 'LIMIT', 0, 100)) do
    local crashes = call('HINCRBY', CRASHES, id, 1)
    call('HINCRBY', ATTEMPTS, id, 1)
    if crashes < MOST_CRASHES then
      call('LPUSH', READY, id)
      recovered = recovered + 1
    else
      bury(id, 'the process that ran it ended ' .. crashes .. ' times')
      buried = buried + 1
    end
    call('ZREM', LEASED, id)
    call('HDEL', LEASES, id)
  end
  if recovered + buried > 0 then
    call('HINCRBY', STATS, 'crashed', recovered + buried)
    if buried > 0 then call('HINCRBY', STATS, 'dead', buried) end
  end
end

local answer = { 0, recovered, buried }
local ids = call('LPOP', READY, wanted) or {}
local taken = 0
if #ids > 0 then
  local ends = now + lease_ms
  local envelopes = call('HMGET', JOBS, unpack(ids))
  local attempts, crashes = numbers(ATTEMPTS, ids), numbers(CRASHES, ids)
  local leased, leases = {}, {}
  for at, id in ipairs(ids) do
    -- An id without a job was removed by hand.
    if envelopes[at] then
      leased[#leased + 1] = ends
      leased[#leased + 1] = id
      leases[#leases + 1] = id
      leases[#leases + 1] = token
      answer[#answer + 1] = id
      answer[#answer + 1] = envelopes[at]
      -- A counter that is no number was written by hand: the job is not lost for it.
      local spent, crashed = tonumber(attempts[at] or 0), tonumber(crashes[at] or 0)
      if not spent then call('HDEL', ATTEMPTS, id) end
      if not crashed then call('HDEL', CRASHES, id) end
      answer[#answer + 1] = (spent or 0) + 1
      answer[#answer + 1] = crashed or 0
      taken = taken + 1
    end
  end
  if taken > 0 then
    call('ZADD', LEASED, unpack(leased))
    call('HSET', LEASES, unpack(leases))
  end
end

if #ids < wanted then
  -- Worth looking again: when a job is due, when a lease ends that nobody renews, or soon.
  local again = now + LONGEST_WAIT_MS
  local next_due = call('ZRANGE', DELAYED, 0, 0, 'WITHSCORES')
  if next_due[2] then again = math.min(again, next_due[2]) end
  local next_end = call('ZRANGE', LEASED, 0, 0, 'WITHSCORES')
  if next_end[2] then again = math.min(again, math.max(next_end[2], hold)) end
  local wait = math.max(1, again - now)
  answer[1] = wait
  call('ZREMRANGEBYSCORE', IDLE, '-inf', now)
  call('ZADD', IDLE, now + wait + 1000, worker)
else
  call('ZREM', IDLE, worker)
  if #due + recovered > 0 then wake(call('LLEN', READY)) end
end
return answer
