/* delivery.h - one message to one recipient through one channel.
 *
 * One allocation. It has one owner at each moment: the loop makes it and hands it to a lane's queue; the
 * lane's thread fills in `attempt` and hands it back through the mailbox; the loop settles it and frees it.
 * Only `lease_until_ms` is touched by two threads, and it is atomic.
 */
#ifndef HERALD_DELIVERY_H
#define HERALD_DELIVERY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/buffer.h"
#include "herald/err.h"
#include "herald/event.h"
#include "herald/log.h"
#include "herald/outcome.h"

enum channel { CHANNEL_EMAIL, CHANNEL_PUSH, CHANNEL_WEBHOOK, CHANNEL_COUNT };
const char *channel_name(enum channel channel); /* "email" … */
bool channel_parse(const char *name, enum channel *ret) MUST_CHECK;

#define DELIVERY_KEY_CHARS 32
#define DELIVERY_MAX_PER_EVENT 24 /* email and webhook and RECIPIENT_MAX_PUSH devices, with room */

struct config;

struct delivery {
    struct delivery *next;                      /* link of the queue or list that owns it */
    struct delivery *held_next, *held_previous; /* links of the loop's table of all that it has leased; lane
                                                   threads leave them alone */

    /* Who it is. */
    char eid[EVENT_EID_CHARS + 1];
    unsigned ordinal;
    char key[DELIVERY_KEY_CHARS + 1]; /* hash of eid : channel : recipient; the same on every attempt:
                                         Message-ID, Idempotency-Key … */
    enum channel channel;

    /* What the ledger said when it leased it. */
    uint64_t fence;
    unsigned attempt_number; /* 1 for the first */
    unsigned crashes;
    int64_t accepted_ms;               /* wall */
    char content[EVENT_EID_CHARS + 1]; /* hash of the event's content */
    int64_t send_at_ms;                /* wall; 0: none */
    int64_t expires_at_ms;             /* wall; 0: never */

    /* Where and what: all point into `bytes`, or are "" */
    const char *notification;
    const char *provider;
    const char *source;
    const char *id; /* the publisher's */
    const char *user_id;
    const char *email; /* CHANNEL_EMAIL only */
    const char *name;
    const char *locale;
    const char *device; /* CHANNEL_PUSH only: a JSON object */
    const char *traceparent;
    const char *payload; /* as Redis keeps it (below), to be told to a Redis that has lost it */
    size_t payload_len;
    const char *event; /* the event's JSON, the payload's end */
    size_t event_len;

    /* May it still be committed? See commit.h. */
    _Atomic int64_t lease_until_ms; /* mono; 0 once revoked */
    uint64_t epoch;
    bool is_started; /* `start` has been answered: needed, and awaited, only where on_unknown = hold or
                        crashes > 0 */

    struct config *config; /* a reference of ours: the snapshot it is rendered with; released by
                              delivery_free's caller */
    void *lane; /* borrowed from app: the lane it runs in, which outlives it because a lane waits for its
                   deliveries */
    int64_t received_mono_us; /* when its event was read off the socket by this process; 0 if claimed from the
                                 backlog */
    int64_t leased_mono_ms;

    int journal_token;      /* of the note of its answer; 0: not noted */
    struct attempt attempt; /* the lane's thread writes it, then the loop reads it */
    struct outcome outcome; /* loop thread, from here down */
    struct { /* how the ledger is to be told; inside the delivery, so that telling needs no memory */
        int what;
        unsigned attempts;
        int64_t delay_ms;
        bool is_alone; /* in a call of its own: a call with others was refused, and one of them is why */
    } settlement;

    size_t bytes_len; /* what it weighs against the lane's memory */
    char bytes[];
};

/* The payload: what Redis keeps of an event until its last delivery has ended. Text lines, then the event's
 * own bytes:
 *
 *     1 <notification> <source> <deliveries> <send_at_ms> <expires_at_ms>\n
 *     <recipient scope> {"channel":…,"provider":…,"email":…,"name":…,"locale":…,"device":…}\n       one per
 * delivery
 *     {"id":…,"userId":…,"traceparent":…}\n
 *     <the event>
 *
 * Scripts read the first two kinds with string.match and never decode the JSON. The recipient scope is 16 hex
 * digits of the hash of (channel, userId else address; a push address is the device, a webhook has none). */
struct payload_target {
    enum channel channel;
    const char *provider;
    const char *email;  /* NULL unless CHANNEL_EMAIL */
    const char *device; /* NULL unless CHANNEL_PUSH: canonical JSON object */
};

#define PAYLOAD_SCOPE_CHARS 16
struct payload {
    const char *notification;
    const char *source;
    const struct event *event;
    const char *name;   /* NULL: none */
    const char *locale; /* NULL: none */
    const struct payload_target *targets;
    size_t target_count; /* 1 … DELIVERY_MAX_PER_EVENT */
    const char *bytes;   /* the event */
    size_t bytes_len;
};
/* Appends the payload. The names hold neither space nor line break: the configuration has seen to it. */
void payload_write(const struct payload *payload, struct buffer *ret);
/* The scope that a recipient's limit counts in; `recipient` is the address, the
 * device, or "" for a webhook. */
void payload_scope(enum channel channel, const char *user_id, const char *recipient,
                   char ret[PAYLOAD_SCOPE_CHARS + 1]);

/* Makes the delivery `ordinal` (0-based) of a payload that came back from Redis, where others may write too:
 * so texts and the address are checked again, the event itself is not. *err is ERR_INPUT "payload: …" if the
 * payload is damaged, or ERR_NOMEM. The ledger's facts, config and lane are the caller's to fill in. */
bool delivery_from_payload(const char *payload, size_t len, const char *eid, unsigned ordinal,
                           struct delivery **ret, struct err *err) MUST_CHECK;
/* Whom it is for, fit for a log: a masked address, or a device's masked token; "" for a webhook. */
const char *delivery_masked_recipient(const struct delivery *delivery, char ret[LOG_MASKED_BYTES]);

void delivery_free(struct delivery *delivery); /* NULL is fine; does not release config */

#endif
