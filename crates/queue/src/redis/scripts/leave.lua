-- ARGV: worker. It waits no longer; a wake-up that it may have taken along goes to another.
call('ZREM', IDLE, ARGV[1])
wake(math.min(1, call('LLEN', READY)))
return 1
