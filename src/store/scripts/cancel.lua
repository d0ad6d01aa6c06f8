#!lua flags=allow-oom
-- cancel: ACCEPTED or DEFERRED -> DEAD cancelled; what is leased may be on the wire and stays.
-- ARGV  items, each: eid ordinal      Reply per item 1, or 0 when it was not waiting
local reply = {}
for i = 1, take_number() do
    local record = load(take(), take())
    reply[i] = 0
    if record and (record.state == 'A' or record.state == 'D') then
        move(record, 'X', now)
        tell(record.eid, record.ordinal, 'dead cancelled by an operator')
        reply[i] = 1
    end
end
return reply
