-- What the scripts share; it stands before each of them.
--
-- KEYS[1] is the prefix of all keys, with the hash tag that keeps them on one node of a cluster:
--   store        hash: version, clock (the last time given), history and token (the last ones given)
--   sessions     sorted set: id by the time of its last write, in microseconds; no two are the same
--   fact:DIGEST  the same, of the sessions that have this provider, folder, tag or metadata
--   session:ID   hash: head, facts, completed, own, layers, count, first, title, last, status
--   lease:ID     hash: token, expires (microseconds), holder, request
--   turns:N      hash of history N: INDEX is a turn's document, sINDEX is "VERSION STATUS"
--   order:N      sorted set of its indices
--   refs:N       sorted set: the sessions that have the turns of it below their score
--   events:ID    stream: TURN+1-NUMBER, with the event and the bytes of all up to it
--
-- A session has the turns of its own history, and below them those of its layers, "N:STOP N:STOP":
-- the first one that has an index counts. What another session has of a history never changes.
local P = KEYS[1]
local VERSION = 1
local call = redis.call

local stored = call('HGET', P .. 'store', 'version')
if stored and tonumber(stored) > VERSION then
  return {'newer', stored}
end

-- Not tostring, which makes 1e+15 of a large number.
local function text(number)
  return number == math.huge and 'inf' or string.format('%.0f', number)
end

local function now()
  local time = call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- Return the answer for a writer who may not write, or nil. A writer without a lease takes one for
-- this write, so an earlier holder whose time is over has lost his.
local function refused(id, token)
  local key = P .. 'lease:' .. id
  local lease = call('HMGET', key, 'token', 'expires', 'holder')
  if token ~= '' then
    return lease[1] ~= token and {'busy', lease[3] or ''} or nil
  end
  if lease[1] and tonumber(lease[2]) > now() then
    return {'busy', lease[3]}
  end
  if lease[1] then
    call('DEL', key)
  end
end

-- Return where the turns of a session are, the first one that counts first: {history, stop}.
local function layers_of(own, lower)
  local layers = {{own, math.huge}}
  for history, stop in string.gmatch(lower, '(%d+):(%w+)') do
    layers[#layers + 1] = {history, stop == 'inf' and math.huge or tonumber(stop)}
  end
  return layers
end

local function status_in(layers, index)
  for _, layer in ipairs(layers) do
    local status = tonumber(index) < layer[2]
      and call('HGET', P .. 'turns:' .. layer[1], 's' .. index)
    if status then
      return string.match(status, '^%d+ (.*)$')
    end
  end
end

-- Return the indices from low to below high in order, at most so many, and whose history each is in.
local function indices(layers, low, high, most, downwards)
  local found, history = {}, {}
  local command = downwards and 'ZREVRANGEBYSCORE' or 'ZRANGEBYSCORE'
  for _, layer in ipairs(layers) do
    local from, to = text(low), '(' .. text(math.min(high, layer[2]))
    if downwards then
      from, to = to, from
    end
    local key = P .. 'order:' .. layer[1]
    for _, index in ipairs(call(command, key, from, to, 'LIMIT', 0, text(most))) do
      if not history[index] then
        history[index] = layer[1]
        found[#found + 1] = index
      end
    end
  end
  table.sort(found, function(one, other)
    if downwards then
      one, other = other, one
    end
    return tonumber(one) < tonumber(other)
  end)
  return found, history
end

-- Forget the first events of a session while those it has are larger than that together.
local function trim_events(key, most, least)
  local last = call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
  while last and call('XLEN', key) > least do
    local first = call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
    if tonumber(last[2][4]) - tonumber(first[2][4]) + #first[2][2] <= most then
      return
    end
    call('XDEL', key, first[1])
  end
end

-- The last events of a session that has ended stay for a while.
local function end_events(id)
  local key = P .. 'events:' .. id
  if call('EXISTS', key) == 1 then
    trim_events(key, 65536, 0)
    call('EXPIRE', key, 120)
  end
end
