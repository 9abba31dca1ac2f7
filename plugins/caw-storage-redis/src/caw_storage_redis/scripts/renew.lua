-- Hold a lease for longer, or give it back if there is no time.
-- ARGV: id, token, microseconds or ''
local key = P .. 'lease:' .. ARGV[1]
local lease = call('HMGET', key, 'token', 'holder')
if lease[1] ~= ARGV[2] then
  return {'busy', lease[2] or ''}
end
if ARGV[3] == '' then
  call('DEL', key)
else
  call('HSET', key, 'expires', text(now() + tonumber(ARGV[3])))
end
return {'ok'}
