-- ARGV: worker, lease in ms, cursor ('0' first). Looks at some leases and answers: the next
-- cursor ('0': that was all), then five for each job under a lease that carries the worker's name,
-- renewed: id, token, envelope, attempt, crashes.
local worker, lease_ms = ARGV[1] .. '#', tonumber(ARGV[2])
note_call(lease_ms)
local page = call('ZSCAN', LEASED, ARGV[3], 'COUNT', 100)
local answer = { page[1] }

local function adopt(token)
  call('ZADD', LEASED, 'XX', now + lease_ms, token)
  local ids = call('SMEMBERS', under(token))
  table.sort(ids)
  for _, id in ipairs(ids) do
    local envelope = call('HGET', JOBS, id)
    if envelope then
      for _, part in ipairs({
        id, token, envelope, (call('HGET', ATTEMPTS, id) or 0) + 1,
        tonumber(call('HGET', CRASHES, id) or 0),
      }) do answer[#answer + 1] = part end
    end
  end
end

for at = 1, #page[2], 2 do
  local token = page[2][at]
  if string.sub(token, 1, #worker) == worker then adopt(token) end
end
return answer
