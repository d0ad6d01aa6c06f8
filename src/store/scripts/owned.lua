#!lua
-- owned: reads which leases are an owner's, a stretch of the index at a time.
-- ARGV  owner from max      Reply where to go on (0: that was all), then per lease eid ordinal fence
local owner, from, max = take(), take_number(), take_number()
local ids = redis.call('ZRANGE', lease_key, from, from + max - 1)
local reply = {#ids == max and from + max or 0}
for _, id in ipairs(ids) do
    local eid, ordinal = string.match(id, '^(%w+):(%d+)$')
    local record = load(eid, ordinal)
    if record and record.state == 'L' and record.owner == owner then
        reply[#reply + 1] = eid
        reply[#reply + 1] = ordinal
        reply[#reply + 1] = text_of(record.fence)
    end
end
return reply
