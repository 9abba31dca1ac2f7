-- Take the lease of a session. Who asks again because the answer was lost gets the same one.
-- ARGV: id, holder, request, microseconds
local key = P .. 'lease:' .. ARGV[1]
local lease = call('HMGET', key, 'token', 'expires', 'holder', 'request')
local again = lease[1] and lease[4] == ARGV[3]
local moment = now()
if lease[1] and not again and tonumber(lease[2]) > moment then
  return {'busy', lease[3]}
end
local store = P .. 'store'
local token = again and lease[1] or text(call('HINCRBY', store, 'token', 1))
call('HSET', store, 'version', VERSION)
local expires = text(moment + tonumber(ARGV[4]))
call('HSET', key, 'token', token, 'expires', expires, 'holder', ARGV[2], 'request', ARGV[3])
return {'ok', token}
