/* batch.c - a subscription's bytes as they lie in the socket: cut into messages they are the same whether
 * they are seen at once, in two looks or reply by reply, and no message has a byte that was not there. The
 * first byte of the input is how much is seen in the first look, in parts of 256. */
#include "batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "herald/event.h"

#define BASE 1000 /* offset of the first byte in the subscription */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const char *const channels[] = {"order:confirmed", "o"};

/* All messages that come of bytes[0, len), look after look, as the subscriber does. */
struct all {
    struct incoming messages[INCOMING_MAX_BATCH];
    size_t count, used, acks;
    bool is_refused;
};

static void check(const struct batch *batch, const char *bytes, size_t len)
{
    const char *behind = bytes;
    assert(batch->count <= INCOMING_MAX_BATCH && batch->frame_bytes <= len);
    for (size_t i = 0; i < batch->count; i++) {
        const struct incoming *message = &batch->messages[i];
        assert(message->origin < 2 && message->bytes >= behind);
        assert(message->bytes + message->len <= bytes + batch->frame_bytes);
        assert(message->is_too_large == (message->total_len > EVENT_MAX_BYTES));
        assert(message->is_too_large ? message->len == INCOMING_BEGINNING
                                     : message->len == message->total_len);
        behind = message->bytes + message->len;
    }
    /* It ends where a reply ends. */
    struct resp_reply reply;
    size_t end = 0;
    while (end < batch->frame_bytes && resp_scan(bytes + end, len - end, &reply) == RESP_WHOLE)
        end += reply.frame_len;
    assert(end == batch->frame_bytes);
}

/* A message too large to be seen whole: only its first `keep` bytes are looked at. */
static void note_cut(struct batch *batch, const char *bytes, const struct resp_reply *head, size_t keep)
{
    struct err err;
    char *kept = malloc(keep);
    if (kept == NULL)
        return;
    memcpy(kept, bytes, keep);
    if (!batch_note(batch, kept, head, BASE, &err))
        abort();
    assert(batch->count <= 1 && batch->frame_bytes == head->frame_len);
    if (batch->count == 1) {
        const struct incoming *message = &batch->messages[0];
        assert(message->is_too_large && message->len == INCOMING_BEGINNING && message->offset == BASE);
        assert(message->bytes > kept && message->bytes + message->len <= kept + keep);
        assert(message->total_len > message->len && message->total_len < head->frame_len);
    }
    free(kept);
}

static void look(struct all *all, const char *bytes, size_t len)
{
    static struct batch batch;
    batch = (struct batch){.channels = channels, .channel_count = 2};
    while (all->used < len && !all->is_refused) {
        struct resp_reply head = {0};
        struct err err = {0};
        const char *at = bytes + all->used;
        all->is_refused = !batch_frame(&batch, at, len - all->used, BASE + all->used, &head, &err);
        if (all->is_refused) {
            assert(err.kind == ERR_TRANSIENT && batch.count == 0);
            break;
        }
        check(&batch, at, len - all->used);
        for (size_t i = 0; i < batch.count && all->count < INCOMING_MAX_BATCH; i++) {
            all->messages[all->count] = batch.messages[i];
            /* The place in memory is the look's; what is kept is the place in the stream. */
            assert(batch.messages[i].offset >= BASE + all->used);
            all->count++;
        }
        if (batch.frame_bytes == 0) {
            assert(head.frame_len > len - all->used);
            size_t left = len - all->used, keep = batch_keep(at, &head, left);
            assert(keep == 0 || keep < left);
            if (keep > 0 && head.is_exact && head.frame_len > SUBSCRIBER_PEEK_BYTES)
                note_cut(&batch, at, &head, keep);
            break;
        }
        all->used += batch.frame_bytes;
    }
    all->acks = batch.acks;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    static struct all once, twice;
    if (len < 1)
        return 0;
    const char *bytes = (const char *)input + 1;
    len--;
    size_t first = len * input[0] / 256;
    once = (struct all){.count = 0};
    twice = (struct all){.count = 0};
    look(&once, bytes, len);

    char *copy = malloc(first > 0 ? first : 1); /* so that reading behind the first look is seen */
    if (copy == NULL)
        return 0;
    memcpy(copy, bytes, first);
    look(&twice, copy, first);
    assert(!twice.is_refused || once.is_refused);
    size_t seen = twice.count;
    assert(seen <= once.count);
    for (size_t i = 0; i < seen; i++)
        assert(memcmp(copy + (twice.messages[i].bytes - copy), once.messages[i].bytes,
                      once.messages[i].len) == 0);
    look(&twice, bytes, len);
    free(copy);
    assert(once.used == twice.used && once.count == twice.count && once.is_refused == twice.is_refused);
    for (size_t i = 0; i < once.count; i++) {
        const struct incoming *a = &once.messages[i], *b = &twice.messages[i];
        assert(a->offset == b->offset && a->len == b->len && a->origin == b->origin);
        assert(i < seen || a->bytes == b->bytes);
    }
    return 0;
}
