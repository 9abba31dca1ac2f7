-- Read the head of a session and some of its turns: as many as make a reply of a moderate size.
-- ARGV: id, first index, index before which to end or 'inf', how many of the last ones or ''
local MOST_TURNS, MOST_BYTES = 500, 8388608
local session = call('HMGET', P .. 'session:' .. ARGV[1], 'own', 'layers', 'head', 'count')
if not session[1] then
  return {call('ZSCORE', P .. 'sessions', ARGV[1]) and 'lost' or 'none'}
end
local answer = {'ok', session[1], session[3], session[4], ''}
local low, last = tonumber(ARGV[2]), tonumber(ARGV[4])
local high = ARGV[3] == 'inf' and math.huge or tonumber(ARGV[3])
local layers = layers_of(session[1], session[2])
if last then
  local newest = indices(layers, low, high, last, true)
  if last == 0 or #newest == 0 then
    return answer
  end
  low = tonumber(newest[math.min(last, #newest)])
end
local found, history = indices(layers, low, high, MOST_TURNS + 1, false)
local size = 0
for place, index in ipairs(found) do
  if place > MOST_TURNS or size > MOST_BYTES then
    answer[5] = index
    break
  end
  local turn = call('HMGET', P .. 'turns:' .. history[index], 's' .. index, index)
  size = size + #(turn[2] or '')
  answer[#answer + 1] = {index, turn[1], turn[2]}
end
return answer
