-- Answers two for each worker that called within a minute: when, and what it is (JSON).
local answer = {}
local found = call('ZRANGE', key('workers'), now - 60000, '+inf', 'BYSCORE', 'LIMIT', 0, 1000,
  'WITHSCORES')
for at = 1, #found, 2 do
  local about = call('HGET', key('abouts'), found[at])
  if about then
    answer[#answer + 1] = tonumber(found[at + 1])
    answer[#answer + 1] = about
  end
end
return answer
