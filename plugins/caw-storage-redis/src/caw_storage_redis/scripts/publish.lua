-- Keep events of a session for a while.
-- ARGV: id, token or '', most events, most bytes, seconds, then for each event its place and document
local id, token = ARGV[1], ARGV[2]
if token ~= '' then
  local no = refused(id, token)
  if no then
    return no
  end
end

local function is_before(one, other)
  local turn, number = string.match(one, '(%d+)-(%d+)')
  local other_turn, other_number = string.match(other, '(%d+)-(%d+)')
  turn, other_turn = tonumber(turn), tonumber(other_turn)
  return turn < other_turn or turn == other_turn and tonumber(number) < tonumber(other_number)
end

local key = P .. 'events:' .. id
local first = ARGV[6]
local last = call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
if last and not is_before(last[1], first) then
  -- The session goes on from an earlier place: after a crash a turn is begun anew. A stream takes
  -- no place twice, so it is made anew with what came before.
  local kept = call('XRANGE', key, '-', '(' .. first)
  call('DEL', key)
  for _, event in ipairs(kept) do
    call('XADD', key, event[1], unpack(event[2]))
  end
  last = kept[#kept]
end
if not last then
  call('DEL', key)
end

local bytes = last and tonumber(last[2][4]) or 0
for place = 6, #ARGV, 2 do
  bytes = bytes + #ARGV[place + 1]
  call('XADD', key, ARGV[place], 'event', ARGV[place + 1], 'bytes', text(bytes))
end
call('XTRIM', key, 'MAXLEN', '~', ARGV[3])
trim_events(key, tonumber(ARGV[4]), 1)
call('EXPIRE', key, ARGV[5])
if call('HGET', P .. 'session:' .. id, 'completed') == '1' then
  end_events(id)
end
return {'ok'}
