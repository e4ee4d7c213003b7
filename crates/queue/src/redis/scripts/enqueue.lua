-- ARGV: five for each job: id, delay in ms, unique key ('' for none), its longest time in ms,
-- envelope. Or, after a first argument that is empty, eight: id, delay, unique key, its longest
-- time, its mode (`running`, `queued`, `replace`, `debounce`), priority, tenant, envelope.
-- Answers for each: '' when it is enqueued, else the id of the job that is there.
local answer, ready, wakes = {}, {}, 0
local first, width = 1, 5
if ARGV[1] == '' then first, width = 2, 8 end

-- The job that holds the key, and until when.
local function holder(unique, id)
  local mark = call('HGET', UNIQUE, unique)
  if not mark then return '' end
  local ends, by = string.match(mark, '^(%d+):(.*)$')
  if by ~= id and tonumber(ends) > now then return by, tonumber(ends) end
  return ''
end

-- What a job that is left out changes of the one that waits.
local function change(by, ends, mode, delay, envelope)
  if mode == 'replace' and call('HEXISTS', LEASES, by) == 0 then
    call('HSET', JOBS, by, envelope)
  elseif mode == 'debounce' and delay > 0 and call('ZSCORE', DELAYED, by) then
    call('ZADD', DELAYED, 'XX', math.min(now + delay, ends), by)
  end
end

-- Marks the key as the job's, for as long as it waits, or runs as well.
local function mark(unique, id, longest_ms, mode)
  -- Times are written whole: at most 2^53.
  local ends = string.format('%.0f', now + longest_ms)
  call('HSET', UNIQUE, unique, ends .. ':' .. id)
  if mode == 'running' then
    call('HSET', MARKS, id, unique)
  else
    call('HSET', key('qmarks'), id, ends .. ':' .. unique)
  end
end

for at = first, #ARGV, width do
  local id, delay, unique = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
  local mode, lane = 'running', PLAIN
  if width == 8 then
    mode = ARGV[at + 4]
    lane = string.format('%d:', tonumber(ARGV[at + 5])) .. ARGV[at + 6]
  end
  local stamped = '{"enqueued_at_ms":' .. now .. ',' .. string.sub(ARGV[at + width - 1], 2)
  local known, ends = '', 0
  if unique ~= '' then known, ends = holder(unique, id) end
  if known ~= '' then
    change(known, ends, mode, delay, stamped)
  elseif call('HSETNX', JOBS, id, stamped) == 0 then
    known = id
  else
    if unique ~= '' then mark(unique, id, ARGV[at + 3], mode) end
    if lane ~= PLAIN then call('HSET', key('lanes'), id, lane) end
    if delay > 0 then
      call('ZADD', DELAYED, now + delay, id)
      -- Somebody must look again to learn when it is due.
      if delay < LONGEST_WAIT_MS then wakes = 1 end
    elseif lane ~= PLAIN then
      lanes().line_up(key('fair'), id, lane, false)
      wakes = wakes + 1
    else
      ready[#ready + 1] = id
    end
  end
  answer[#answer + 1] = known
end
if #ready > 0 then call('RPUSH', READY, unpack(ready)) end
wake(#ready + wakes)
return answer
