#!lua flags=allow-oom
-- fsck: does each named thing agree with the record, which is right? Looks, and mends if asked to, in one
-- step, so what the daemon moves meanwhile is never mistaken for damage.
-- ARGV  repair(0|1) retain_ms items, each: kind name
--         e|p|x eid         an event, a payload, a history
--         limit scope       a limiter's key
--         weigh eid         adds the payload's bytes to the sum
--         weight "seen sum count"    dead-bytes, which was `seen` while `count` dead were weighed at `sum`
--         any other kind    an index, and the "eid:ordinal" in it
-- Reply sum of the bytes weighed, then per finding: kind, name, words, 1 mended | 0
local repair, retain_ms = take() == '1', take_number()
local sum = 0
local reply = {'0'}

local function find(kind, name, words, mend)
    local is_mended = repair and mend ~= nil
    if is_mended then
        is_mended = mend() ~= false
    end
    for _, value in ipairs({kind, name, words, is_mended and 1 or 0}) do
        reply[#reply + 1] = value
    end
end

-- The entry that the record asks for.
local function check_entry(record)
    local key = index_of(record)
    if not key then
        return
    end
    local score = redis.pcall('ZSCORE', key, record.id)
    if type(score) == 'table' then
        return find('e', record.id, 'its index ' .. key .. ' is no sorted set')
    end
    if tonumber(score) ~= record.accepted + record.at then
        find('e', record.id, (score and 'has another time in ' or 'is missing in ') .. key, function()
            index(record)
        end)
    end
end

local function check_owner(record)
    if (record.state == 'L') == (record.owner ~= '-') then
        return
    end
    find('e', record.id, record.state == 'L' and 'is leased to nobody' or 'has an owner and no lease', function()
        if record.state == 'L' then
            record.fence = record.fence + 1
            move(record, record.attempts > 0 and 'D' or 'A', now)
        else
            record.owner = '-'
            store(record)
        end
    end)
end

-- What was never read and can't be sent is not worth keeping open; what is leased its owner still holds.
local function drop_open(eid, ordinals)
    local is_all = true
    for _, ordinal in ipairs(ordinals) do
        local record = load(eid, ordinal)
        if record.state == 'L' then
            is_all = false
        elseif index_of(record) then
            finish(record, 'R', retain_ms)
            tell(eid, ordinal, 'dropped payload is missing')
        end
    end
    return is_all
end

local function check_ttl(kind, eid, key, is_open)
    local left_ms = redis.call('PTTL', key)
    if is_open and left_ms >= 0 then
        find(kind, eid, 'would expire, and is open', function()
            redis.call('PERSIST', key)
        end)
    elseif not is_open and left_ms == -1 then
        find(kind, eid, 'has ended, and would never expire', function()
            redis.call('PEXPIRE', key, retain_ms)
        end)
    end
end

local function check_event(eid)
    local key = event_key(eid)
    local kind = redis.call('TYPE', key).ok
    if kind ~= 'hash' then
        return kind ~= 'none' and find('e', eid, 'is no hash')
    end
    local fields = redis.call('HGETALL', key)
    local ordinals, members, is_readable, open = {}, {}, true, 0
    for i = 1, #fields, 2 do
        members[fields[i]] = fields[i + 1]
    end
    if not tonumber(members.t) or not members.h then
        return find('e', eid, 'has no time of acceptance, or no hash of its content')
    end
    for name, text in pairs(members) do
        if string.match(name, '^%d+$') then
            local record = load(eid, name)
            if not record then
                is_readable = false
                find('e', eid .. ':' .. name, 'can not be read: ' .. string.sub(text, 1, 64))
            else
                if #text > 64 then
                    find('e', record.id, 'is longer than 64 bytes')
                end
                check_owner(record)
                check_entry(record)
                ordinals[#ordinals + 1] = name
                open = open + (index_of(record) and 1 or 0)
            end
        end
    end
    if not is_readable then
        return -- what can't be read may be open
    end
    if tonumber(members.o) ~= open then
        find('e', eid, 'counts ' .. (members.o or 'nothing') .. ' open, ' .. open .. ' are', function()
            redis.call('HSET', key, 'o', open)
        end)
    end
    local has_payload = redis.call('EXISTS', payload_key(eid)) == 1
    if open > 0 and not has_payload then
        find('p', eid, 'is missing, and ' .. open .. ' are open', function()
            return drop_open(eid, ordinals)
        end)
        if repair then
            return
        end
    elseif open == 0 and has_payload then
        find('p', eid, 'is kept, and none is open', function()
            redis.call('DEL', payload_key(eid))
        end)
    end
    check_ttl('e', eid, key, open > 0)
    check_ttl('x', eid, base .. ':x:' .. eid, open > 0)
end

local function check_orphan(kind, eid)
    local key = base .. ':' .. kind .. ':' .. eid
    if redis.call('EXISTS', event_key(eid)) == 0 and redis.call('EXISTS', key) == 1 then
        find(kind, eid, 'has no event', function()
            redis.call('DEL', key)
        end)
    end
end

local function check_member(kind, id)
    local key = base .. ':' .. kind
    local eid, ordinal = string.match(id, '^(%w+):(%d+)$')
    local record, is_damaged = load(eid, ordinal)
    if is_damaged or not redis.call('ZSCORE', key, id) then
        return -- the event tells, or it has moved on
    end
    if not record or index_of(record) ~= key then
        local words = record and ('its record says ' .. record.state .. ' in lane ' .. record.lane)
            or 'has no record'
        find(kind, id, words, function()
            if record and index_of(record) then
                index(record)
            end
            redis.call('ZREM', key, id)
        end)
    end
end

local function check_weight(text)
    local seen, weighed, count = string.match(text, '^(%S+) (%d+) (%d+)$')
    local said = redis.pcall('GET', dead_bytes_key)
    said = type(said) == 'string' and said or '-'
    if said ~= seen or redis.call('ZCARD', dead_key) ~= tonumber(count) then
        return -- it moved while it was being weighed
    end
    if (tonumber(said) or (said == '-' and 0)) ~= tonumber(weighed) then
        find('dead-bytes', said, 'the dead weigh ' .. weighed, function()
            redis.call('SET', dead_bytes_key, weighed)
        end)
    end
end

for _ = 1, take_number() do
    local kind, name = take(), take()
    if kind == 'e' then
        check_event(name)
    elseif kind == 'p' or kind == 'x' then
        check_orphan(kind, name)
    elseif kind == 'weigh' then
        sum = sum + payload_bytes(name)
    elseif kind == 'weight' then
        check_weight(name)
    elseif kind == 'limit' then
        if redis.call('PTTL', base .. ':limit:' .. name) == -1 then
            find(kind, name, 'would never expire', function()
                redis.call('PEXPIRE', base .. ':limit:' .. name, retain_ms)
            end)
        end
    else
        check_member(kind, name)
    end
end
reply[1] = text_of(sum)
return reply
