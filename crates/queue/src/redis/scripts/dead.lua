-- ARGV: `retry` or `discard`, then ids. Answers for each: 1 when it was dead and no longer is.
local answer, ids = {}, {}
for at = 2, #ARGV do
  answer[#answer + 1] = call('ZREM', DEAD, ARGV[at])
  if answer[#answer] == 1 then ids[#ids + 1] = ARGV[at] end
end
if ARGV[1] == 'discard' then
  forget(ids)
elseif #ids > 0 then
  call('HDEL', ATTEMPTS, unpack(ids))
  call('HDEL', CRASHES, unpack(ids))
  queue_up(ids, false)
  wake(#ids)
end
return answer
