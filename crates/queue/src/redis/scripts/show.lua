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

-- Shows the page of jobs that are kept group by group: how many a group has, which are there from one
-- place to another (from 0), and the time that goes with them.
local function show_groups(groups, size_of, ids_of, ms_of)
  for _, group in ipairs(groups) do
    if #answer >= 8 * limit then return end
    local size = size_of(group)
    if offset >= size then
      offset = offset - size
    else
      local last = math.min(size, offset + limit - #answer / 8) - 1
      local ms = ms_of(group)
      for _, id in ipairs(ids_of(group, offset, last)) do show(id, ARGV[1], ms) end
      offset = 0
    end
  end
end

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
  local function park(gate) return key('park:' .. gate) end
  show_groups(call('ZRANGE', key('parks'), 0, 999),
    function(gate) return call('ZCARD', park(gate)) end,
    function(gate, first, last) return call('ZRANGE', park(gate), first, last) end,
    function() return 0 end)
elseif ARGV[1] == 'leased' then
  -- Lease by lease; the one that ends first comes first.
  show_groups(call('ZRANGE', LEASED, 0, -1),
    function(token) return call('SCARD', under(token)) end,
    function(token, first, last) return { unpack(ids_under(token), first + 1, last + 1) } end,
    function(token) return call('ZSCORE', LEASED, token) end)
else
  local found = call('ZRANGE', sets[ARGV[1]], offset, offset + limit - 1, 'WITHSCORES')
  for at = 1, #found, 2 do show(found[at], ARGV[1], found[at + 1]) end
end
return answer
