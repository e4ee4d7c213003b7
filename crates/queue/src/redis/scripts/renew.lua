-- ARGV: lease in ms, then id and token for each. Answers for each: 1 when its lease now ends a
-- whole lease from now (also when it had run out and nobody took the job yet), 2 when somebody
-- wants it stopped as well, 0 when lost.
local lease_ms = tonumber(ARGV[1])
note_call(lease_ms)
local answer, ids, leased = {}, {}, {}
for at = 2, #ARGV, 2 do ids[#ids + 1] = ARGV[at] end
local held = call('HMGET', LEASES, unpack(ids))
local stops = call('EXISTS', key('stops')) == 1 and call('HMGET', key('stops'), unpack(ids)) or {}
for n, id in ipairs(ids) do
  if held[n] == ARGV[n * 2 + 1] then
    answer[n] = stops[n] and 2 or 1
    leased[#leased + 1] = now + lease_ms
    leased[#leased + 1] = id
  else
    answer[n] = 0
  end
end
if #leased > 0 then call('ZADD', LEASED, 'XX', unpack(leased)) end
return answer
