-- ARGV: state ('' for any), cursor ('0' first), how many are looked at, text that the error
-- holds, then texts that the envelope holds. Answers: the next cursor ('0': that was all), how
-- many were looked at, then eight values for each job that fits so far; see look.lua. The caller
-- reads the envelope and looks again.
local state, error_text = ARGV[1], ARGV[4]
local page
if sets[state] then
  page = call('ZSCAN', sets[state], ARGV[2], 'COUNT', ARGV[3])
elseif state == 'leased' then
  page = call('ZSCAN', LEASED, ARGV[2], 'COUNT', ARGV[3])
elseif state == 'blocked' then
  page = call('HSCAN', key('blocked'), ARGV[2], 'COUNT', ARGV[3])
else
  page = call('HSCAN', JOBS, ARGV[2], 'COUNT', ARGV[3])
end
local answer, found, envelopes = { page[1], 0 }, {}, {}

local function fits(id, envelope)
  if not envelope then return false end
  for at = 5, #ARGV do
    if not string.find(envelope, ARGV[at], 1, true) then return false end
  end
  return error_text == ''
    or string.find(call('HGET', ERRORS, id) or '', error_text, 1, true) ~= nil
end

-- Looks at a job; `envelope` where it is at hand, `ends` of its lease where that is known.
local function look_at(id, envelope, ends)
  answer[2] = answer[2] + 1
  envelope = envelope or call('HGET', JOBS, id)
  if not fits(id, envelope) then return end
  if ends then
    add(answer, id, 'leased', tonumber(ends), envelope)
  else
    found[#found + 1] = id
    envelopes[id] = envelope
  end
end

for at = 1, #page[2], 2 do
  local name, value = page[2][at], page[2][at + 1]
  if state == 'leased' then
    for _, id in ipairs(call('SMEMBERS', under(name))) do look_at(id, nil, value) end
  else
    look_at(name, not (sets[state] or state == 'blocked') and value or nil)
  end
end
local leases = leases_of(found)
for _, id in ipairs(found) do
  local is, ms = state_of(id, leases)
  if state == '' or state == is then add(answer, id, is, ms, envelopes[id]) end
end
return answer
