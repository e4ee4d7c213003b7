-- Answers: jobs ready, delayed, leased, dead, blocked; then what the counters say.
local leased = 0
for _, token in ipairs(call('ZRANGE', LEASED, 0, -1)) do
  leased = leased + call('SCARD', under(token))
end
local answer = {
  waiting(), call('ZCARD', DELAYED), leased, call('ZCARD', DEAD),
  call('HLEN', key('blocked')),
}
for _, n in ipairs(call('HMGET', STATS, 'done', 'retry', 'dead', 'crashed', 'cancelled')) do
  answer[#answer + 1] = tonumber(n or 0)
end
return answer
