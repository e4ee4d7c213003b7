-- ARGV: worker, whether it goes for good (1) or is quiet (0). It waits no longer; a wake-up that
-- it may have taken along goes to another.
call('ZREM', IDLE, ARGV[1])
if ARGV[2] == '1' then
  call('ZREM', key('workers'), ARGV[1])
  call('HDEL', key('abouts'), ARGV[1])
end
wake(math.min(1, waiting()))
return 1
