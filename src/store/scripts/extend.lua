#!lua flags=allow-oom
-- extend: LEASED -> LEASED until a lease from now; current fence only. A lease that a restarted Redis has
-- forgotten (its record waits, under a lower fence) is taken again: its owner may be past the commit point.
-- ARGV  owner lease_ms items, each: eid ordinal fence      Reply per item 1, or 0 when the lease is another's
local owner, lease_ms = take(), take_number()
local reply = {}
for i = 1, take_number() do
    local record = load(take(), take())
    local fence = take_number()
    local is_waiting = record and (record.state == 'A' or record.state == 'D')
    if record and record.state == 'L' and record.fence == fence then
        record.at = now + lease_ms - record.accepted
        settle(record, lease_key)
        reply[i] = 1
    elseif is_waiting and record.fence < fence then
        local before = index_of(record)
        record.state, record.fence, record.owner = 'L', fence, owner
        record.at = now + lease_ms - record.accepted
        record.flags = without_slots(record.flags)
        settle(record, before)
        reply[i] = 1
    else
        reply[i] = 0
    end
end
return reply
