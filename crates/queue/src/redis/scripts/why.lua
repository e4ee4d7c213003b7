-- ARGV: id. Answers what is known of why it does not run, as JSON.
local id = ARGV[1]
local facts = { now_ms = now }
local envelope = call('HGET', JOBS, id)
if not envelope then
  facts.state = 'gone'
  return cjson.encode(facts)
end
facts.state, facts.at_ms = state_of(id)
facts.error = call('HGET', ERRORS, id) or ''
local lease = leases()[id]
facts.token = lease and lease.token
facts.stop = call('HGET', key('stops'), id) or call('HGET', key('cancels'), id) or nil
local ok, job = pcall(cjson.decode, #envelope > LARGEST_ENVELOPE and '' or envelope)
if ok and type(job) == 'table' and type(job.kind) == 'string' then
  facts.kind = job.kind
  facts.kind_seen_ms = tonumber(call('ZSCORE', key('kinds'), job.kind) or 0)
  local tenant = type(job.tenant) == 'string' and job.tenant or ''
  for _, name in ipairs({ 'kind:' .. job.kind, 'tenant:' .. tenant }) do
    local pause = call('HGET', key('pauses'), name)
    if pause and not facts.pause then facts.paused, facts.pause = name, pause end
  end
end
local pause = call('HGET', key('pauses'), 'queue')
if pause then facts.paused, facts.pause = 'queue', pause end
facts.workers = call('ZCOUNT', key('workers'), now - 60000, '+inf')
local gate = call('HGET', key('blocked'), id)
if gate then
  facts.gate = gate
  facts.cap = call('HGET', key('caps'), gate) or nil
  facts.full_ms = math.floor(tonumber(call('ZSCORE', key('rates'), gate) or 0))
  facts.ahead = call('ZRANK', key('park:' .. gate), id) or 0
  facts.held = call('ZCARD', key('hold:' .. gate))
  facts.holders = table.concat(call('ZRANGE', key('hold:' .. gate), 0, 2), '\n')
elseif facts.state == 'ready' then
  local rank = call('ZRANK', key('fair'), id)
    or call('LPOS', READY, id, 'MAXLEN', 10000)
  facts.ahead = rank or nil
end
return cjson.encode(facts)
