-- ARGV: `id`, an id; or a state (ready, blocked, delayed, leased, dead), offset, limit. Answers
-- eight values for each job; see look.lua.
local answer = {}

local function show(id, state, ms)
  local envelope = call('HGET', JOBS, id)
  if envelope then add(answer, id, state, tonumber(ms), envelope) end
end

if ARGV[1] == 'id' then
  show(ARGV[2], state_of(ARGV[2]))
  return answer
end
local offset, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
if ARGV[1] == 'ready' then
  local ids
  if call('EXISTS', key('fair')) == 1 then
    ids = { unpack(lanes().first(math.min(offset + limit, 10000)), offset + 1) }
  else
    ids = call('LRANGE', READY, offset, offset + limit - 1)
  end
  for _, id in ipairs(ids) do show(id, 'ready', 0) end
elseif ARGV[1] == 'blocked' then
  -- Gate by gate; the next one of each first.
  for _, gate in ipairs(call('ZRANGE', key('parks'), 0, 999)) do
    if #answer >= 8 * limit then break end
    local size = call('ZCARD', key('park:' .. gate))
    if offset >= size then
      offset = offset - size
    else
      local last = offset + limit - #answer / 8 - 1
      for _, id in ipairs(call('ZRANGE', key('park:' .. gate), offset, last)) do
        show(id, 'blocked', 0)
      end
      offset = 0
    end
  end
elseif ARGV[1] == 'leased' then
  -- Lease by lease; the one that ends first comes first.
  local all = call('ZRANGE', LEASED, 0, -1, 'WITHSCORES')
  for at = 1, #all, 2 do
    if #answer >= 8 * limit then break end
    local size = call('SCARD', under(all[at]))
    if offset >= size then
      offset = offset - size
    else
      local ids = call('SMEMBERS', under(all[at]))
      table.sort(ids)
      local last = math.min(size, offset + limit - #answer / 8)
      for n = offset + 1, last do show(ids[n], 'leased', all[at + 1]) end
      offset = 0
    end
  end
else
  local found = call('ZRANGE', sets[ARGV[1]], offset, offset + limit - 1, 'WITHSCORES')
  for at = 1, #found, 2 do show(found[at], ARGV[1], found[at + 1]) end
end
return answer
