/* url.h - a URL's parts. Pure; any thread. */
#ifndef HERALD_CONF_URL_H
#define HERALD_CONF_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "herald/err.h"

#define URL_MAX_BYTES 2048 /* what servers and proxies are known to take */
#define URL_HOST_BYTES 254 /* RFC 1035, with the NUL */

struct url {
    char scheme[8];
    char host[URL_HOST_BYTES]; /* an IPv6 address without its brackets */
    int port;                  /* 0: none given */
    const char *user;          /* before '@', percent-encoded as it is; into the text; NULL: none */
    size_t user_len;
    const char *rest; /* from '/' or '?' on, into the text; "" */
};

/* Splits SCHEME://[USER@]HOST[:PORT][/…][?…]; the host may be empty only where a path follows (unix:///path).
 * Refuses anything but visible ASCII, quotes, angle brackets, backslashes, a fragment, and hosts that are
 * neither names nor addresses. */
bool url_split(const char *text, struct url *ret) MUST_CHECK;

/* localhost, 127.0.0.0/8 or ::1: what is sent there crosses no network. */
bool url_is_loopback(const struct url *url);

struct config_redis;
/* redis://[USER:PASSWORD@]HOST[:PORT][/DB] or unix://[USER:PASSWORD@]/PATH[?db=N], USER and PASSWORD
 * percent-encoded. On true *ret has where and who, in heap strings of the caller's, and no timeouts. The
 * complaint (ERR_CONFIG) never repeats the URL, for a password may be in it. */
bool url_read_redis(const char *text, struct config_redis *ret, struct err *err) MUST_CHECK;

#endif
