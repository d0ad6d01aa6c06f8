#!lua
-- claim: ACCEPTED or DEFERRED, and due -> LEASED, fence + 1, tokens taken in the same step.
--
-- ARGV  instance owner lease_ms limiter(open|closed) lane max max_bytes max_age hold
--       provider_limit(3) recipient_limit(3)
--       notifications, each: name limit(3)
-- Reply now, limiter errors,
--       wait_ms (the provider's limit; 0: not stopped by it), next due (ms; 0: nothing waits, or it is paused),
--       claimed {eid ordinal fence attempts crashes accepted content payload ...},
--       limited {eid ordinal slot scope meta ...},
--       dead {eid ordinal reason meta ...},
--       how many had no readable record
if is_forgotten(take()) then
    return ERROR_FORGOTTEN
end
local owner, lease_ms = take(), take_number()
limiter_closed = take() == 'closed'
local lane, max, max_bytes, max_age, hold = take(), take_number(), take_number(), take_number(), take_number()
local provider = provider_limit(take_limit('p:' .. lane))
local recipient = take_limit('')
local notifications = {}
for _ = 1, take_number() do
    local name = take()
    notifications[name] = take_limit('n:' .. name)
end

if pause_of(lane) == 'paused' then
    return {now_text, 0, 0, '0', {}, {}, {}, 0}
end

local claimed, limited, dead = {}, {}, {}
local bytes, damaged = 0, 0

local function append(list, ...)
    for i = 1, select('#', ...) do
        list[#list + 1] = select(i, ...)
    end
end

local function bury(record, meta, reason)
    move(record, 'X', now)
    tell(record.eid, record.ordinal, 'dead ' .. reason)
    append(dead, record.eid, record.ordinal, reason, meta)
end

local function consider(key, id)
    local eid, ordinal = string.match(id, '^(%w+):(%d+)$')
    local record, is_damaged = load(eid, ordinal)
    -- An entry that its record does not know is a leftover of lost writes: the record is right.
    if not record or index_of(record) ~= key then
        redis.call('ZREM', key, id)
        damaged = damaged + (is_damaged and 1 or 0)
        return
    end
    local payload = redis.pcall('GET', payload_key(eid))
    local name, count, send_at, expires_at =
        string.match(type(payload) == 'string' and payload or '', '^1 (%S+) %S+ (%d+) (%d+) (%d+)\n')
    if not name then
        return bury(record, '', 'payload is missing')
    end
    local meta = payload_line(payload, count + 2) or ''
    send_at, expires_at = tonumber(send_at), tonumber(expires_at)
    if expires_at > 0 and expires_at <= now then
        return bury(record, meta, 'expired')
    end
    local last_ms = math.max(record.age_from, send_at) + max_age
    if now > last_ms then
        return bury(record, meta, 'too old')
    end
    recipient.key = base .. ':limit:r:' .. string.match(payload_line(payload, 2 + ordinal) or '', '^%w*')
    local passed, slot_us, offer = pass_scopes(record, notifications[name], recipient)
    if not passed then
        local slot = math.ceil(slot_us / 1000)
        if slot > last_ms or (expires_at > 0 and slot >= expires_at) then
            return bury(record, meta, 'limited until ' .. text_of(slot))
        end
        local scope = reserve_scopes(record, offer)
        record.at = slot - record.accepted
        settle(record, key)
        tell(eid, ordinal, 'limited ' .. text_of(slot) .. ' ' .. scope)
        append(limited, eid, ordinal, text_of(slot), scope, meta)
        return
    end
    provider.use()
    record.fence = record.fence + 1
    record.flags = hold == 1 and HOLD or 0
    record.state, record.owner, record.at = 'L', owner, now + lease_ms - record.accepted
    settle(record, key)
    bytes = bytes + #payload
    append(claimed, eid, ordinal, text_of(record.fence), record.attempts, record.crashes,
           text_of(record.accepted), record.content, payload)
end

local want = math.min(max, provider.tokens())
if want >= 1 then
    local new = redis.call('ZRANGEBYSCORE', due_key(lane), '-inf', now, 'LIMIT', 0, want)
    local again = redis.call('ZRANGEBYSCORE', again_key(lane), '-inf', now, 'LIMIT', 0, want)
    -- While new ones wait, what waits again takes at most half the slots; and the other way round. The odd
    -- one goes by a coin: a lane with a slow limit claims one at a time, and neither side may starve.
    local half = math.floor(want / 2 + now_us % 2 / 2)
    local from_again = math.min(#again, math.max(want - #new, half))
    local from_new = math.min(#new, want - from_again)
    for i = 1, math.max(from_again, from_new) do
        if i <= from_again and bytes < max_bytes then
            consider(again_key(lane), again[i])
        end
        if i <= from_new and bytes < max_bytes then
            consider(due_key(lane), new[i])
        end
    end
    provider.write()
end
local wait_ms = provider.tokens() < 1 and provider.wait_ms() or 0

local next_due = 0
for _, key in ipairs({due_key(lane), again_key(lane)}) do
    local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if first[2] and (next_due == 0 or tonumber(first[2]) < next_due) then
        next_due = tonumber(first[2])
    end
end
return {now_text, limiter_errors, wait_ms, text_of(next_due), claimed, limited, dead, damaged}
