/* dial.h - from a configured Redis to a connected socket: resolves, tries each address in turn, gives up in
 * time.
 *
 * One attempt; whoever wants another starts another. Loop thread only; nothing blocks (names are resolved on
 * libuv's threads).
 */
#ifndef HERALD_STORE_DIAL_H
#define HERALD_STORE_DIAL_H

#include <stdbool.h>

#include "herald/config.h"
#include "herald/err.h"

typedef struct uv_loop_s uv_loop_t;
struct dial;

/* The end of the attempt, always in a later loop turn than dial_start: a connected, non-blocking socket that
 * the callee owns, or -1 and why (borrowed for the call). The dial is gone afterwards. */
typedef void dial_done_fn(void *arg, int fd, const char *reason);

struct dial_options {
    uv_loop_t *loop;
    const struct config_redis *redis; /* borrowed until on_done or dial_cancel */
    bool is_patient;                  /* see link.h */
    dial_done_fn *on_done;
    void *arg;
};

bool dial_start(const struct dial_options *options, struct dial **ret, struct err *err) MUST_CHECK;

/* on_done will not be called. The memory goes in a later loop turn; where a name is being resolved, when that
 * ends. */
void dial_cancel(struct dial *dial);

#endif
