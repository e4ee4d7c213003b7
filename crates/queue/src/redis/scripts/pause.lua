-- ARGV: what (`queue`, `kind:<kind>`, `tenant:<tenant>`), who, why; or what alone, to resume it.
-- Answers: 1 when that changed something, 0 when it was so already, -1 when there are too many.
local pauses, what = key('pauses'), ARGV[1]
if #ARGV > 1 then
  if call('HEXISTS', pauses, what) == 1 then return 0 end
  if call('HLEN', pauses) >= 1000 then return -1 end
  call('HSET', pauses, what, cjson.encode({ at_ms = now, by = ARGV[2], why = ARGV[3] }))
  return 1
end
if call('HDEL', pauses, what) == 0 then return 0 end
call('ZADD', key('parks'), 'XX', 0, 'pause:' .. what)
-- Workers that found the queue paused are not on the list of those that wait.
for _ = 1, 16 do call('RPUSH', WAKE, '1') end
call('PEXPIRE', WAKE, 1000)
return 1
