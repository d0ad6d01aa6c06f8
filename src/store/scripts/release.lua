#!lua flags=allow-oom
-- release: LEASED -> as it was before; certainly not sent, costs nothing. Current fence only.
-- ARGV  items, each: eid ordinal fence      Reply per item 1, or 0 when the lease is another's
local reply = {}
for i = 1, take_number() do
    local record = load(take(), take())
    local fence = take_number()
    if record and record.state == 'L' and record.fence == fence then
        record.fence = record.fence + 1
        -- An old due time keeps its place in the queue.
        move(record, record.attempts > 0 and 'D' or 'A', record.attempts > 0 and now or record.accepted)
        reply[i] = 1
    else
        reply[i] = 0
    end
end
return reply
