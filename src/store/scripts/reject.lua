#!lua
-- reject: received -> refused. Its beginning is kept for whoever publishes it. A stream's entry comes again
-- until Redis has its acknowledgement: it is refused once.
-- ARGV  most kept(in the stream), most known(of entries)
--       items, each: source reason entry("" for a channel's) offset bytes head
-- Reply per item 1, or 0 when it was refused before; then what went wrong with keeping them, or "".
local kept_key, known_key = base .. ':rejected', base .. ':rejected-entries'
local most_kept, most_known = take_number(), take_number()
local reply, why = {}, ''

-- Neither memory may decide about the batch: one that holds something else costs what it is for, not more.
local function try(...)
    local answer = redis.pcall(...)
    if type(answer) == 'table' and answer.err then
        why = answer.err
        return nil
    end
    return answer
end

for i = 1, take_number() do
    local source, reason, entry, offset, bytes, head = take(), take(), take(), take(), take(), take()
    local is_known = entry ~= '' and try('ZADD', known_key, 'NX', now_text, source .. ' ' .. entry) == 0
    if not is_known then
        local is_entry = entry ~= ''
        try('XADD', kept_key, 'MAXLEN', '~', most_kept, '*', 'source', source, 'reason', reason,
            is_entry and 'entry' or 'offset', is_entry and entry or offset, 'bytes', bytes, 'head', head)
    end
    reply[i] = is_known and 0 or 1
end
try('ZREMRANGEBYRANK', known_key, 0, -1 - most_known)
reply[#reply + 1] = why
return reply
