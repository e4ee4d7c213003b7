-- ARGV: lease in ms, then id and token for each. Answers for each: 1 when the lease that holds it
-- now ends a whole lease from now (also when it had run out and nobody took the job yet), 2 when
-- somebody wants it stopped as well, 0 when lost. A lease is renewed for all that it holds.
local lease_ms = tonumber(ARGV[1])
note_call(lease_ms)
local answer, has_stops = {}, call('EXISTS', key('stops')) == 1
for token, group in pairs(by_token(2, 2)) do
  local stops = has_stops and call('HMGET', key('stops'), unpack(group.ids)) or {}
  local is_held = false
  for n, is_there in ipairs(call('SMISMEMBER', under(token), unpack(group.ids))) do
    answer[group.places[n] / 2] = is_there == 0 and 0 or stops[n] and 2 or 1
    is_held = is_held or is_there == 1
  end
  if is_held then call('ZADD', LEASED, 'XX', now + lease_ms, token) end
end
return answer
