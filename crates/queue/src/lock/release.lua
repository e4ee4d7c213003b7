-- Releases a lock as python-redis-lock does: only with our own token, and with a signal that one
-- waiter's blocking pop takes within the second. Answers 1 when it was ours.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
redis.call('LPUSH', KEYS[2], 1)
redis.call('PEXPIRE', KEYS[2], 1000)
redis.call('DEL', KEYS[1])
return 1
