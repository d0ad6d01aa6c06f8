-- Put before what takes something on. An instance says of itself in `status` that it is there. Where it is no
-- longer, Redis was emptied under it: what it sent before would be sent again, so it gets nothing before it has
-- told that.
local ERROR_FORGOTTEN = {err = 'FORGOTTEN this Redis was emptied'}
local function is_forgotten(instance)
    return instance ~= '' and redis.pcall('HEXISTS', base .. ':status', instance) == 0
end

