-- Put behind the first line of every script. KEYS[1] is "<prefix>:{<shard>}"; every other key is built from
-- it, so all that a script touches lies in one cluster slot. An event's hash (...:e:<eid>) holds
--
--     h           hash of its content
--     t           when it was accepted (ms)
--     o           how many of its deliveries have not ended for good (neither sent nor dropped)
--     0, 1, ...   one packed record per delivery, under its ordinal
--     b<ordinal>  from when its age counts, once it has been replayed
--
-- and a packed record is
--
--     STATE fence attempts crashes at flags lane owner
--
-- STATE  A accepted  D deferred  L leased  U unknown  X dead  S sent  R dropped
-- at     milliseconds after the event's acceptance: when due (A, D), when the lease ends (L), else since when
-- flags  1 started, 2 hold on unknown, 4 slot reserved with the notification's limit, 8 ... with the recipient's
-- owner  the incarnation that leases it, or "-"
--
-- It must stay within 64 bytes: one longer value turns the whole hash from a listpack into a table, three
-- times the size.
--
-- A script is atomic, not transactional: a call that fails midway (a key of ours that holds something
-- foreign) leaves what was written before. So what may hold anything is read with pcall, and each delivery is
-- written index first, record second, old index last: an index entry that its record does not know is removed
-- by whoever meets it; a record in no index would be lost.
local base = KEYS[1]
local STARTED, HOLD, RESERVED_NOTIFICATION, RESERVED_RECIPIENT = 1, 2, 4, 8

local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local now = math.floor(now_us / 1000)

local argument = 0
local function take()
    argument = argument + 1
    return ARGV[argument]
end
local function take_number()
    argument = argument + 1
    return tonumber(ARGV[argument])
end

-- Integers as text; `..` would round those past 14 digits.
local function text_of(number)
    return string.format('%.0f', number)
end

local now_text = text_of(now)

local function has(flags, bit_value)
    return math.floor(flags / bit_value) % 2 == 1
end
local function with(flags, bit_value)
    return has(flags, bit_value) and flags or flags + bit_value
end
local function without(flags, bit_value)
    return has(flags, bit_value) and flags - bit_value or flags
end
-- Only the two lowest flags outlive the wait for a slot.
local function without_slots(flags)
    return flags % RESERVED_NOTIFICATION
end

local function event_key(eid)
    return base .. ':e:' .. eid
end
local function payload_key(eid)
    return base .. ':p:' .. eid
end
local function due_key(lane)
    return base .. ':due:' .. lane
end
local function again_key(lane)
    return base .. ':again:' .. lane
end
-- "paused" or "resumed", and since when (ms, as text), as an operator last said of the lane; or nil. A lane that
-- is resumed keeps its word, so that one missing here means that Redis lost it.
local function pause_of(lane)
    local found = redis.pcall('HMGET', base .. ':paused', lane)
    return string.match(not found.err and found[1] or '', '^(%l+) (%d+)$')
end
local lease_key, dead_key, unknown_key = base .. ':lease', base .. ':dead', base .. ':unknown'
local dead_bytes_key = base .. ':dead-bytes'

-- The bounds keep the sum at 64: 20 for the lane, 8 for the owner, 8 for the fence, 12 for the time.
local function pack(record)
    return string.format('%s %.0f %d %d %.0f %d %s %s', record.state, record.fence,
                         math.min(record.attempts, 999), math.min(record.crashes, 999), record.at,
                         record.flags, record.lane, record.owner)
end
local function unpack_record(text)
    local state, fence, attempts, crashes, at, flags, lane, owner =
        string.match(text or '', '^([ADLUXSR]) (%d+) (%d+) (%d+) (%-?%d+) (%d+) (%S+) (%S+)$')
    if not state then
        return nil
    end
    return {state = state, fence = tonumber(fence), attempts = tonumber(attempts),
            crashes = tonumber(crashes), at = tonumber(at), flags = tonumber(flags),
            lane = lane, owner = owner}
end

-- The record of "eid:ordinal" with what the event knows about it; or nil, and then whether something
-- unreadable is in its place.
local function load(eid, ordinal)
    if not eid then
        return nil, false
    end
    local fields = redis.pcall('HMGET', event_key(eid), ordinal, 't', 'o', 'b' .. ordinal, 'h')
    if fields.err then
        return nil, true
    end
    local record = unpack_record(fields[1])
    local accepted = tonumber(fields[2])
    if not record or not accepted then
        return nil, fields[1] and true or false
    end
    record.accepted = accepted
    record.age_from = tonumber(fields[4]) or accepted
    -- A damaged count must not throw the payload away.
    record.open = tonumber(fields[3]) or 1000
    record.content = fields[5] or ''
    record.eid, record.ordinal, record.id = eid, ordinal, eid .. ':' .. ordinal
    return record
end
local function store(record)
    redis.call('HSET', event_key(record.eid), record.ordinal, pack(record))
end

