-- ARGV: `retry` or `discard`, then ids. Answers for each: 1 when it was dead and no longer is.

-- Jobs that are tried again take the unique keys with which they died, those that are free.
local function mark_dead(ids)
  if call('EXISTS', key('dmarks')) == 0 then return end
  for n, note in ipairs(call('HMGET', key('dmarks'), unpack(ids))) do
    local left, mode, unique = string.match(note or '', '^(%d+):(%a+):(.*)$')
    if unique then
      local ends = string.match(call('HGET', UNIQUE, unique) or '', '^(%d+):')
      if not ends or tonumber(ends) <= now then mark(unique, ids[n], tonumber(left), mode, put) end
    end
  end
  call('HDEL', key('dmarks'), unpack(ids))
end

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
  mark_dead(ids)
  queue_up(ids, false)
  wake(#ids)
end
return answer
