-- ARGV: how many at most (up to 1,000). Removes jobs that wait, neither those that run nor the
-- dead. Answers how many; fewer than asked for: none is left.
local most = tonumber(ARGV[1])
local ids = call('LPOP', READY, most) or {}

local function pop_from(set)
  if #ids >= most then return end
  local popped = call('ZPOPMIN', set, most - #ids)
  for at = 1, #popped, 2 do ids[#ids + 1] = popped[at] end
end

pop_from(key('fair'))
if call('EXISTS', key('fair')) == 0 then call('DEL', key('fair:rounds')) end
pop_from(DELAYED)
while #ids < most do
  local gate = call('ZRANGE', key('parks'), 0, 0)[1]
  if not gate then break end
  pop_from(key('park:' .. gate))
  gates().close_park(gate)
end
if #ids > 0 then call('HDEL', key('blocked'), unpack(ids)) end
forget(ids)
return #ids
