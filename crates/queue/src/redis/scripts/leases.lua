-- Lease by lease, for those who look at all: in the order of tokens, which renewals do not change,
-- so that none is missed between two pages.

-- Calls `look` with each token and its jobs: those after the cursor ('0': from the first) that `fits`
-- says yes to, until `most` jobs were looked at. Returns the next cursor ('0': that was all). A lease
-- is looked at whole: it holds a thousand jobs at most.
local function look_at_leases(cursor, most, fits, look)
  local tokens, looked = {}, 0
  for _, token in ipairs(call('ZRANGE', LEASED, 0, -1)) do
    if (cursor == '0' or token > cursor) and fits(token) then tokens[#tokens + 1] = token end
  end
  table.sort(tokens)
  for n, token in ipairs(tokens) do
    local ids = ids_under(token)
    look(token, ids)
    looked = looked + #ids
    if looked >= most and tokens[n + 1] then return token end
  end
  return '0'
end
