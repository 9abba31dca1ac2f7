-- What the scripts share that write; it stands after common.lua.

-- Let a session have a history no more. What nobody has of it any more goes.
local function leave(history, id)
  local refs = P .. 'refs:' .. history
  local turns, order = P .. 'turns:' .. history, P .. 'order:' .. history
  call('ZREM', refs, id)
  local most = call('ZREVRANGE', refs, 0, 0, 'WITHSCORES')[2]
  if not most then
    call('UNLINK', turns, order, refs)
  elseif most ~= 'inf' then
    for _, index in ipairs(call('ZRANGEBYSCORE', order, most, '+inf')) do
      call('HDEL', turns, index, 's' .. index)
    end
    call('ZREMRANGEBYSCORE', order, most, '+inf')
  end
end

local function new_history(id)
  local history = text(call('HINCRBY', P .. 'store', 'history', 1))
  call('ZADD', P .. 'refs:' .. history, 'inf', id)
  return history
end

local function forget_facts(id, facts)
  for fact in string.gmatch(facts, '%S+') do
    call('ZREM', P .. 'fact:' .. fact, id)
  end
end

-- Write the head, as the session that was written last. Return its own history and its layers.
local function put_head(id, head, facts, completed)
  local key, store = P .. 'session:' .. id, P .. 'store'
  local clock = math.max(now(), tonumber(call('HGET', store, 'clock') or 0) + 1)
  call('HSET', store, 'version', VERSION, 'clock', text(clock))
  local old = call('HMGET', key, 'own', 'layers', 'head', 'facts')
  local own, lower = old[1], old[2] or ''
  if not own then
    own = new_history(id)
    call('HSET', key, 'own', own, 'layers', '', 'count', 0)
  end
  if old[3] ~= head then
    call('HSET', key, 'head', head, 'completed', completed)
  end
  if old[4] ~= facts then
    forget_facts(id, old[4] or '')
    call('HSET', key, 'facts', facts)
  end
  call('ZADD', P .. 'sessions', text(clock), id)
  for fact in string.gmatch(facts, '%S+') do
    call('ZADD', P .. 'fact:' .. fact, text(clock), id)
  end
  if completed == '1' then
    end_events(id)
  end
  return own, lower
end
