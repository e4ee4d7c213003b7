-- ARGV: who, why, then ids. Answers for each: `cancelled`, `stopping` (it runs, and its host will
-- be told), `dead` (nothing to do), `gone` (not here).
local note = cjson.encode({ at_ms = now, by = ARGV[1], why = ARGV[2] })

-- Takes a waiting job out of line. Far inside a long list it is dropped when it is reached.
local function unqueue(id)
  local gate = call('HGET', key('blocked'), id)
  if gate then
    call('ZREM', key('park:' .. gate), id)
    call('HDEL', key('blocked'), id)
    gates().close_park(gate)
    return true
  end
  if call('ZREM', DELAYED, id) == 1 then return true end
  if call('ZREM', key('fair'), id) == 1 then
    if call('EXISTS', key('fair')) == 0 then call('DEL', key('fair:rounds')) end
    return true
  end
  for _, rank in ipairs({ 1, -1 }) do
    if call('LPOS', READY, id, 'RANK', rank, 'MAXLEN', 10000) then
      call('LREM', READY, rank, id)
      return true
    end
  end
  -- Until then it stands in no equal job's way.
  unmark({ id })
  call('HSET', key('cancels'), id, note)
  return false
end

local answer = {}
for at = 3, #ARGV do
  local id = ARGV[at]
  if call('HEXISTS', JOBS, id) == 0 then
    answer[#answer + 1] = 'gone'
  elseif leases()[id] then
    call('HSET', key('stops'), id, note)
    answer[#answer + 1] = 'stopping'
  elseif call('ZSCORE', DEAD, id) then
    answer[#answer + 1] = 'dead'
  else
    if unqueue(id) then
      cancelled(id, note)
      forget({ id })
    end
    answer[#answer + 1] = 'cancelled'
  end
end
return answer
