-- ARGV: worker, token, how many (at most 1,000), lease in ms, how many of them may be suspect; then
-- six for each kind that has rules: kind, most that run at once (0: any), by what, most that start
-- (0: any), in how many ms, by what. Answers: ms until it is worth looking again (0: at once), jobs
-- recovered, jobs buried; of those that ran before, which of the jobs it is, counted from 0,
-- attempt, crashes; of the jobs that are now leased under the token, how long each id is, the ids, and
-- lists of the envelopes. Ids of one length come some dozens in one text, which costs less than a value
-- for each; others one by one, and the length is 0.
local worker, token = ARGV[1], ARGV[2]
local wanted, lease_ms, suspects = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local hold = note_call(lease_ms)

local due = call('ZRANGE', DELAYED, '-inf', now, 'BYSCORE', 'LIMIT', 0, 1000)
if #due > 0 then
  queue_up(due, false)
  call('ZREM', DELAYED, unpack(due))
end

-- Takes jobs from under leases that ended, the oldest lease first.
local function take_back(most)
  local ended = {}
  for _, token in ipairs(call('ZRANGE', LEASED, '-inf', now, 'BYSCORE', 'LIMIT', 0, most)) do
    local ids, first = ids_under(token), #ended + 1
    for n = 1, math.min(#ids, most - #ended) do ended[#ended + 1] = ids[n] end
    if #ended >= first then
      unlease(token, { unpack(ended, first) })
    else
      call('ZREM', LEASED, token)
    end
    if #ended >= most then break end
  end
  return ended
end

-- A lease that ended means that its worker did.
local recovered, buried, back = 0, 0, {}
local ended = hold <= now and take_back(100) or {}
for _, id in ipairs(ended) do
  local crashes = count_up(CRASHES, id)
  local stop = call('HGET', key('stops'), id)
  count_up(ATTEMPTS, id)
  if stop then
    call('HDEL', key('stops'), id)
    cancelled(id, stop)
    forget({ id })
  elseif crashes < MOST_CRASHES then
    back[#back + 1] = id
    recovered = recovered + 1
  else
    bury(id, 'the process that ran it ended ' .. crashes .. ' times')
    buried = buried + 1
  end
end
if #ended > 0 then
  if call('EXISTS', key('held')) == 1 then gates().release(ended) end
  queue_up(back, true)
  mark_again(back)
  call('HINCRBY', STATS, 'crashed', #ended)
  if buried > 0 then call('HINCRBY', STATS, 'dead', buried) end
end

-- What stands between the line and the workers. Without rules, pauses and the like: nothing.
local guarded = #ARGV > 5
local is_paused = false
if guarded
  or call('EXISTS', key('pauses'), key('parks'), key('cancels'), key('qmarks')) > 0 then
  guarded = true
  is_paused = call('HEXISTS', key('pauses'), 'queue') == 1
end

-- By what a rule counts: how (`kind`, `tenant`, `argument`, `name`), and which argument or name.
local function counted_by(text)
  local how, what = string.match(text, '^(%a+):?(.*)$')
  return { how = how, what = what }
end

-- What the kinds' rules say, by kind; `limits` and `rates` are the names of their gates, by what is
-- counted.
local rules = {}
for at = 6, #ARGV, 6 do
  rules[ARGV[at]] = {
    most = tonumber(ARGV[at + 1]), by = counted_by(ARGV[at + 2]),
    starts = tonumber(ARGV[at + 3]), per = tonumber(ARGV[at + 4]),
    starts_by = counted_by(ARGV[at + 5]), limits = {}, rates = {},
  }
end

-- What a rule lets through, as `caps` has it; nil: everything.
local function cap_of_rule(sort, rule)
  if sort == 'limit' then return rule.most > 0 and string.format('%.0f', rule.most) or nil end
  return rule.starts > 0 and rule.starts .. '/' .. string.format('%.0f', rule.per) or nil
end

-- What the gate of this name lets through by the rules; nil: there is no such rule (any more).
local function cap_of(gate)
  local sort, rest = string.match(gate, '^(%a+):(.*)$')
  local shared = string.match(rest, '^=(.*)$')
  if not shared then
    local rule = rules[string.match(rest, '^([^:]*):')]
    return rule and cap_of_rule(sort, rule)
  end
  for _, rule in pairs(rules) do
    local by = sort == 'limit' and rule.by or rule.starts_by
    local cap = by.how == 'name' and by.what == shared and cap_of_rule(sort, rule)
    if cap then return cap end
  end
end

-- Id, and token and gate, of what takes a place under a limit now.
local held, many_held = {}, 0

-- Makes the function that says of a job whether it may be taken now.
local function make_guard()
  local has_pauses = call('EXISTS', key('pauses')) == 1
  local has_cancels = call('EXISTS', key('cancels')) == 1
  local has_parks = call('EXISTS', key('parks')) == 1

  local function name_of(sort, by, job, value)
    if by.how == 'name' then return sort .. ':=' .. by.what end
    if type(value) == 'number' then value = string.format('%.17g', value) end
    if type(value) == 'boolean' then value = tostring(value) end
    if type(value) ~= 'string' then value = '' end
    if #value > 128 then value = redis.sha1hex(value) end
    return sort .. ':' .. job.kind .. ':' .. value
  end

  -- Names the gate that a kind's rule puts before a job; `names` are those that are known.
  local function gate_of(sort, by, job, names)
    local value = ''
    if by.how == 'tenant' then
      value = job.tenant
    elseif by.how == 'argument' and type(job.payload) == 'table' then
      value = job.payload[by.what]
      if value == nil then value = '' end
    end
    -- What is no number is no key of a table, and 0 is the same key as -0.
    local is_key = value == value and value ~= 0
    local name = is_key and names[value] or name_of(sort, by, job, value)
    if is_key then names[value] = name end
    return name
  end

  -- A gate that lets more or less through than when it parked jobs is looked at by the next fetch:
  -- they must not wait for what is over.
  local function note_change(gate, sort, rule)
    local before = has_parks and call('HGET', key('caps'), gate)
    local cap = before and cap_of_rule(sort, rule)
    if before and before ~= cap then
      call('HSET', key('caps'), gate, cap)
      call('ZADD', key('parks'), 'XX', 0, gate)
    end
  end

  -- Parks a job that must not run now, else takes its place under limits and rates. Says whether it
  -- may run.
  local function passes(id, envelope, ends)
    if not has_pauses and #ARGV == 5 then return true end
    -- What cannot be read is handed out, to be buried.
    if #envelope > LARGEST_ENVELOPE then return true end
    local ok, job = pcall(cjson.decode, envelope)
    if not ok or type(job) ~= 'table' or type(job.kind) ~= 'string' then return true end
    if type(job.tenant) ~= 'string' then job.tenant = '' end
    if has_pauses then
      for _, name in ipairs({ 'kind:' .. job.kind, 'tenant:' .. job.tenant }) do
        if call('HEXISTS', key('pauses'), name) == 1 then
          gates().park('pause:' .. name, id, gates().FAR)
          return false
        end
      end
    end
    local rule = rules[job.kind]
    if not rule then return true end
    local limit = rule.most > 0 and gate_of('limit', rule.by, job, rule.limits)
    if limit and gates().free_slots(limit, rule.most) < 1 then
      call('HSET', key('caps'), limit, cap_of_rule('limit', rule))
      gates().park(limit, id, gates().look_at(limit, rule.most))
      return false
    end
    local rate = rule.starts > 0 and gate_of('rate', rule.starts_by, job, rule.rates)
    if rate and not gates().rate_lets(rate, rule.starts, rule.per) then
      call('HSET', key('caps'), rate, cap_of_rule('rate', rule))
      gates().park(rate, id, gates().look_at(rate, rule.starts, rule.per))
      return false
    end
    if limit then
      note_change(limit, 'limit', rule)
      gates().hold(limit, id, ends)
      held[many_held + 1], held[many_held + 2] = id, token .. '\n' .. limit
      many_held = many_held + 2
    end
    if rate then
      note_change(rate, 'rate', rule)
      gates().rate_start(rate, rule.per / rule.starts)
    end
    return true
  end

  -- Says whether a job was cancelled while it waited; then it is gone.
  local function was_cancelled(id)
    local note = has_cancels and call('HGET', key('cancels'), id)
    if not note then return false end
    cancelled(id, note)
    forget({ id })
    return true
  end

  return function(id, envelope, ends)
    return not was_cancelled(id) and passes(id, envelope, ends)
  end
end
-- Made when there is a job to ask about.
local may_run

local wait, ends = 0, now + lease_ms
-- Redis writes a number that it is given with much ado: what goes into each job is written once.
local ends_text = string.format('%.0f', ends)
-- What is answered of the jobs that ran before; how many are taken; of these, batch by batch, the ids and
-- the envelopes; how long each id is (nil: none is taken, 0: they differ).
local again, taken_all, batches, jobs, length = {}, 0, {}, {}, nil
local LARGEST_ANSWER, bytes = 4194304, 0

-- Jobs that keep equal ones out only while they wait give their unique key up.
local function unmark_taken(ids)
  for n, mark in ipairs(call('HMGET', key('qmarks'), unpack(ids))) do
    if mark then unmark_key(string.match(mark, '^%d+:(.*)$'), ids[n]) end
  end
end

-- Says whether a job may crash no more.
local function is_suspect(crashed) return crashed + 1 >= MOST_CRASHES end

-- Says whether such a job has to wait until another one has ended: beside the one that takes
-- processes down, it would die with it.
local function waits_for_another(id, crashed)
  if suspects > 0 or not is_suspect(crashed) then return false end
  call('ZADD', DELAYED, now + SUSPECT_PAUSE_MS, id)
  return true
end

-- Says whether a job is taken now; notes what is answered of one that ran before.
local function is_taken(id, envelope, attempts, crashes, is_plain)
  if not is_sayable(id, is_plain) then
    bury_unsayable(id, envelope)
    buried = buried + 1
    return false
  end
  -- A job is not lost for a counter that is none.
  local spent, crashed = counted(attempts), counted(crashes)
  if waits_for_another(id, crashed or 0) then return false end
  if may_run and not may_run(id, envelope, ends_text) then return false end
  if not spent then call('HDEL', ATTEMPTS, id) end
  if not crashed then call('HDEL', CRASHES, id) end
  spent, crashed = spent or 0, crashed or 0
  if is_suspect(crashed) then suspects = suspects - 1 end
  if spent + crashed > 0 then
    for _, number in ipairs({ taken_all, spent + 1, crashed }) do again[#again + 1] = number end
  end
  return true
end

-- Says whether jobs, of which none ran before, are taken as they are. Thousands a second come this way:
-- there is one look at each. Who asked sees whether the ids are text, and has them looked at by `adopt`
-- if they are not.
local function are_taken(ids, envelopes)
  local size_of_all, length_of_each = 0, length or #ids[1]
  for at = 1, #ids do
    local envelope, size = envelopes[at], #ids[at]
    if not envelope or size < 1 or size > LONGEST_ID then return false end
    if size ~= length_of_each then length_of_each = 0 end
    size_of_all = size_of_all + #envelope
  end
  taken_all, bytes, length = taken_all + #ids, bytes + size_of_all, length_of_each
  return true
end

-- Looks at each job; returns the ids and envelopes of those that are taken.
local function choose(ids, envelopes, attempts, crashes)
  local taken, chosen, is_plain = {}, {}, are_plain(ids)
  for at, id in ipairs(ids) do
    -- An id without a job was removed by hand.
    local envelope = envelopes[at]
    if envelope and is_taken(id, envelope, attempts[at], crashes[at], is_plain) then
      taken[#taken + 1], chosen[#chosen + 1] = id, envelope
      taken_all, bytes, length = taken_all + 1, bytes + #envelope, length or #id
      if #id ~= length then length = 0 end
    end
  end
  return taken, chosen
end

-- Leases jobs.
local function lease(ids)
  if guarded and not may_run then may_run = make_guard() end
  local envelopes = call('HMGET', JOBS, unpack(ids))
  local attempts, crashes = numbers(ATTEMPTS, ids), numbers(CRASHES, ids)
  local taken = ids
  if may_run or #attempts + #crashes > 0 or not are_taken(ids, envelopes) then
    taken, envelopes = choose(ids, envelopes, attempts, crashes)
  end
  if #taken > 0 then
    local n = #batches + 1
    batches[n], jobs[n] = taken, envelopes
    call('ZADD', LEASED, ends_text, token)
    call('SADD', under(token), unpack(taken))
    if many_held > 0 then
      call('HSET', key('held'), unpack(held))
      held, many_held = {}, 0
    end
    if guarded and call('EXISTS', key('qmarks')) == 1 then unmark_taken(taken) end
  end
end

if guarded and not is_paused then gates().open(cap_of) end
-- Large jobs come fewer at a time: an answer has a hundred jobs and four megabytes, or more jobs and
-- less. Instead of jobs that are held up here others are looked at, not instead of those removed by
-- hand.
local looked, is_short = 0, is_paused
local longest_look = guarded and wanted + 200 or wanted - 1
while not is_short and taken_all < wanted and looked <= longest_look and bytes < LARGEST_ANSWER do
  local most = math.min(100, wanted - (guarded and taken_all or looked))
  local ids = take(most)
  is_short = #ids < most
  looked = looked + #ids
  if #ids > 0 then lease(ids) end
end
if guarded then gates().write() end

if is_paused then
  -- Nobody is woken for a queue that is paused.
  wait = 1000
  call('ZREM', IDLE, worker)
elseif is_short then
  -- Worth looking again: when a job is due, when a lease ends that nobody renews, when a gate
  -- opens, or soon.
  local look_at = now + LONGEST_WAIT_MS
  local next_due = call('ZRANGE', DELAYED, 0, 0, 'WITHSCORES')
  if next_due[2] then look_at = math.min(look_at, next_due[2]) end
  local next_end = call('ZRANGE', LEASED, 0, 0, 'WITHSCORES')
  if next_end[2] then look_at = math.min(look_at, math.max(next_end[2], hold)) end
  if guarded then
    local next_look = call('ZRANGE', key('parks'), 0, 0, 'WITHSCORES')
    if next_look[2] then look_at = math.min(look_at, next_look[2]) end
  end
  wait = math.max(1, look_at - now)
  call('ZREMRANGEBYSCORE', IDLE, '-inf', now)
  call('ZADD', IDLE, now + wait + 1000, worker)
else
  call('ZREM', IDLE, worker)
  if #due + recovered > 0 then wake(waiting()) end
end
local ids = {}
for _, batch in ipairs(batches) do
  if length ~= 0 then batch = { table.concat(batch) } end
  for _, text in ipairs(batch) do ids[#ids + 1] = text end
end
return { wait, recovered, buried, again, length or 0, ids, jobs }
