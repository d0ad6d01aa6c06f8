#!lua flags=allow-oom
-- trim: keeps the dead and unknown lists bounded, oldest first, a little at a time: unknown becomes dead
-- after seven days; dead is dropped past its age, its number, or the weight of its payloads.
-- ARGV  retain_ms max_age_ms max_count max_bytes max      Reply dropped, unknown made dead
local retain_ms, max_age = take_number(), take_number()
local max_count, max_bytes, max = take_number(), take_number(), take_number()
local UNKNOWN_MAX_AGE = 7 * 86400000
local aged = 0
local aged_out = redis.call('ZRANGEBYSCORE', unknown_key, '-inf', now - UNKNOWN_MAX_AGE, 'LIMIT', 0, max)
for _, id in ipairs(aged_out) do
    local record = load(string.match(id, '^(%w+):(%d+)$'))
    if record and record.state == 'U' then
        move(record, 'X', now)
        tell(record.eid, record.ordinal, 'dead unknown for seven days')
        aged = aged + 1
    else
        redis.call('ZREM', unknown_key, id)
    end
end

local dropped = 0
local surplus = redis.call('ZCARD', dead_key) - max_count
local weight = tonumber(redis.pcall('GET', dead_bytes_key)) or 0
local oldest = redis.call('ZRANGE', dead_key, 0, max - 1, 'WITHSCORES')
for i = 1, #oldest, 2 do
    if (i + 1) / 2 > surplus and weight <= max_bytes and tonumber(oldest[i + 1]) > now - max_age then
        break
    end
    local record = load(string.match(oldest[i], '^(%w+):(%d+)$'))
    if record and record.state == 'X' then
        weight = weight - payload_bytes(record.eid)
        finish(record, 'R', retain_ms)
        tell(record.eid, record.ordinal, 'dropped trimmed')
        dropped = dropped + 1
    else
        redis.call('ZREM', dead_key, oldest[i])
    end
end
-- Payloads that were lost with Redis's last writes could not be subtracted: an empty list weighs nothing.
if redis.call('EXISTS', dead_key) == 0 then
    redis.call('DEL', dead_bytes_key)
end
return {dropped, aged}
