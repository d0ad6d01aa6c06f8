/* link.h - one connection to Redis on the loop: resolves, connects, shakes hands, pipelines commands, notices
 * death.
 *
 * Why ours and not hiredis's async layer: the packaged 0.14.1 never reports a refused connect, frees under
 * the caller's feet, resolves names blocking and has no deadlines. hiredis formats and parses; the socket is
 * ours. Loop thread only; nothing blocks.
 *
 * A link is for good: it reconnects for ever, min(50 ms * n, 2 s) jittered, until link_close. A connection
 * that does not last two seconds counts as one more failed try, so that a Redis that takes and drops
 * connections is not hammered. Reasons never hold a password.
 */
#ifndef HERALD_LINK_H
#define HERALD_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/config.h"
#include "herald/err.h"

struct redisReply;
typedef struct uv_loop_s uv_loop_t;
struct link;

#define LINK_MAX_OUTPUT (32 * 1024 * 1024) /* unsent bytes: every lane's settlements at once, with room */
#define LINK_MAX_PENDING 65536             /* unanswered commands */

struct link_callbacks {
    /* Connected, authenticated, database chosen and named; commands are accepted from here on. */
    void (*on_ready)(void *arg);
    /* It was ready and is no longer; every pending command's callback has been called with NULL. Reconnecting
     * goes on by itself. */
    void (*on_lost)(void *arg, const char *reason);
    /* An attempt to connect or the handshake failed (`attempt` counts from 1 since the last success). For the
     * log. */
    void (*on_failed)(void *arg, unsigned attempt, const char *reason);
    void *arg;
};

struct link_options {
    uv_loop_t *loop;
    const struct config_redis *redis; /* borrowed: the daemon's first snapshot, which it keeps to the end */
    const char *client_name;          /* CLIENT SETNAME; borrowed */
    bool is_patient; /* the subscriber's: no keepalive and no TCP_USER_TIMEOUT, for an outage of some seconds
                        must not cost what waits in the connection */
    bool is_idle;    /* does nothing before link_begin or link_adopt */
    struct link_callbacks
        callbacks; /* never before link_open has returned, nor after link_close; each may call link_* */
};

bool link_open(const struct link_options *options, struct link **ret, struct err *err) MUST_CHECK;
/* Ends it; pending callbacks get NULL before this returns; on_closed is called from a later loop turn, when
 * the memory is gone. (If a name is just being resolved, the loop has that request to finish after it.) */
void link_close(struct link *link, void (*on_closed)(void *arg), void *arg);

/* An idle link begins to connect. */
void link_begin(struct link *link);
/* An idle link goes on with a connection that somebody else made and shook hands on: it is ready at once, and
 * on_ready is not called; once that connection is lost it makes its own. Takes fd; on false it is closed, and
 * the link idle as before. */
bool link_adopt(struct link *link, int fd, struct err *err) MUST_CHECK;

bool link_is_ready(const struct link *link);

/* A reply, exactly once for each accepted command, in order; NULL if the link was lost before the answer
 * came. The reply is borrowed for the call. NULL in its place: nobody wants the answer. Any link_* function
 * may be called from inside. */
typedef void link_reply_fn(void *arg, const struct redisReply *reply);

/* Queues a command; those of one loop turn leave together, large ones at once. False (ERR_TRANSIENT) when the
 * link is not ready or its bounds are reached: nothing was queued and the callback will not be called. No
 * offline queue. */
bool link_command(struct link *link, int argc, const char *const *argv, const size_t *argv_len,
                  link_reply_fn *on_reply, void *arg, struct err *err) MUST_CHECK;
/* The same for a command already in RESP (taken from a buffer the caller built). */
bool link_command_raw(struct link *link, const char *bytes, size_t len, link_reply_fn *on_reply, void *arg,
                      struct err *err) MUST_CHECK;

/* Tears the connection down and starts over (a reply that says the server is unusable, a failed check):
 * pending callbacks get NULL and on_lost (on_failed if it was not ready) is called before this returns. Does
 * nothing while it waits to connect again. */
void link_reset(struct link *link, const char *reason);

/* Unanswered commands, and how long the oldest has waited (0 if there is none). */
size_t link_pending(const struct link *link);
int64_t link_oldest_ms(const struct link *link);

/* The subscriber's way in. After on_ready and before any command, link_take_socket lends the socket out: from
 * then on the link neither reads it nor ends it by itself, not even when the peer is gone (what still waits
 * in it is not lost that way), so whoever took it calls link_reset; the descriptor is the link's and closed
 * by it. on_readable is called for readability (status < 0: a libuv error, the peer is gone) while link_poll
 * wants it, at first not. -1 if bytes that nobody asked for were read already: reset it.
 * Writing with link_write_raw (no reply is expected). */
typedef void link_readable_fn(void *arg, int status);
int link_take_socket(struct link *link, link_readable_fn *on_readable, void *arg);
void link_poll(struct link *link, bool is_wanted);
bool link_write_raw(struct link *link, const char *bytes, size_t len, struct err *err) MUST_CHECK;
bool link_is_unix(const struct link *link);

#endif
