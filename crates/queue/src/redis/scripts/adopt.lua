-- ARGV: worker, lease in ms, cursor ('0' first). Looks at some leases and answers: the next
-- cursor ('0': that was all), then five for each lease that carries the worker's name, renewed:
-- id, token, envelope, attempt, crashes.
local worker, lease_ms = ARGV[1] .. '#', tonumber(ARGV[2])
note_call(lease_ms)
local page = call('HSCAN', LEASES, ARGV[3], 'COUNT', 500)
local answer = { page[1] }
for at = 1, #page[2], 2 do
  local id, token = page[2][at], page[2][at + 1]
  if string.sub(token, 1, #worker) == worker then
    local envelope = call('HGET', JOBS, id)
    if envelope then
      call('ZADD', LEASED, 'XX', now + lease_ms, id)
      answer[#answer + 1] = id
      answer[#answer + 1] = token
      answer[#answer + 1] = envelope
      answer[#answer + 1] = (call('HGET', ATTEMPTS, id) or 0) + 1
      answer[#answer + 1] = tonumber(call('HGET', CRASHES, id) or 0)
    end
  end
end
return answer
