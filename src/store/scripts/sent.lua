#!lua flags=allow-oom
-- sent: any state -> SENT, any fence: the provider's yes is the truth, whoever brings it.
-- ARGV  retain_ms items, each: eid ordinal fence attempt reply
-- Reply per item 1 noted, 2 was noted before, 3 noted, though the lease was another's, 0 unknown here: it waits
--       for its event
local retain_ms = take_number()
local reply = {}
for i = 1, take_number() do
    local eid, ordinal = take(), take()
    local record = load(eid, ordinal)
    local fence, attempt, words = take_number(), take_number(), take()
    if not record then
        if is_lost(eid) then
            keep_early(eid, ordinal, 'S ' .. text_of(attempt), retain_ms)
        end
        reply[i] = 0
    elseif record.state == 'S' then
        reply[i] = 2
    else
        local is_ours = record.state == 'L' and record.fence == fence
        record.attempts = math.max(record.attempts, attempt)
        finish(record, 'S', retain_ms)
        if record.fence > 1 or not is_ours then
            tell(record.eid, record.ordinal, 'sent ' .. words)
        end
        reply[i] = is_ours and 1 or 3
    end
end
return reply
