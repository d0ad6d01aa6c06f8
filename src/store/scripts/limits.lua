-- Rate limits: GCRA (ITU-T I.371 annex A), one microsecond timestamp per scope, the "theoretical arrival
-- time" of the next.
--
-- A limit arrives as three numbers: emission interval, burst tolerance and grace, all in microseconds,
-- interval 0 for none. The interval is one 32nd longer than the limit asks for: that slack pays for a send
-- that starts a little after its time.
local limiter_closed = false
local limiter_errors = 0
local LONGEST_US = 366 * 86400 * 1000000

local function take_limit(name)
    local interval, tolerance, grace = take_number(), take_number(), take_number()
    return {key = base .. ':limit:' .. name, interval = interval, tolerance = tolerance, grace = grace}
end

local function set_arrival(key, value)
    redis.call('SET', key, text_of(value), 'PX', text_of(math.ceil((value - now_us) / 1000) + 1))
end

-- The scope's arrival time, never in the past. Garbage or a key of another type is counted and replaced: by
-- "fresh", or, when the operator chose `closed`, by "the whole burst has just gone", which keeps the limit
-- whatever had been sent.
local function arrival(limit)
    local text = redis.pcall('GET', limit.key)
    if not text then
        return now_us
    end
    local value = type(text) == 'string' and string.match(text, '^%d+$') and tonumber(text)
    if not value then
        limiter_errors = limiter_errors + 1
        value = limiter_closed and now_us + limit.tolerance or now_us
        set_arrival(limit.key, value)
        return value
    end
    -- A clock that stepped back must not close a scope for ever.
    return math.max(now_us, math.min(value, now_us + limit.tolerance + LONGEST_US))
end

-- The provider's limit, read once and written once a call. tokens() says how many may go now; wait_ms() how
-- long until the next.
local function provider_limit(limit)
    local self = {}
    local tat = limit.interval > 0 and arrival(limit)
    local used = 0
    function self.tokens()
        if not tat then
            return math.huge
        end
        return math.floor((now_us + limit.tolerance - tat) / limit.interval)
    end
    function self.use()
        if tat then
            tat = tat + limit.interval
            used = used + 1
        end
    end
    function self.wait_ms()
        return math.max(1, math.ceil((tat + limit.interval - limit.tolerance - now_us) / 1000))
    end
    function self.write()
        if used > 0 then
            set_arrival(limit.key, tat)
        end
    end
    return self
end

-- One scope's view of a delivery: when it would let it go, or that it is paid for, by a slot reserved earlier
-- that is still good. A slot is good for the grace; of two held at once each for half of it, because one may
-- have been held, up to half, for the other.
local function ask(record, bit_value, name, limit)
    if not limit or limit.interval <= 0 then
        return nil
    end
    local scope = {bit_value = bit_value, name = name, limit = limit}
    if has(record.flags, bit_value) then
        local slot_us = (record.accepted + record.at) * 1000
        local holds_both = record.flags >= RESERVED_NOTIFICATION + RESERVED_RECIPIENT
        if now_us <= slot_us + (holds_both and limit.grace / 2 or limit.grace) then
            scope.is_paid, scope.allowed_at = true, 0
            scope.held_until = holds_both and 0 or slot_us + limit.grace / 2
            return scope
        end
    end
    scope.tat = arrival(limit)
    scope.allowed_at = scope.tat + limit.interval - limit.tolerance
    return scope
end

-- Asks a notification's and a recipient's limit at once. True: both are charged. Else the second result is
-- the slot (us) and the third the offer to reserve it, for reserve_scopes.
local function pass_scopes(record, notification, recipient)
    local first = ask(record, RESERVED_NOTIFICATION, 'notification', notification)
    local second = ask(record, RESERVED_RECIPIENT, 'recipient', recipient)
    local later = first
    if not first or (second and second.allowed_at >= first.allowed_at) then
        later = second
    end
    if not later or later.allowed_at <= now_us then
        for _, scope in pairs({first, second}) do
            if not scope.is_paid then
                set_arrival(scope.limit.key, scope.tat + scope.limit.interval)
            end
        end
        return true
    end
    local offer = {name = later.name, slot_us = later.allowed_at, first = first, second = second}
    return false, offer.slot_us, offer
end

-- Takes the slot that pass_scopes offered and says so in the flags. Returns the binding scope's name for
-- people.
--
-- The slot is the later of the two, and only the scope that asked for it is advanced: advancing the other to
-- that slot would close it for everybody meanwhile (a notification for an hour, because of one recipient),
-- and its own earlier slot will be over. It is asked again at the slot. Only where the two come so close that
-- the earlier is still good at the later are both held.
local function reserve_scopes(record, offer)
    record.flags = without_slots(record.flags)
    for _, scope in pairs({offer.first, offer.second}) do
        local is_held
        if scope.is_paid then
            is_held = offer.slot_us <= scope.held_until
        elseif scope.allowed_at > now_us and offer.slot_us <= scope.allowed_at + scope.limit.grace then
            set_arrival(scope.limit.key, offer.slot_us + scope.limit.tolerance)
            is_held = true
        end
        if is_held then
            record.flags = with(record.flags, scope.bit_value)
        end
    end
    return offer.name
end
