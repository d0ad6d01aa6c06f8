#!lua flags=no-writes
-- depth: looks and changes nothing: how much waits where, and for how long.
-- ARGV  lanes      Reply now, dead, unknown, leased, then per lane
--       new and due, new and later, again and due, again and later, for how long the oldest has been due (ms),
--       since when the lane is paused (ms, 0: it is not)
local reply = {now_text, redis.call('ZCARD', dead_key), redis.call('ZCARD', unknown_key),
               redis.call('ZCARD', lease_key)}
for i = 1, #ARGV do
    local oldest = 0
    for _, key in ipairs({due_key(ARGV[i]), again_key(ARGV[i])}) do
        local due = redis.call('ZCOUNT', key, '-inf', now)
        local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
        reply[#reply + 1] = due
        reply[#reply + 1] = redis.call('ZCARD', key) - due
        if first[2] then
            oldest = math.max(oldest, now - tonumber(first[2]))
        end
    end
    reply[#reply + 1] = oldest
    local word, since = pause_of(ARGV[i])
    reply[#reply + 1] = word == 'paused' and tonumber(since) or 0
end
return reply
