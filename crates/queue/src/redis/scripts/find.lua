-- ARGV: state ('' for any), cursor ('0' first), how many are looked at, text that the error
-- holds, then texts that the envelope holds. Answers: the next cursor ('0': that was all), how
-- many were looked at, then eight values for each job that fits so far; see look.lua. The caller
-- reads the envelope and looks again.
local state, error_text = ARGV[1], ARGV[4]
local answer = { '0', 0 }

local function fits(id, envelope)
  if not envelope then return false end
  for at = 5, #ARGV do
    if not string.find(envelope, ARGV[at], 1, true) then return false end
  end
  return error_text == ''
    or string.find(call('HGET', ERRORS, id) or '', error_text, 1, true) ~= nil
end

-- Looks at a job; `envelope` where it is at hand.
local function look_at(id, envelope)
  answer[2] = answer[2] + 1
  envelope = envelope or call('HGET', JOBS, id)
  if not fits(id, envelope) then return end
  local is, ms = state_of(id)
  if state == '' or state == is then add(answer, id, is, ms, envelope) end
end

if state == 'leased' then
  answer[1] = look_at_leases(ARGV[2], tonumber(ARGV[3]), function() return true end, function(_, ids)
    for _, id in ipairs(ids) do look_at(id) end
  end)
  return answer
end
local page
if sets[state] then
  page = call('ZSCAN', sets[state], ARGV[2], 'COUNT', ARGV[3])
elseif state == 'blocked' then
  page = call('HSCAN', key('blocked'), ARGV[2], 'COUNT', ARGV[3])
else
  page = call('HSCAN', JOBS, ARGV[2], 'COUNT', ARGV[3])
end
answer[1] = page[1]
local is_all = not (sets[state] or state == 'blocked')
for at = 1, #page[2], 2 do look_at(page[2][at], is_all and page[2][at + 1] or nil) end
return answer
