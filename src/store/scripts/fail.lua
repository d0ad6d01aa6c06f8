#!lua flags=allow-oom
-- fail: LEASED -> DEFERRED, DEAD or UNKNOWN; current fence only.
-- ARGV  retain_ms items, each: eid ordinal fence what(defer|dead|unknown) delay_ms attempts reason
-- Reply per item 1, or 0 when the lease is another's, or it is unknown here: what may have been sent waits for its
--       event
local retain_ms = take_number()
local reply = {}
for i = 1, take_number() do
    local eid, ordinal = take(), take()
    local record = load(eid, ordinal)
    local fence, what, delay_ms = take_number(), take(), take_number()
    local attempts, reason = take_number(), take()
    if record and record.state == 'L' and record.fence == fence then
        record.attempts = attempts
        if what == 'defer' then
            record.fence = record.fence + 1
            move(record, 'D', now + delay_ms)
            tell(record.eid, record.ordinal, 'retry ' .. text_of(now + delay_ms) .. ' ' .. reason)
        else
            move(record, what == 'dead' and 'X' or 'U', now)
            tell(record.eid, record.ordinal, what .. ' ' .. reason)
        end
        reply[i] = 1
    else
        if what == 'unknown' and not record and is_lost(eid) then
            keep_early(eid, ordinal, 'U ' .. text_of(attempts), retain_ms)
        end
        reply[i] = 0
    end
end
return reply
