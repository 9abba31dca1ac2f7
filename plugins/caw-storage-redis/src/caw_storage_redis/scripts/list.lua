-- List sessions from the newest on: those that have all the facts and the status.
-- Looks at a part of them only, so that nobody else waits long; the answer says where to go on.
-- ARGV: highest and lowest time, status or '', how many at most, facts
local MOST_SEEN, BATCH = 2000, 200
local below, low, wanted, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local moment = now()

-- The fact that the fewest have is gone through, the others are looked up.
local source, fewest, facts = P .. 'sessions', math.huge, {}
for fact in string.gmatch(ARGV[5], '%S+') do
  local key = P .. 'fact:' .. fact
  local count = call('ZCARD', key)
  if count < fewest then
    source, fewest = key, count
  end
  facts[#facts + 1] = key
end

local function has_all(id)
  for _, key in ipairs(facts) do
    if key ~= source and not call('ZSCORE', key, id) then
      return false
    end
  end
  return true
end

-- A turn whose writer holds no lease any more will never end.
local function status_of(id, status)
  if status == 'running' then
    local expires = call('HGET', P .. 'lease:' .. id, 'expires')
    return expires and tonumber(expires) > moment and 'running' or 'unknown'
  end
  return status or ''
end

local answer, seen = {'ok', ''}, 0
while true do
  local ids = call('ZREVRANGEBYSCORE', source, below, low, 'WITHSCORES', 'LIMIT', 0, BATCH)
  for place = 1, #ids, 2 do
    if #answer - 2 >= most or seen >= MOST_SEEN then
      answer[2] = below
      return answer
    end
    local id, written = ids[place], ids[place + 1]
    below = '(' .. written
    seen = seen + 1
    if has_all(id) then
      local key = P .. 'session:' .. id
      local status = status_of(id, call('HGET', key, 'status'))
      if wanted == '' or wanted == status then
        local session = call('HMGET', key, 'count', 'title', 'head')
        answer[#answer + 1] = {id, written, session[1], session[2], status, session[3]}
      end
    end
  end
  if #ids < 2 * BATCH then
    return answer
  end
end
