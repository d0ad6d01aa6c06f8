/* intake.h - from a batch of messages to accepted events: check, look up the recipients, accept, then tell
 * whoever handed it up that it is safe.
 *
 * One for the subscriber and one for the reader, each with one batch at a time. Until every accept of it is
 * answered nothing of it has left the socket, or is acknowledged; if anything fails, the whole batch comes
 * again and the ledger knows what it has seen. Loop thread.
 */
#ifndef HERALD_APP_INTAKE_H
#define HERALD_APP_INTAKE_H

#include <stdbool.h>
#include <stddef.h>

#include "counters.h"
#include "dispatch.h"
#include "herald/config.h"
#include "herald/err.h"
#include "herald/incoming.h"
#include "herald/ledger.h"
#include "herald/link.h"
#include "recall.h"

struct intake;

struct intake_options {
    struct link *commands; /* borrowed, as all below: they outlive us */
    struct ledger *ledger;
    struct dispatch *dispatch;
    struct counters *counters;
    struct recall *recall;
    struct config *config; /* a reference is taken */
    const char *incarnation;
    const char *const *origins; /* names of the sources, by the `origin` of what comes in */
    size_t origin_count;
    /* The batch is done with: it can go, or (is_safe false) hand it up again after delay_ms. */
    void (*on_done)(void *arg, bool is_safe, int64_t delay_ms);
    /* Something of an origin behind the last was in a batch that is safe. */
    void (*on_canary)(void *arg, const char *bytes, size_t len);
    void *arg;
};

bool intake_new(const struct intake_options *options, struct intake **ret, struct err *err) MUST_CHECK;
void intake_free(struct intake *intake); /* no batch may be under way */

void intake_batch(struct intake *intake, const struct incoming *incoming, size_t count);
bool intake_is_idle(const struct intake *intake);

/* Between batches only. */
void intake_reload(struct intake *intake, struct config *config);
/* From here on events are accepted, but leased to nobody. */
void intake_drain(struct intake *intake);

#endif
