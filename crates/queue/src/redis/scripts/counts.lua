-- Answers: jobs ready, delayed, leased, dead; then what the counters say.
local answer = {
  call('LLEN', READY), call('ZCARD', DELAYED), call('ZCARD', LEASED), call('ZCARD', DEAD),
}
for _, n in ipairs(call('HMGET', STATS, 'done', 'retry', 'dead', 'crashed')) do
  answer[#answer + 1] = tonumber(n or 0)
end
return answer
