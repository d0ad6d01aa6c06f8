#!lua flags=allow-oom
-- extend: LEASED -> LEASED until a lease from now; current fence only.
-- ARGV  lease_ms items, each: eid ordinal fence      Reply per item 1, or 0 when the lease is another's
local lease_ms = take_number()
local reply = {}
for i = 1, take_number() do
    local record = load(take(), take())
    local fence = take_number()
    if record and record.state == 'L' and record.fence == fence then
        record.at = now + lease_ms - record.accepted
        settle(record, lease_key)
        reply[i] = 1
    else
        reply[i] = 0
    end
end
return reply
