-- ARGV: state ('' for any), cursor ('0' first), how many are looked at, text that the error
-- holds, then texts that the envelope holds. Answers: the next cursor ('0': that was all), how
-- many were looked at, then eight values for each job that fits so far; see look.lua. The caller
-- reads the envelope and looks again.
local state, error_text = ARGV[1], ARGV[4]
local page
if sets[state] then
  page = call('ZSCAN', sets[state], ARGV[2], 'COUNT', ARGV[3])
elseif state == 'blocked' then
  page = call('HSCAN', key('blocked'), ARGV[2], 'COUNT', ARGV[3])
else
  page = call('HSCAN', JOBS, ARGV[2], 'COUNT', ARGV[3])
end
local answer = { page[1], #page[2] / 2 }

local function fits(id, envelope)
  if not envelope then return false end
  for at = 5, #ARGV do
    if not string.find(envelope, ARGV[at], 1, true) then return false end
  end
  return error_text == ''
    or string.find(call('HGET', ERRORS, id) or '', error_text, 1, true) ~= nil
end

for at = 1, #page[2], 2 do
  local id, value = page[2][at], page[2][at + 1]
  local envelope = (sets[state] or state == 'blocked') and call('HGET', JOBS, id) or value
  if fits(id, envelope) then
    local is, ms = state_of(id)
    if state == '' or state == is then add(answer, id, is, ms, envelope) end
  end
end
return answer
