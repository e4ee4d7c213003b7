-- ARGV: worker, lease in ms, cursor ('0' first), token ('': any). Looks at some leases and answers: the
-- next cursor ('0': that was all), then five for each job under a lease that carries the worker's name
-- and is that token's, renewed: id, token, envelope, attempt, crashes. Those whose ids nobody can say
-- are dead.
local worker, lease_ms = ARGV[1] .. '#', tonumber(ARGV[2])
note_call(lease_ms)
local answer = { '0' }

local function is_own(token)
  return string.sub(token, 1, #worker) == worker and (ARGV[4] == '' or token == ARGV[4])
end

local function adopt(token, ids)
  call('ZADD', LEASED, 'XX', now + lease_ms, token)
  for _, id in ipairs(ids) do
    local envelope = call('HGET', JOBS, id)
    if envelope and not is_sayable(id) then
      unlease(token, { id })
      bury_unsayable(id, envelope)
    elseif envelope then
      for _, part in ipairs({
        id, token, envelope, (counted(call('HGET', ATTEMPTS, id)) or 0) + 1,
        counted(call('HGET', CRASHES, id)) or 0,
      }) do answer[#answer + 1] = part end
    end
  end
end

answer[1] = look_at_leases(ARGV[3], 500, is_own, adopt)
return answer
