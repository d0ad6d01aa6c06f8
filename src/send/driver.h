/* driver.h - what a way of sending has to bring; one row of the channel table per provider type.
 *
 * All lanes run the same loop (lane.c) with two numbers, threads and transfers per thread. SMTP is many
 * threads with one transfer each, for libcurl blocks while it waits for the reply to the final dot
 * (7.88.1, 8.14.1); HTTP is one or two threads with many transfers each. */
#ifndef HERALD_SEND_DRIVER_H
#define HERALD_SEND_DRIVER_H

#include <stdbool.h>
#include <stddef.h>

#include "herald/config.h"
#include "herald/err.h"
#include "worker.h"

struct driver {
    const char *name; /* as in the configuration's `type` */
    enum attempt_protocol protocol;

    /* See lane_check. May block on files. */
    bool (*check)(const struct config_provider *provider, struct err *err);
    /* How many threads the lane has, and how many transfers run at once in all of them; transfers >= threads
     * >= 1. */
    void (*shape)(const struct config_provider *provider, size_t *ret_threads, size_t *ret_transfers);

    /* Loop thread, before the worker's thread exists. *ret becomes worker->state. May lower worker->limit. */
    bool (*open)(struct worker *worker, void **ret, struct err *err);
    /* Loop thread (if no thread could be made) or the worker's as its last act; nothing is running. NULL is
     * fine. */
    void (*close)(void *state);

    /* Takes the delivery and begins to send it; it comes back by worker_finish, now or in a later `turn`. */
    void (*begin)(void *state, struct delivery *delivery);
    /* Goes on with what is running, at most a second. NULL if begin always finishes what it begins. */
    void (*turn)(void *state);
    /* Ends a wait in `turn`. Loop thread. NULL if turn is. */
    void (*wake)(void *state);
    /* Nothing has come for WORKER_REST_MS: idle connections are better closed by us than by the other side.
     * NULL: nothing to do. */
    void (*rest)(void *state);

    /* See lane_probe. In place of the other calls between open and close; blocks. NULL: there is nobody to
     * connect to. */
    bool (*probe)(void *state, struct err *err);
};

/* below the idle timeout of any mail server (postfix 300 s, Exchange Online 60 s) */
#define WORKER_REST_MS 30000

extern const struct driver driver_smtp, driver_http, driver_maildir, driver_null;

const struct driver *driver_of(enum provider_type type); /* channels.c */

#endif
