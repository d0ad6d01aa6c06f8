#!lua
-- accept: received -> ACCEPTED or LEASED, or duplicate, or conflict. Several events a call; all of one event
-- in one step.
--
-- ARGV  instance owner lease_ms retain_ms limiter(open|closed)
--       lanes, each: name capacity provider_limit(3) recipient_limit(3)
--       notifications, each: name limit(3)
--       events, each: eid content payload notification(1-based) send_at expires_at note
--                     targets, each: lane(1-based) scope max_age hold dead
-- Reply now, limiter errors, then per event one array:
--       {"N", accepted, per target "L" | "A" | "W <slot ms> <scope>" | "X <reason>"}; "A" also of
--                what was answered before its event was told again
--       {"D", accepted, per delivery on record its packed record}    {"C"}    {"E", why}
if is_forgotten(take()) then
    return ERROR_FORGOTTEN
end
local owner, lease_ms, retain_ms = take(), take_number(), take_number()
limiter_closed = take() == 'closed'

-- A lane takes new deliveries at once only while nothing of it is due earlier; else they would overtake its
-- backlog for ever.
local lanes = {}
for i = 1, take_number() do
    local lane = {name = take(), capacity = take_number()}
    lane.limit = provider_limit(take_limit('p:' .. lane.name))
    lane.recipient = take_limit('')
    lane.is_open = lane.capacity > 0 and pause_of(lane.name) ~= 'paused' and
        #redis.call('ZRANGEBYSCORE', due_key(lane.name), '-inf', now, 'LIMIT', 0, 1) == 0 and
        #redis.call('ZRANGEBYSCORE', again_key(lane.name), '-inf', now, 'LIMIT', 0, 1) == 0
    lanes[i] = lane
end
local notifications = {}
for i = 1, take_number() do
    notifications[i] = take_limit('n:' .. take())
end

-- Decides what becomes of a fresh record, and says it as the reply does.
local function place(record, target, event)
    local lane = target.lane
    if target.dead ~= '' then
        record.state = 'X'
        return 'X ' .. target.dead
    end
    if event.expires_at > 0 and event.expires_at <= now then
        record.state = 'X'
        return 'X expired'
    end
    if event.send_at > now then
        record.at = event.send_at - now
        return 'A'
    end
    if not lane.is_open or lane.capacity <= 0 or lane.limit.tokens() < 1 then
        lane.is_open = false
        return 'A'
    end
    lane.recipient.key = base .. ':limit:r:' .. target.scope
    local passed, slot_us, offer = pass_scopes(record, event.limit, lane.recipient)
    if not passed then
        local slot = math.ceil(slot_us / 1000)
        if slot > now + target.max_age or (event.expires_at > 0 and slot >= event.expires_at) then
            record.state = 'X'
            return 'X limited until ' .. text_of(slot)
        end
        local scope = reserve_scopes(record, offer)
        record.at = slot - now
        return 'W ' .. text_of(slot) .. ' ' .. scope
    end
    lane.limit.use()
    lane.capacity = lane.capacity - 1
    record.state, record.fence, record.owner, record.at = 'L', 1, owner, lease_ms
    record.flags = target.hold == 1 and HOLD or 0
    return 'L'
end

-- Of deliveries whose answer came before them: their event was told again.
local answered = {} -- id -> the answer
local has_early = redis.call('EXISTS', early_key) == 1

local function early_answer(id)
    local answer = has_early and redis.pcall('HGET', early_key, id)
    return type(answer) == 'string' and string.match(answer, '^[SU] %d+$') or nil
end

local entries = {} -- of fresh records: per index, scores and members for one ZADD
local writes = {}  -- HSET's arguments, payload and lines for `explain` of fresh events
local fresh = {}   -- eid -> its place in writes
local buried_bytes = 0

-- Ordinals as text: redis.call spends a quarter of a microsecond on converting a number.
local ordinals = {}
local function ordinal_text(number)
    local text = ordinals[number]
    if not text then
        text = tostring(number)
        ordinals[number] = text
    end
    return text
end

