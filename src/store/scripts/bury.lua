#!lua flags=allow-oom
-- bury: ACCEPTED or DEFERRED in a lane that nobody serves, and too old -> DEAD no lane. Claim does this for
-- the lanes that are served.
-- ARGV  lane max_age max      Reply dead, and how many are left
local lane, max_age, max = take(), take_number(), take_number()
local dead = 0
for _, key in ipairs({due_key(lane), again_key(lane)}) do
    for _, id in ipairs(redis.call('ZRANGE', key, 0, max - 1)) do
        local record = load(string.match(id, '^(%w+):(%d+)$'))
        if not record or index_of(record) ~= key then
            redis.call('ZREM', key, id)
        else
            local head = redis.pcall('GETRANGE', payload_key(record.eid), 0, 199)
            local send_at = type(head) == 'string' and string.match(head, '^1 %S+ %S+ %d+ (%d+) ')
            if now > math.max(record.age_from, tonumber(send_at) or 0) + max_age then
                move(record, 'X', now)
                tell(record.eid, record.ordinal, 'dead no lane')
                dead = dead + 1
            end
        end
    end
end
return {dead, redis.call('ZCARD', due_key(lane)) + redis.call('ZCARD', again_key(lane))}
