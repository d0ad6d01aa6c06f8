#!lua
-- replay: DEAD or UNKNOWN -> ACCEPTED, with a new age and no attempts behind it; the same identity.
-- ARGV  items, each: eid ordinal      Reply per item 1, or 0 when it is neither dead nor unknown, or its
--       payload is gone
local reply = {}
for i = 1, take_number() do
    local record = load(take(), take())
    reply[i] = 0
    if record and (record.state == 'X' or record.state == 'U') and record.lane ~= '-' and
        redis.call('EXISTS', payload_key(record.eid)) == 1 then
        record.fence = record.fence + 1
        record.attempts, record.crashes = 0, 0
        redis.call('HSET', event_key(record.eid), 'b' .. record.ordinal, now_text)
        move(record, 'A', now)
        tell(record.eid, record.ordinal, 'replayed by an operator')
        reply[i] = 1
    end
end
return reply
