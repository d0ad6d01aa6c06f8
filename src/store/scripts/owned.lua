#!lua
-- owned: reads which leases are an owner's, a stretch of the index at a time.
-- ARGV  owner last score max      last and score: where the stretch before ended; last empty: the beginning
-- Reply last and score of this stretch (last empty: that was all), then per lease eid ordinal fence
--
-- The place is a member with its score and not a rank: outcomes that are written meanwhile take members out of
-- the index, and those behind them would be passed over. Where the member itself has gone, its equals in score
-- are read again.
local owner, last, score, max = take(), take(), take(), take_number()
local from = 0
if last ~= '' and redis.call('ZSCORE', lease_key, last) == score then
    from = redis.call('ZRANK', lease_key, last) + 1
elseif last ~= '' then
    from = redis.call('ZCOUNT', lease_key, '-inf', '(' .. score)
end
local ids = redis.call('ZRANGE', lease_key, from, from + max - 1, 'WITHSCORES')
local reply = {'', ''}
if #ids == 2 * max then
    reply = {ids[#ids - 1], ids[#ids]}
end
for i = 1, #ids, 2 do
    local eid, ordinal = string.match(ids[i], '^(%w+):(%d+)$')
    local record = load(eid, ordinal)
    if record and record.state == 'L' and record.owner == owner then
        reply[#reply + 1] = eid
        reply[#reply + 1] = ordinal
        reply[#reply + 1] = text_of(record.fence)
    end
end
return reply
