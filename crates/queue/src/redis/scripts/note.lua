-- ARGV: three for each job: id, token, its progress. Answers for each whether its lease is held.
local answer = {}
for at = 1, #ARGV, 3 do
  local id = ARGV[at]
  local is_held = call('SISMEMBER', under(ARGV[at + 1]), id) == 1
  if is_held then call('HSET', key('progress'), id, ARGV[at + 2]) end
  answer[#answer + 1] = is_held and 1 or 0
end
return answer
