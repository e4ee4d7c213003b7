-- Limits, rates and pauses. A job that one of these gates keeps back is parked apart, by gate, so
-- that it neither holds up those behind it nor is looked at in vain: sorted set `park:<gate>`,
-- built like `fair`. `parks` says when to look at a gate again, `blocked` which gate keeps a job,
-- `caps` what a gate last let through (`most` or `most/per ms`). What runs under a limit is in
-- `hold:<gate>` by the end of its lease, and in `held` by id, with token and gate; a rate is one time
-- in `rates`. Jobs that are taken together often pass the same gates: each is read once, and written
-- by `write`.
local made_gates
local function gates()
  if made_gates then return made_gates end
  local FAR = 9e15
  local LONGEST_LOOK_MS = 10000

  -- What is known of gates: how many jobs run under a limit, and ends and ids to be written; when a
  -- rate is at rest, and which of these are to be written.
  local running, holds, at_rest, started = {}, {}, {}, {}

  -- Writes who takes a place under the limit.
  local function write_holds(gate)
    local new = holds[gate]
    if not new then return end
    holds[gate] = nil
    for at = 1, new.many, 2000 do
      call('ZADD', key('hold:' .. gate), unpack(new, at, math.min(at + 1999, new.many)))
    end
  end

  -- Writes what was only noted.
  local function write()
    for gate in pairs(holds) do write_holds(gate) end
    for gate in pairs(started) do call('ZADD', key('rates'), at_rest[gate], gate) end
    started = {}
  end

  -- Notes that a job takes a place under a limit until its lease ends.
  local function hold(gate, id, ends)
    local new = holds[gate] or { many = 0 }
    new[new.many + 1], new[new.many + 2] = ends, id
    new.many = new.many + 2
    holds[gate] = new
    running[gate] = running[gate] + 1
  end

  -- When the lease of a job ends that runs under a limit; nil: it has none any more.
  local function lease_end(id)
    local token = string.match(call('HGET', key('held'), id) or '', '^[^\n]*')
    if call('SISMEMBER', under(token), id) == 0 then return nil end
    return call('ZSCORE', LEASED, token) or nil
  end

  -- How many more jobs the gate lets run. Ends may be old: a lease that was renewed still counts, a
  -- holder without a lease does not.
  local function free_slots(gate, most)
    local holders = key('hold:' .. gate)
    local held = running[gate] or call('ZCARD', holders)
    if held >= most then
      write_holds(gate)
      for _, id in ipairs(call('ZRANGE', holders, '-inf', now, 'BYSCORE', 'LIMIT', 0, 1000)) do
        local ends = lease_end(id)
        if ends then
          call('ZADD', holders, ends, id)
        else
          call('ZREM', holders, id)
          held = held - 1
        end
      end
    end
    running[gate] = held
    return most - held
  end

  -- When a rate is at rest. Never later than after its time, also when that became shorter, or the
  -- clock was set back: what is over it is forgiven, for good.
  local function rate_rest(gate, per)
    local rest = at_rest[gate] or tonumber(call('ZSCORE', key('rates'), gate) or 0)
    if rest > now + per then
      rest = now + per
      call('ZADD', key('rates'), rest, gate)
    end
    at_rest[gate] = rest
    return rest
  end

  -- How long until a rate is at rest.
  local function rate_debt(gate, per) return math.max(0, rate_rest(gate, per) - now) end

  -- Says whether a rate lets one more start: `most` in `per` ms, all of them at once at first.
  local function rate_lets(gate, most, per)
    return rate_rest(gate, per) - now <= per - per / most
  end

  -- How long until a rate lets one more start.
  local function rate_wait(gate, most, per)
    return math.max(0, math.ceil(rate_debt(gate, per) - per + per / most))
  end

  -- How many a rate lets start now.
  local function rate_room(gate, most, per)
    return math.floor((per - rate_debt(gate, per)) * most / per + 1e-6)
  end

  -- Counts one that starts, as `rate_lets` said that it may; `step` is `per / most`.
  local function rate_start(gate, step)
    local rest = at_rest[gate]
    at_rest[gate] = (rest > now and rest or now) + step
    started[gate] = true
  end

  local function park(gate, id, look_at)
    local lane = call('HGET', key('lanes'), id) or PLAIN
    lanes().line_up(key('park:' .. gate), { id }, { lane }, false)
    call('HSET', key('blocked'), id, gate)
    call('ZADD', key('parks'), look_at, gate)
  end

  -- Forgets a park that is empty.
  local function close_park(gate)
    local set = key('park:' .. gate)
    if call('EXISTS', set) == 1 then return end
    call('DEL', set .. ':rounds')
    call('ZREM', key('parks'), gate)
    call('HDEL', key('caps'), gate)
  end

  -- Lets up to `most` jobs out of a park; returns how many.
  local function unpark(gate, most, at_front)
    if most < 1 then return 0 end
    local ids = lanes().serve(key('park:' .. gate), most)
    if #ids > 0 then
      call('HDEL', key('blocked'), unpack(ids))
      queue_up(ids, at_front)
    end
    close_park(gate)
    return #ids
  end

  -- Frees what jobs held whose leases end; lets the next ones out. Returns how many. Whoever calls it
  -- has seen that `held` is there.
  local function release(ids)
    if #ids == 0 then return 0 end
    local passed, by_gate, out = call('HMGET', key('held'), unpack(ids)), {}, 0
    for n, held in ipairs(passed) do
      passed[n] = held and string.sub(held, (string.find(held, '\n', 1, true) or 0) + 1)
    end
    call('HDEL', key('held'), unpack(ids))
    -- Where no gate holds a job back, places are freed gate by gate, else one by one.
    if call('EXISTS', key('caps')) == 0 then
      for n, gate in ipairs(passed) do
        if gate then
          by_gate[gate] = by_gate[gate] or {}
          table.insert(by_gate[gate], ids[n])
        end
      end
      for gate, holders in pairs(by_gate) do
        call('ZREM', key('hold:' .. gate), unpack(holders))
        running[gate] = nil
      end
      return 0
    end
    for n, gate in ipairs(passed) do
      if gate then
        call('ZREM', key('hold:' .. gate), ids[n])
        running[gate] = nil
        local most = call('HGET', key('caps'), gate)
        if most then out = out + unpark(gate, math.min(1, free_slots(gate, tonumber(most))), true) end
      end
    end
    return out
  end

  -- When a gate is to be looked at again, after what it lets out now was let out.
  local function look_at(gate, most, per)
    if per then return now + math.min(LONGEST_LOOK_MS, math.max(1, rate_wait(gate, most, per))) end
    write_holds(gate)
    local first = call('ZRANGE', key('hold:' .. gate), 0, 0, 'WITHSCORES')
    return math.min(now + LONGEST_LOOK_MS, math.max(now + 200, tonumber(first[2] or 0)))
  end

  local function look_at_pause(gate, paused)
    if call('HEXISTS', key('pauses'), paused) == 1 then
      call('ZADD', key('parks'), FAR, gate)
    else
      unpark(gate, 500, false)
    end
  end

  -- Lets out as many as the gate's cap has room for; without a cap there is no such gate any more.
  local function look_at_cap(gate, cap)
    if not cap then
      unpark(gate, 100, true)
      call('ZADD', key('parks'), 'XX', now + 1000, gate)
      return
    end
    call('HSET', key('caps'), gate, cap)
    local most, per = string.match(cap, '^(%d+)/?(%d*)$')
    most, per = tonumber(most), tonumber(per)
    local room = per and rate_room(gate, most, per) or free_slots(gate, most)
    unpark(gate, math.min(room, 100), true)
    -- Those let out may be held up by another gate: then the others are let out soon.
    local again = room > 0 and now + 1000 or look_at(gate, most, per)
    call('ZADD', key('parks'), 'XX', again, gate)
  end

  -- Looks at some gates whose time has come. `cap_of` says what a gate lets through by the rules of
  -- who asks, nil for nothing.
  local function open_gates(cap_of)
    for _, gate in ipairs(call('ZRANGE', key('parks'), '-inf', now, 'BYSCORE', 'LIMIT', 0, 10)) do
      local paused = string.match(gate, '^pause:(.*)$')
      if paused then
        look_at_pause(gate, paused)
      else
        look_at_cap(gate, cap_of(gate))
      end
    end
  end

  made_gates = {
    FAR = FAR, free_slots = free_slots, hold = hold, rate_lets = rate_lets, rate_start = rate_start,
    write = write, park = park, close_park = close_park, release = release, look_at = look_at,
    open = open_gates,
  }
  return made_gates
end