-- The one place that says which index a state lives in. Slots reserved with a limit wait with the retries:
-- there a backlog of newer deliveries can't make them late.
local function index_of(record)
    local state = record.state
    if state == 'L' then
        return lease_key
    elseif state == 'X' then
        return dead_key
    elseif state == 'U' then
        return unknown_key
    elseif state == 'D' or (state == 'A' and record.flags >= RESERVED_NOTIFICATION) then
        return again_key(record.lane)
    elseif state == 'A' then
        return due_key(record.lane)
    end
    return nil
end
local lanes_told = {}
local function tell_lane(lane)
    if not lanes_told[lane] then
        lanes_told[lane] = true
        redis.pcall('HSET', base .. ':lanes', lane, now_text)
    end
end
local function index(record)
    local key = index_of(record)
    redis.call('ZADD', key, text_of(record.accepted + record.at), record.id)
    if record.state == 'A' or record.state == 'D' then
        tell_lane(record.lane)
    end
    return key
end

-- What the payloads of the dead weigh, each counted once per dead delivery, so that trim can bound it.
local function weigh_dead(bytes)
    local sum = redis.pcall('INCRBY', dead_bytes_key, text_of(bytes))
    if type(sum) ~= 'number' or sum < 0 then
        redis.call('SET', dead_bytes_key, 0)
    end
end
local function payload_bytes(eid)
    local bytes = redis.pcall('STRLEN', payload_key(eid))
    return type(bytes) == 'number' and bytes or 0
end

-- Writes a record that has changed; `before` is the index it was in.
local function settle(record, before)
    local after = index(record)
    store(record)
    if before ~= after then
        redis.call('ZREM', before, record.id)
    end
end

-- Moves a record to a state that has not ended, at a time: index and record in one step. `owner` goes with
-- state L only.
local function move(record, state, at_ms, owner)
    local before = index_of(record)
    local was_dead = record.state == 'X'
    record.state = state
    record.at = at_ms - record.accepted
    record.owner = owner or '-'
    record.flags = without_slots(without(record.flags, STARTED))
    settle(record, before)
    if was_dead ~= (state == 'X') then
        weigh_dead(was_dead and -payload_bytes(record.eid) or payload_bytes(record.eid))
    end
end

-- Ends a delivery for good (S or R). With an event's last one the payload goes, and with it the personal
-- data; the records stay for as long as duplicates are to be recognised.
local function finish(record, state, retain_ms)
    local before = index_of(record)
    local key = event_key(record.eid)
    if record.state == 'X' then
        weigh_dead(-payload_bytes(record.eid))
    end
    record.state = state
    record.at = now - record.accepted
    record.owner = '-'
    record.flags = without_slots(without(record.flags, STARTED))
    if not before then -- it had been dropped, and was counted then
        store(record)
        return
    end
    redis.call('HSET', key, record.ordinal, pack(record), 'o', record.open - 1)
    redis.call('ZREM', before, record.id)
    if record.open <= 1 then
        redis.call('DEL', payload_key(record.eid))
        redis.call('PEXPIRE', key, retain_ms)
        redis.call('PEXPIRE', base .. ':x:' .. record.eid, retain_ms)
    end
end

-- Answers to deliveries that are not on record: Redis lost the event with its last writes, and whoever accepted
-- it tells it again, perhaps only after this answer; or its stream does. So the answer waits for it, for as long
-- as duplicates are recognised: "S attempts" or "U attempts" under "eid:ordinal". The most that are kept weigh
-- about 30 MB.
local early_key = base .. ':early'
local EARLY_MAX = 300000

local function keep_early(eid, ordinal, answer, retain_ms)
    local kept = redis.pcall('HLEN', early_key)
    if type(kept) == 'number' and kept < EARLY_MAX then
        redis.call('HSET', early_key, eid .. ':' .. ordinal, answer)
        redis.call('PEXPIRE', early_key, retain_ms)
    end
end
-- Only of an event that was not there at all: where just a record is missing, it is damaged.
local function is_lost(eid)
    return redis.call('EXISTS', event_key(eid)) == 0
end

-- One line of history for `explain`, at most eight, written only when something other than a first-attempt
-- success happened. What is told of an event that has ended goes when the event goes.
local function tell(eid, ordinal, text)
    local key = base .. ':x:' .. eid
    local line = redis.pcall('HINCRBY', key, 'n', 1)
    if type(line) == 'number' then
        redis.call('HSET', key, 'h' .. line % 8, now_text .. ' ' .. ordinal .. ' ' .. text)
        local left_ms = redis.call('PTTL', event_key(eid))
        if left_ms >= 0 then
            redis.call('PEXPIRE', key, left_ms)
        end
    end
end

-- The n-th line of a payload (see delivery.h), or nil.
local function payload_line(payload, n)
    local from = 1
    for _ = 2, n do
        local at = string.find(payload, '\n', from, true)
        if not at then
            return nil
        end
        from = at + 1
    end
    local to = string.find(payload, '\n', from, true)
    return to and string.sub(payload, from, to - 1)
end
