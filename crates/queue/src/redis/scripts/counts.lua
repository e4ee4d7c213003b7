-- Answers: jobs ready, delayed, leased, dead, blocked; then what the counters say.
local answer = {
  waiting(), call('ZCARD', DELAYED), call('ZCARD', LEASED), call('ZCARD', DEAD),
  call('HLEN', key('blocked')),
}
for _, n in ipairs(call('HMGET', STATS, 'done', 'retry', 'dead', 'crashed', 'cancelled')) do
  answer[#answer + 1] = tonumber(n or 0)
end
return answer
