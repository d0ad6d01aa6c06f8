/* event.h - what came in: the bytes a publisher sent, checked, and the identity that makes it one event.
 * No I/O; any thread. */
#ifndef HERALD_EVENT_H
#define HERALD_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/err.h"
#include "herald/json.h"
#include "herald/recipient.h"

#define EVENT_MAX_BYTES JSON_MAX_BYTES
#define EVENT_ID_MAX 128   /* bytes of an id or a user id */
#define EVENT_EID_CHARS 24 /* 96 bits of SHA-256 in hex: accidents are out of reach, keys stay short */
#define EVENT_SEND_AT_MAX_MS (INT64_C(366) * 86400000)
#define EVENT_MAX_VOLATILE 32 /* names a source may list: each is compared with each root member */

/* What a source says about its events. All borrowed, for the call. */
struct event_rules {
    const char *space;                   /* namespace of the ids */
    const char *id_member;               /* NULL: eventId, else orderId */
    const char *const *volatile_members; /* NULL-terminated, at most EVENT_MAX_VOLATILE; NULL: none. Not part
                                            of the content */
    bool recipient_in_event; /* may the event carry `to`? Refused when it does and this is false */
};

struct event {
    char eid[EVENT_EID_CHARS + 1]; /* hash of (space, id) */
    char content[EVENT_EID_CHARS +
                 1]; /* hash of the canonical JSON without traceparent and the volatile members */
    char id[EVENT_ID_MAX +
            1]; /* the publisher's id; "" if it gave none (the eid then comes from the content) */
    char user_id[EVENT_ID_MAX + 1]; /* "" if absent */
    int64_t send_at_ms;             /* wall ms; 0 if absent */
    int64_t expires_at_ms;          /* wall ms; 0 if absent, else at least 1 */
    char traceparent[56];           /* "" if absent or not W3C version 00 */
    bool has_to;
    struct recipient to; /* owned; only if has_to */
};

/* Reads one event. Refuses what json_parse refuses; a root that is no object; an id or userId that is neither
 * a string of 1–128 bytes without controls nor an integer; an id member that was configured and is absent;
 * sendAt or expiresAt that are not RFC 3339, or lie more than 366 days ahead of now_ms, or expiresAt before
 * sendAt; a `to` that is not allowed or not well formed. *err is ERR_INPUT and names the member or the byte,
 * or ERR_NOMEM; the event's text is never repeated in it. On true the caller calls event_done. */
bool event_read(const char *bytes, size_t len, const struct event_rules *rules, int64_t now_ms,
                struct event *ret, struct err *err) MUST_CHECK;
void event_done(struct event *event); /* a zeroed struct is fine */

/* The eid that a publisher's id has in a space. */
void event_eid(const char *space, const char *id, char ret[EVENT_EID_CHARS + 1]);

/* The trace id in a traceparent, for logs and headers: `ret`; "" if it holds none. */
#define EVENT_TRACE_ID_CHARS 32
const char *event_trace_id(const char *traceparent, char ret[EVENT_TRACE_ID_CHARS + 1]);

/* A signed event is an envelope {"id":"…","time":<unix seconds>,"body":"<the event>","signature":"v1,<base64>
 * …"}. The signature is HMAC-SHA256 over "id.time.body", as in the Standard Webhooks specification; several,
 * separated by spaces, may be given. Any one matching any one key is enough, so that keys can rotate;
 * signatures of another version are passed over. `id` is 1–128 bytes without controls or '.' (else
 * "id.time.body" could be cut in two ways), other members are refused. The whole envelope is at most
 * JSON_MAX_BYTES. Refused: a time more than max_age_ms old (a replay past the dedupe window would send twice)
 * or more than five minutes ahead. On true *ret is the event's bytes (heap, NUL-terminated, caller frees),
 * which nobody has read yet. On false *err is ERR_INPUT "envelope: …" or ERR_NOMEM. */
struct event_key {
    const void *bytes;
    size_t len;
};
bool event_open_envelope(const char *bytes, size_t len, const struct event_key *keys, size_t key_count,
                         int64_t now_ms, int64_t max_age_ms, char **ret, size_t *ret_len,
                         struct err *err) MUST_CHECK;

#endif
