-- The line of waiting jobs. Most are of priority 0 and nobody's: they wait in the list READY. All
-- others wait in the sorted set `fair`, in lanes `priority:tenant`. The set is ordered by
-- priority, then by round: each lane has one job in a round, so tenants take turns. A lane's last
-- round, and as `v<priority>` the round that is being served, are in `fair:rounds`. Jobs that are
-- parked (see gates.lua) wait in sets of the same build.
local PLAIN = '0:'

-- What queues with lanes need; made when one does, so that others pay nothing.
local made_lanes
local function lanes()
  if made_lanes then return made_lanes end
  local RANK = 1e13 -- rounds that fit one priority

  local function whole(number) return string.format('%.0f', number) end

  -- Puts jobs in line, each in its lane; at the front means in the round that is being served.
  local function line_up(set, ids, lane_of, at_front)
    local rounds, places, scored, ends = set .. ':rounds', {}, {}, {}

    local function first_place(lane)
      local priority = tonumber(string.match(lane, '^(-?%d+):'))
      local score = tonumber(call('ZSCORE', rounds, 'v' .. priority) or 0 - priority * RANK)
      local last = not at_front and call('ZSCORE', rounds, lane)
      return last and math.max(score, last + 1) or score
    end

    for n, id in ipairs(ids) do
      local lane = lane_of[n]
      local score = places[lane] or first_place(lane)
      scored[2 * n - 1], scored[2 * n] = score, id
      places[lane] = at_front and score or score + 1
    end
    call('ZADD', set, unpack(scored))
    if at_front then return end
    for lane, score in pairs(places) do
      ends[#ends + 1] = score - 1
      ends[#ends + 1] = lane
    end
    call('ZADD', rounds, unpack(ends))
  end

  -- Notes which rounds are served now, by priority, and forgets lanes that were served before and
  -- have nothing left.
  local function note_served(set, served, most)
    local rounds = set .. ':rounds'
    if call('EXISTS', set) == 0 then
      call('DEL', rounds)
      return
    end
    for priority, score in pairs(served) do
      call('ZADD', rounds, score, 'v' .. priority)
      local past = call('ZRANGE', rounds, whole(0 - priority * RANK), '(' .. whole(score), 'BYSCORE',
        'LIMIT', 0, 2 * most + 10)
      if #past > 0 then call('ZREM', rounds, unpack(past)) end
    end
  end

  -- Which priority a score belongs to.
  local function priority_of(score) return 0 - math.floor(score / RANK) end

  -- Takes the first `most` jobs of one set.
  local function serve(set, most)
    local popped, ids, served = call('ZPOPMIN', set, most), {}, {}
    for at = 1, #popped, 2 do
      local score = tonumber(popped[at + 1])
      ids[#ids + 1] = popped[at]
      served[priority_of(score)] = score
    end
    note_served(set, served, most)
    return ids
  end

  -- The first `most` jobs of the whole line: ids, how many of them are in `fair`, how many in
  -- READY, and which rounds are served when they are taken.
  local function first_in_line(most)
    local fair = call('ZRANGE', key('fair'), 0, most - 1, 'WITHSCORES')
    local plain = call('LRANGE', READY, 0, most - 1)
    local rounds = key('fair:rounds')
    local round = tonumber(call('ZSCORE', rounds, 'v0') or 0)
    local last = call('ZSCORE', rounds, PLAIN)
    if last then round = math.max(round, last + 1) end
    local ids, from_fair, from_plain, served = {}, 0, 0, {}
    while #ids < most do
      local score = tonumber(fair[2 * from_fair + 2])
      local next_plain = plain[from_plain + 1]
      if next_plain and not (score and score < round + from_plain) then
        ids[#ids + 1] = next_plain
        served[0] = round + from_plain
        from_plain = from_plain + 1
      elseif score then
        ids[#ids + 1] = fair[2 * from_fair + 1]
        served[priority_of(score)] = score
        from_fair = from_fair + 1
      else
        break
      end
    end
    return ids, from_fair, from_plain, served, round
  end

  -- Takes the first `most` jobs of the whole line.
  local function take_in_turn(most)
    local ids, from_fair, from_plain, served, round = first_in_line(most)
    if from_plain > 0 then
      call('LPOP', READY, from_plain)
      call('ZADD', key('fair:rounds'), round + from_plain - 1, PLAIN)
    end
    if from_fair > 0 then call('ZREMRANGEBYRANK', key('fair'), 0, from_fair - 1) end
    note_served(key('fair'), served, most)
    return ids
  end

  made_lanes = {
    line_up = line_up, serve = serve, first = first_in_line, take = take_in_turn, whole = whole,
  }
  return made_lanes
end

-- Takes the first `most` jobs of the line.
local function take(most)
  if call('EXISTS', key('fair')) == 0 then return call('LPOP', READY, most) or {} end
  return lanes().take(most)
end

-- Puts jobs in line, each in its lane; at the front they keep their order.
local function queue_up(ids, at_front)
  if #ids == 0 then return end
  local plain = ids
  if call('EXISTS', key('lanes')) == 1 then
    local fair, lane_of = {}, {}
    plain = {}
    for n, lane in ipairs(call('HMGET', key('lanes'), unpack(ids))) do
      if lane then
        fair[#fair + 1], lane_of[#lane_of + 1] = ids[n], lane
      else
        plain[#plain + 1] = ids[n]
      end
    end
    if #fair > 0 then lanes().line_up(key('fair'), fair, lane_of, at_front) end
  end
  if #plain == 0 then return end
  if not at_front then
    call('RPUSH', READY, unpack(plain))
  else
    for at = #plain, 1, -1 do call('LPUSH', READY, plain[at]) end
  end
end

-- How many jobs are in line.
local function waiting() return call('LLEN', READY) + call('ZCARD', key('fair')) end

-- Jobs that keep equal ones out only while they wait take their unique key again, if it is free.
local function mark_again(...)
  if call('EXISTS', key('qmarks')) == 0 then return end
  for _, ids in ipairs({ ... }) do
    local marks = #ids > 0 and call('HMGET', key('qmarks'), unpack(ids)) or {}
    for n, mark in ipairs(marks) do
      if mark then
        local ends, unique = string.match(mark, '^(%d+):(.*)$')
        if tonumber(ends) > now then call('HSETNX', UNIQUE, unique, ends .. ':' .. ids[n]) end
      end
    end
  end
end
