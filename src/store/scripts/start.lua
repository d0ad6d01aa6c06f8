#!lua flags=allow-oom
-- start: LEASED -> LEASED, started; current fence only. Awaited before the send where its outcome may stay
-- unknown for good.
-- ARGV  items, each: eid ordinal fence      Reply per item 1, or 0 when the lease is another's
local reply = {}
for i = 1, take_number() do
    local record = load(take(), take())
    local fence = take_number()
    if record and record.state == 'L' and record.fence == fence then
        record.flags = with(record.flags, STARTED)
        store(record)
        reply[i] = 1
    else
        reply[i] = 0
    end
end
return reply
