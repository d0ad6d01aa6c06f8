#!lua flags=allow-oom
-- move: what waits in one lane waits in another, in the same order: a provider was renamed, or an operator
-- brings an orphaned lane home.
-- ARGV  from to max pausing(heed|ignore)
-- Reply moved, and how many are left; an error if they are one: nothing would get less. With `heed` a paused
-- lane keeps what it has: under its new name it would be sent.
local from, to, max, pausing = take(), take(), take_number(), take()
if from == to then
    return redis.error_reply('ERR a lane can not be moved to itself')
end
if pausing == 'heed' and pause_of(from) == 'paused' then
    max = 0
end
local moved = 0
for _, key in ipairs({due_key(from), again_key(from)}) do
    local ids = max > 0 and redis.call('ZRANGE', key, 0, max - 1) or {}
    max = max - #ids
    for _, id in ipairs(ids) do
        local record = load(string.match(id, '^(%w+):(%d+)$'))
        if record and index_of(record) == key then
            record.lane = to
            settle(record, key)
            moved = moved + 1
        else
            redis.call('ZREM', key, id)
        end
    end
end
local left = redis.call('ZCARD', due_key(from)) + redis.call('ZCARD', again_key(from))
if left == 0 then
    redis.pcall('HDEL', base .. ':lanes', from)
end
return {moved, left}
