-- How a job is shown: eight values.
local sets = { delayed = DELAYED, dead = DEAD }

-- In which state a job is, and the time that goes with it: due, end of lease, death; else 0.
local function state_of(id)
  local lease = leases()[id]
  if lease then return 'leased', lease.ends end
  for state, set in pairs(sets) do
    local ms = call('ZSCORE', set, id)
    if ms then return state, tonumber(ms) end
  end
  if call('HEXISTS', key('blocked'), id) == 1 then return 'blocked', 0 end
  return 'ready', 0
end

-- Adds to an answer: id, state, envelope, ms, attempts spent, crashes, last error, progress.
local function add(answer, id, state, ms, envelope)
  for _, part in ipairs({
    id, state, envelope, ms, tonumber(call('HGET', ATTEMPTS, id) or 0) or 0,
    tonumber(call('HGET', CRASHES, id) or 0) or 0, call('HGET', ERRORS, id) or '',
    call('HGET', key('progress'), id) or '',
  }) do answer[#answer + 1] = part end
end
