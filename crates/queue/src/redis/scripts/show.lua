-- ARGV: `id`, an id; or a state (ready, delayed, leased, dead), offset, limit. Answers seven for
-- each job: id, state, envelope, ms (due, end of lease, death; 0 when ready), attempts spent,
-- crashes, last error.
local answer = {}

local function add(id, state, ms)
  local envelope = call('HGET', JOBS, id)
  if not envelope then return end
  for _, part in ipairs({
    id, state, envelope, tonumber(ms), tonumber(call('HGET', ATTEMPTS, id) or 0),
    tonumber(call('HGET', CRASHES, id) or 0), call('HGET', ERRORS, id) or '',
  }) do answer[#answer + 1] = part end
end

local sets = { delayed = DELAYED, leased = LEASED, dead = DEAD }
if ARGV[1] == 'id' then
  for state, set in pairs(sets) do
    local ms = call('ZSCORE', set, ARGV[2])
    if ms then
      add(ARGV[2], state, ms)
      return answer
    end
  end
  add(ARGV[2], 'ready', 0)
  return answer
end
local last = ARGV[2] + ARGV[3] - 1
if ARGV[1] == 'ready' then
  for _, id in ipairs(call('LRANGE', READY, ARGV[2], last)) do add(id, 'ready', 0) end
else
  local found = call('ZRANGE', sets[ARGV[1]], ARGV[2], last, 'WITHSCORES')
  for at = 1, #found, 2 do add(found[at], ARGV[1], found[at + 1]) end
end
return answer