local function enter(event)
    local answer = {'N', now_text}
    local write = {event = event, told = {},
                   fields = {event_key(event.eid), 'h', event.content, 't', now_text,
                              'o', ordinal_text(#event.targets)}}
    local fields = write.fields
    for i, target in ipairs(event.targets) do
        local ordinal = ordinal_text(i - 1)
        local record = {state = 'A', fence = 0, attempts = 0, crashes = 0, at = 0, flags = 0, owner = '-',
                        accepted = now, lane = target.dead == '' and target.lane.name or '-'}
        local id = event.eid .. ':' .. ordinal
        answered[id] = early_answer(id)
        local fate = answered[id] and 'A' or place(record, target, event)
        answer[i + 2] = fate
        fields[#fields + 1] = ordinal
        fields[#fields + 1] = pack(record)
        local key = index_of(record)
        local list = entries[key]
        if not list then
            list = {}
            entries[key] = list
        end
        list[#list + 1] = text_of(now + record.at)
        list[#list + 1] = id
        if record.state == 'A' then
            tell_lane(record.lane)
        end
        if record.state == 'X' then
            buried_bytes = buried_bytes + #event.payload
            write.told[#write.told + 1] = {ordinal, 'dead ' .. string.sub(fate, 3)}
        elseif record.flags >= RESERVED_NOTIFICATION then
            write.told[#write.told + 1] = {ordinal, 'limited ' .. string.sub(fate, 3)}
        end
    end
    writes[#writes + 1] = write
    fresh[event.eid] = write
    return answer
end

-- What is on record of an event that was there before, or earlier in this call.
local function answer_known(event, content, accepted, record_of)
    if content ~= event.content then
        return {'C'}
    end
    local answer = {'D', accepted or '0'}
    local ordinal = 0
    local text = record_of(ordinal)
    while text do
        answer[ordinal + 3] = text
        ordinal = ordinal + 1
        text = record_of(ordinal)
    end
    return answer
end

local reply = {now_text, 0}
local conflicts = {}
for _ = 1, take_number() do
    local event = {eid = take(), content = take(), payload = take(), limit = notifications[take_number()],
                   send_at = take_number(), expires_at = take_number(), note = take(), targets = {}}
    for i = 1, take_number() do
        event.targets[i] = {lane = lanes[take_number()], scope = take(), max_age = take_number(),
                            hold = take_number(), dead = take()}
    end
    local key = event_key(event.eid)
    local answer
    local twin = fresh[event.eid]
    if twin then
        answer = answer_known(event, twin.fields[3], now_text, function(ordinal)
            return twin.fields[9 + 2 * ordinal]
        end)
    else
        local seen = redis.pcall('HMGET', key, 'h', 't', '0')
        if seen.err then
            answer = {'E', 'the key of this event holds something else'}
        elseif seen[1] then
            answer = answer_known(event, seen[1], seen[2], function(ordinal)
                return ordinal == 0 and seen[3] or redis.call('HGET', key, ordinal)
            end)
        else
            answer = enter(event)
        end
    end
    if answer[1] == 'C' then
        conflicts[#conflicts + 1] = event
    end
    reply[#reply + 1] = answer
end

for key, list in pairs(entries) do
    for from = 1, #list, 1000 do
        redis.call('ZADD', key, unpack(list, from, math.min(from + 999, #list)))
    end
end
for _, write in ipairs(writes) do
    local eid = write.event.eid
    redis.call('HSET', unpack(write.fields))
    redis.call('SET', payload_key(eid), write.event.payload)
    if write.event.note ~= '' then
        tell(eid, '-', write.event.note)
    end
    for _, line in ipairs(write.told) do
        tell(eid, line[1], line[2])
    end
end
for _, event in ipairs(conflicts) do
    tell(event.eid, '-', 'conflict ' .. event.content)
end
for id, answer in pairs(answered) do
    local record = load(string.match(id, '^(%w+):(%d+)$'))
    local state, attempts = string.match(answer, '^(%u) (%d+)$')
    record.attempts = tonumber(attempts)
    if state == 'S' then
        finish(record, 'S', retain_ms)
    else
        move(record, 'U', now)
    end
    tell(record.eid, record.ordinal, (state == 'S' and 'sent' or 'unknown') .. ' before Redis lost the event')
    redis.call('HDEL', early_key, id)
end
if buried_bytes > 0 then
    weigh_dead(buried_bytes)
end
for _, lane in ipairs(lanes) do
    lane.limit.write()
end
reply[2] = limiter_errors
return reply
