/* channels.c - the channel table: one row per provider type. */
#include <assert.h>

#include "driver.h"

static const struct driver *const drivers[] = {
    [PROVIDER_SMTP] = &driver_smtp,
    [PROVIDER_HTTP] = &driver_http,
    [PROVIDER_MAILDIR] = &driver_maildir,
    [PROVIDER_NULL] = &driver_null,
};

const struct driver *driver_of(enum provider_type type)
{
    assert((size_t)type < sizeof(drivers) / sizeof(drivers[0]));
    return drivers[type];
}
