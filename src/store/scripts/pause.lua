#!lua flags=allow-oom
-- pause: nothing more of a lane is leased, or it is again. What is leased stays so.
-- ARGV  lane paused|resumed at      at: "" for now; else what was so once is told again (ms) to a Redis that
--       may have lost it: what it was told later holds.
-- Reply the word that stood there before, and its time; "" and 0 for none. A word that is there keeps its time.
local lane, word, at = take(), take(), take()
local before, since = pause_of(lane)
local is_news = word ~= before and (before or word == 'paused')
if at ~= '' then
    is_news = tonumber(since or 0) < tonumber(at)
end
if is_news then
    redis.call('HSET', base .. ':paused', lane, word .. ' ' .. (at ~= '' and at or now_text))
end
return {before or '', tonumber(since or 0)}
