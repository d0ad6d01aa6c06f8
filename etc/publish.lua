-- publish.lua - one event, both ways, in one step: kept in a stream, and heard at once on a channel.
--
-- KEYS[1] the stream; ARGV[1] the channel, ARGV[2] the event's JSON. Answers the entry's id.
--
-- heraldd takes whichever comes first and counts the other as a duplicate, if both of its sources have the same
-- notification (or the same `space`). A stream that this user may not write to, or a Redis that is full, is an error, and
-- then nothing was published either.
local id = redis.call('XADD', KEYS[1], '*', 'event', ARGV[2])
redis.call('PUBLISH', ARGV[1], ARGV[2])
return id
