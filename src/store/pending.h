/* pending.h - the commands that wait for their replies, oldest first, each with when it was sent. Loop thread
 * only. */
#ifndef HERALD_STORE_PENDING_H
#define HERALD_STORE_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/link.h"

struct pending_command {
    link_reply_fn *on_reply; /* NULL: nobody wants the answer */
    void *arg;
    int64_t since_ms; /* mono */
};

/* A ring that doubles up to LINK_MAX_PENDING. A zeroed one is empty. */
struct pending {
    struct pending_command *commands; /* owned; `cap` of them, a power of two */
    size_t cap, first, count;
};

void pending_done(struct pending *pending);

/* Room for one more, so that the push after it can't fail; false at the bound or without memory. */
bool pending_reserve(struct pending *pending);
void pending_push(struct pending *pending, struct pending_command command);

/* The oldest one, which stays; NULL if there is none. */
const struct pending_command *pending_oldest(const struct pending *pending);
/* Takes the oldest one out; false if there is none. */
bool pending_pop(struct pending *pending, struct pending_command *ret);

#endif
