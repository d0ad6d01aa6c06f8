/* feed.c - what is read goes to the intakes, and their word on it back to who read it: the reader's entries,
 * the subscription's messages, and those of a subscription that an earlier process left. Loop thread. */
#include "daemon_private.h"

#define NOT_TAKEN_RETRY_MS 50 /* what came in waits until Redis can be built on, or a reload is done */

/* A new configuration takes over when both intakes are idle at once, so neither begins another batch. */
static bool can_take(const struct daemon *daemon)
{
    return daemon->is_usable && daemon->next == NULL;
}

static void apply_next(struct daemon *daemon)
{
    if (daemon->next != NULL && daemon_is_idle(daemon))
        reload_apply(daemon);
}

void feed_on_entries(void *arg, const struct incoming *entries, size_t count)
{
    struct daemon *daemon = arg;
    if (can_take(daemon))
        intake_batch(daemon->stream_intake, entries, count);
    else
        reader_retry(daemon->reader, NOT_TAKEN_RETRY_MS);
}

void feed_on_entries_done(void *arg, bool is_safe, int64_t delay_ms)
{
    struct daemon *daemon = arg;
    apply_next(daemon);
    if (is_safe)
        reader_consume(daemon->reader);
    else
        reader_retry(daemon->reader, delay_ms);
}

/* The daemon's subscription, or that of an earlier process: never both at a time. */
static void read_batch(struct daemon *daemon, struct subscriber *from, const struct incoming *messages,
                       size_t count)
{
    if (!can_take(daemon)) {
        subscriber_retry(from, NOT_TAKEN_RETRY_MS);
        return;
    }
    daemon->reading = from;
    intake_batch(daemon->intake, messages, count);
}

void feed_on_batch(void *arg, const struct incoming *messages, size_t count)
{
    struct daemon *daemon = arg;
    upkeep_on_heard(daemon->upkeep);
    read_batch(daemon, daemon->subscriber, messages, count);
}

void feed_on_old_batch(void *arg, struct subscriber *from, const struct incoming *messages, size_t count)
{
    read_batch(arg, from, messages, count);
}

void feed_on_batch_done(void *arg, bool is_safe, int64_t delay_ms)
{
    struct daemon *daemon = arg;
    apply_next(daemon);
    struct subscriber *from = daemon->reading;
    daemon->reading = NULL;
    if (from == NULL) /* it is closed: the answer came with the end of the command link */
        return;
    if (is_safe)
        subscriber_consume(from);
    else
        subscriber_retry(from, delay_ms);
}

void feed_on_canary(void *arg, const char *bytes, size_t len)
{
    struct daemon *daemon = arg;
    if (daemon->reading == NULL)
        return; /* the end has begun */
    if (daemon->reading == daemon->subscriber)
        upkeep_on_canary(daemon->upkeep, bytes, len);
    else
        handover_on_canary(daemon->handover, bytes, len);
}
