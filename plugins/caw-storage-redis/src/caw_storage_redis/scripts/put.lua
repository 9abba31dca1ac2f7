-- Write the head of a session and, where there is an index, a turn.
-- ARGV: id, token, head, facts, completed, index, status, version, title, document
local id, index, status = ARGV[1], ARGV[6], ARGV[7]
local no = refused(id, ARGV[2])
if no then
  return no
end
local own, lower = put_head(id, ARGV[3], ARGV[4], ARGV[5])
if index == '' then
  return {'ok'}
end

local key = P .. 'session:' .. id
local before = status_in(layers_of(own, lower), index)
if status == 'running' and before and before ~= 'running' then
  return {'ok'}
end

-- Another session that has this turn of the history keeps it: from here on this one has another.
for _, holder in ipairs(
  call('ZREVRANGEBYSCORE', P .. 'refs:' .. own, '+inf', '(' .. index, 'LIMIT', 0, 2)
) do
  if holder ~= id then
    lower = own .. ':inf ' .. lower
    own = new_history(id)
    call('HSET', key, 'own', own, 'layers', lower)
    break
  end
end

local turns = P .. 'turns:' .. own
call('HSET', turns, index, ARGV[10], 's' .. index, ARGV[8] .. ' ' .. status)
call('ZADD', P .. 'order:' .. own, index, index)
if not before then
  call('HINCRBY', key, 'count', 1)
end
local place = tonumber(index)
local ends = call('HMGET', key, 'first', 'last')
if not ends[1] or place <= tonumber(ends[1]) then
  call('HSET', key, 'first', index, 'title', ARGV[9])
end
if not ends[2] or place >= tonumber(ends[2]) then
  call('HSET', key, 'last', index, 'status', status)
end
return {'ok'}
