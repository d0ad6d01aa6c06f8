/* watch.h - the daemon seen from outside: once a second it says how it is, feeds the service manager's
 * watchdog if all is alive, and, where `metrics` is set, answers over HTTP. Loop thread. */
#ifndef HERALD_APP_WATCH_H
#define HERALD_APP_WATCH_H

#include <stdbool.h>

#include "herald/err.h"
#include "tally.h"

struct daemon;
struct watch;

/* First of all: what is logged from here on counts. ERR_CONFIG: the place of `metrics` can't be had. */
bool watch_new(struct daemon *daemon, struct watch **ret, struct err *err) MUST_CHECK;
/* Behind the loop's end. NULL is fine. */
void watch_free(struct watch *watch);

/* Every second. */
void watch_second(struct watch *watch);
/* The daemon's configuration is another one. */
void watch_reload(struct watch *watch);

struct tally *watch_tally(struct watch *watch); /* NULL: nobody wants numbers */
/* A ledger's on_timed; arg is the tally. */
void watch_on_timed(void *tally, const char *script, int64_t us);

#endif
