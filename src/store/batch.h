/* batch.h - the replies of a subscription, cut into a batch of messages. Knows the protocol and no socket.
 * Loop thread only. */
#ifndef HERALD_STORE_BATCH_H
#define HERALD_STORE_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/err.h"
#include "herald/subscriber.h"
#include "resp.h"

struct batch {
    const char *const *channels; /* borrowed from the subscriber's options */
    size_t channel_count;
    struct incoming messages[INCOMING_MAX_BATCH]; /* their bytes are borrowed from what was framed */
    size_t count;
    size_t frame_bytes; /* of all its replies, those that are no messages included */
    size_t acks;        /* SUBSCRIBE acknowledgements seen since the owner set it to 0 */
};

/* Begins a new batch with the whole replies at `bytes`, up to a full one. `offset`: of bytes[0] in the
 * subscription. frame_bytes == 0: not one is whole, and *ret_head is the first as far as it is known. False:
 * the first is an error, and *err its text, or is no reply; a bad one further on ends the batch, and is found
 * when it is the first: what came before it is made safe before. */
bool batch_frame(struct batch *batch, const char *bytes, size_t len, uint64_t offset,
                 struct resp_reply *ret_head, struct err *err) MUST_CHECK;

/* Begins a new batch with one reply that was received apart. Of a message that is too large only batch_keep
 * bytes need be there. */
bool batch_note(struct batch *batch, const char *bytes, const struct resp_reply *reply, uint64_t offset,
                struct err *err) MUST_CHECK;

/* How much of a reply that can't be seen whole has to be kept, with room for `cap` bytes: all that is known
 * of it if it fits, else up to its message's beginning. 0: nothing that belongs here is so large. */
size_t batch_keep(const char *bytes, const struct resp_reply *reply, size_t cap);

#endif
