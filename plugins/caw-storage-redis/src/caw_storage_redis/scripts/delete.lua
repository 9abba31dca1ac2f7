-- Delete a session with all that nobody else has of it.
-- ARGV: id, token
local id = ARGV[1]
local key = P .. 'session:' .. id
local session = call('HMGET', key, 'own', 'layers', 'facts')
if not session[1] and not call('ZSCORE', P .. 'sessions', id) then
  return {'no'}
end
local no = refused(id, ARGV[2])
if no then
  return no
end
if session[1] then
  for _, layer in ipairs(layers_of(session[1], session[2])) do
    leave(layer[1], id)
  end
  forget_facts(id, session[3])
end
call('ZREM', P .. 'sessions', id)
call('UNLINK', key, P .. 'events:' .. id)
return {'ok'}
