-- Let a session, whose head is written, begin with the turns of another.
-- ARGV: id, token, head, facts, completed, id of the other one, stop
local id, stop = ARGV[1], tonumber(ARGV[7])
local no = refused(id, ARGV[2])
if no then
  return no
end
local own, lower = put_head(id, ARGV[3], ARGV[4], ARGV[5])
local parent = call('HMGET', P .. 'session:' .. ARGV[6], 'own', 'layers', 'first', 'title', 'last')
if not parent[1] or ARGV[6] == id or call('EXISTS', P .. 'order:' .. own) == 1 then
  return {'no'}
end
if stop > 0 and tonumber(parent[5] or -1) < stop - 1 then
  return {'no'}
end

local theirs = layers_of(parent[1], parent[2])
local layers = {}
for _, layer in ipairs(theirs) do
  local below = text(math.min(layer[2], stop))
  if call('ZCOUNT', P .. 'order:' .. layer[1], '-inf', '(' .. below) > 0 then
    layers[#layers + 1] = {layer[1], below}
  end
end
-- First the new ones, so that what both have is not gone between.
local kept, lines = {}, {}
for _, layer in ipairs(layers) do
  kept[layer[1]] = true
  lines[#lines + 1] = layer[1] .. ':' .. layer[2]
  call('ZADD', P .. 'refs:' .. layer[1], layer[2], id)
end
for history in string.gmatch(lower, '(%d+):') do
  if not kept[history] then
    leave(history, id)
  end
end

local count
if #layers == 1 then
  count = call('ZCOUNT', P .. 'order:' .. layers[1][1], '-inf', '(' .. layers[1][2])
else
  -- Layers may both have an index; one that is written anew stands in two of them.
  count = #indices(theirs, 0, stop, 1e9, false)
end
local key = P .. 'session:' .. id
call('HSET', key, 'layers', table.concat(lines, ' '), 'count', text(count))
call('HDEL', key, 'first', 'title', 'last', 'status')
if count > 0 then
  local last = indices(theirs, 0, stop, 1, true)[1]
  local status = status_in(theirs, last)
  call('HSET', key, 'first', parent[3], 'title', parent[4], 'last', last, 'status', status)
end
return {'ok'}
