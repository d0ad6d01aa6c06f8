/* lane.h - a provider's threads and the queue in front of them.
 *
 * The loop makes lanes, pushes leased deliveries and gets each of them back, exactly once, through the
 * mailbox, with its `attempt` filled in. A lane never decides, never talks to Redis and never allocates on
 * the way back. A slow or dead provider fills its own lane and nobody else's.
 */
#ifndef HERALD_LANE_H
#define HERALD_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/commit.h"
#include "herald/config.h"
#include "herald/delivery.h"
#include "herald/err.h"

/* leased deliveries per slot (connection or stream): hides the claim's round trip */
#define LANE_QUEUE_PER_CONNECTION 4
#define LANE_MAX_QUEUE 1024               /* leased deliveries of one lane, whatever its connections */
#define LANE_MAX_BYTES (16 * 1024 * 1024) /* of payload */

struct lane;

/* Where finished deliveries go. One mailbox serves all lanes. */
struct mailbox;
/* on_mail is called on a lane's thread when the mailbox was empty before: it must only wake the loop
 * (uv_async_send). */
bool mailbox_new(void (*on_mail)(void *arg), void *arg, struct mailbox **ret, struct err *err) MUST_CHECK;
void mailbox_free(struct mailbox *mailbox); /* must be empty */
/* Loop thread: takes everything in order of arrival as a list linked by delivery->next; NULL if empty. */
struct delivery *mailbox_take(struct mailbox *mailbox);

struct lane_options {
    struct config *config;                  /* the lane takes a reference of its own for its lifetime */
    const struct config_provider *provider; /* of that snapshot */
    struct mailbox *mailbox;                /* borrowed: outlives the lane */
    const struct commit_gate *gate;         /* borrowed: outlives the lane */
    /* Called on a lane's thread when an attempt that was committed has ended, before it is handed back: to
     * note its answer where a crash can't take it. Must not block. NULL: none. */
    void (*note)(void *arg, struct delivery *delivery);
    void *note_arg;
};

/* Starts the threads. Blocks for as long as it takes to start them, not for the provider. ERR_NOMEM or
 * ERR_CONFIG. */
bool lane_start(const struct lane_options *options, struct lane **ret, struct err *err) MUST_CHECK;

/* How many deliveries the lane can hold at once, queued and running; and how many run at once. Constant for a
 * lane. */
size_t lane_capacity(const struct lane *lane);
size_t lane_slots(const struct lane *lane);

/* Takes the delivery. The caller has counted it against lane_capacity, so there is always room. Loop thread;
 * not after lane_stop. */
void lane_push(struct lane *lane, struct delivery *delivery);

/* Hands back everything that no thread has begun, with attempt.abort = ABORT_STOPPED. What runs goes on. Loop
 * thread. */
void lane_give_back(struct lane *lane);

/* Asks the threads to end once the queue is empty; never blocks. Then lane_is_stopped turns true (poll it
 * from a timer) and lane_free may be called. */
void lane_stop(struct lane *lane);
bool lane_is_stopped(const struct lane *lane);
void lane_free(struct lane *lane); /* joins threads that have ended; NULL is fine */

/* The oldest sign of life among the lane's threads, mono ms; INT64_MAX once all have ended. For the watchdog:
 * a thread waiting for an SMTP server's final reply gives one every second; one that waits for work gives one
 * that is good for LANE_IDLE_BEAT_MS, so it may lie ahead, and gives the next in time. */
int64_t lane_oldest_progress_ms(const struct lane *lane);
#define LANE_IDLE_BEAT_MS 15000 /* sixteen idle threads wake up once a second together */

/* How many attempts run at this moment. Any thread. */
size_t lane_running(const struct lane *lane);

/* Whether a provider could be used at all (URL scheme, directory, behaviour …): called by `heraldd --check`
 * and at reload. Blocks on files. */
bool lane_check(const struct config_provider *provider, struct err *err) MUST_CHECK;

/* Connects to the provider as a lane would: name, TLS, greeting and log-in, and sends nothing. True as well
 * where there is nobody to connect to (maildir, null). Blocks for as long as the provider's time limits
 * allow. Any thread. ERR_TRANSIENT: it can't be reached, or refuses us; the text says at what. */
bool lane_probe(const struct config_provider *provider, struct err *err) MUST_CHECK;

/* Renders what the lane would send, for the lane's thread and for `heraldctl render`; appended. Templates see
 * the event's members, and `recipient` {name, email, locale}, `delivery` {key, id, notification, source,
 * channel} and, for push, `device`, which win over the event's. Email: the RFC 5322 message. Push, webhook:
 * the JSON body. ERR_CONFIG: notification or template missing; ERR_PERMANENT, ERR_INPUT: this data can't be
 * rendered. */
bool render_delivery(const struct delivery *delivery, struct buffer *ret, struct err *err) MUST_CHECK;

#endif
