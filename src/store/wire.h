/* wire.h - a connected socket on the loop: tells when it can be read, and sends what is written to it once
 * per loop turn.
 *
 * The transport under link.c; knows nothing of Redis. It never ends by itself: a broken connection is told,
 * and whoever owns the wire closes it. Loop thread only; nothing blocks.
 */
#ifndef HERALD_STORE_WIRE_H
#define HERALD_STORE_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include "herald/err.h"

typedef struct uv_loop_s uv_loop_t;
struct wire;

/* Readable (status 0), or broken (a negative libuv error): what came before the break is still to be read
 * from the socket. A broken wire is told once, and again each time wire_want_read asks. */
typedef void wire_event_fn(void *arg, int status);

/* Takes fd, which is closed on false as well. It wants to be read. */
bool wire_open(uv_loop_t *loop, int fd, wire_event_fn *on_event, void *arg, struct wire **ret,
               struct err *err) MUST_CHECK;
/* No event comes any more and the descriptor is closed; the memory goes in a later loop turn. */
void wire_close(struct wire *wire);

int wire_fd(const struct wire *wire);
void wire_want_read(struct wire *wire, bool is_wanted);

/* Queues bytes for the end of this loop turn (sooner if they are many); false when LINK_MAX_OUTPUT bytes wait
 * already or memory is short: then none were taken. */
bool wire_write(struct wire *wire, const char *bytes, size_t len, struct err *err) MUST_CHECK;

#endif
