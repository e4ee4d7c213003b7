-- ARGV: five for each job: id, delay in ms, unique key ('' for none), its longest time in ms,
-- envelope. Answers for each: '' when it is enqueued, else the id of the job that is there.
local answer, ready, wakes = {}, {}, 0

local function holder(unique, id)
  local mark = call('HGET', UNIQUE, unique)
  if not mark then return '' end
  local ends, by = string.match(mark, '^(%d+):(.*)$')
  if by ~= id and tonumber(ends) > now then return by end
  return ''
end

for at = 1, #ARGV, 5 do
  local id, delay, unique = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
  local known = unique ~= '' and holder(unique, id) or ''
  if known == '' then
    local stamped = '{"enqueued_at_ms":' .. now .. ',' .. string.sub(ARGV[at + 4], 2)
    if call('HSETNX', JOBS, id, stamped) == 0 then
      known = id
    else
      if unique ~= '' then
        call('HSET', UNIQUE, unique, now + ARGV[at + 3] .. ':' .. id)
        call('HSET', MARKS, id, unique)
      end
      if delay > 0 then
        call('ZADD', DELAYED, now + delay, id)
        -- Somebody must look again to learn when it is due.
        if delay < LONGEST_WAIT_MS then wakes = 1 end
      else
        ready[#ready + 1] = id
      end
    end
  end
  answer[#answer + 1] = known
end
if #ready > 0 then call('RPUSH', READY, unpack(ready)) end
wake(#ready + wakes)
return answer
