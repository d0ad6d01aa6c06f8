#!lua
-- reap: LEASED and over -> ACCEPTED, UNKNOWN or DEAD. What its owner may have sent is not sent again where
-- that was asked for; what has taken three owners down with it is not tried a fourth time.
-- ARGV  max      Reply accepted, unknown, dead
local accepted, unknown, dead = 0, 0, 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', lease_key, '-inf', now, 'LIMIT', 0, take_number())) do
    local eid, ordinal = string.match(id, '^(%w+):(%d+)$')
    local record = load(eid, ordinal)
    if not record or record.state ~= 'L' then
        redis.call('ZREM', lease_key, id)
    else
        local was_started = has(record.flags, STARTED)
        record.crashes = record.crashes + 1
        if was_started and has(record.flags, HOLD) then
            move(record, 'U', now)
            unknown = unknown + 1
            tell(eid, ordinal, 'unknown lease over after the send had started')
        elseif was_started and record.crashes >= 3 then
            move(record, 'X', now)
            dead = dead + 1
            tell(eid, ordinal, 'dead poison: three owners died with it')
        else
            record.fence = record.fence + 1
            move(record, record.attempts > 0 and 'D' or 'A', now)
            accepted = accepted + 1
            tell(eid, ordinal, 'reaped lease over')
        end
    end
end
return {accepted, unknown, dead}
