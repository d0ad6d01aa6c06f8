#!lua flags=allow-oom
-- drop: DEAD or UNKNOWN -> DROPPED; the payload goes with the event's last open delivery.
-- ARGV  retain_ms reason items, each: eid ordinal      Reply per item 1, or 0 when it is neither dead nor
--       unknown
local retain_ms, reason = take_number(), take()
local reply = {}
for i = 1, take_number() do
    local record = load(take(), take())
    reply[i] = 0
    if record and (record.state == 'X' or record.state == 'U') then
        finish(record, 'R', retain_ms)
        tell(record.eid, record.ordinal, 'dropped ' .. reason)
        reply[i] = 1
    end
end
return reply
