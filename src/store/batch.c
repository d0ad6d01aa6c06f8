/* batch.c - the replies of a subscription, cut into a batch of messages; see batch.h. Loop thread. */
#include "batch.h"

#include <string.h>

#include "herald/event.h"

static bool is_kind(const char *bytes, const struct resp_reply *reply, const char *kind)
{
    return reply->type == '*' && reply->count == 3 && reply->known == 3 &&
           resp_equals(bytes, &reply->elements[0], kind, strlen(kind));
}

static bool find_channel(const struct batch *batch, const char *bytes, const struct resp_element *element,
                         size_t *ret)
{
    for (size_t i = 0; i < batch->channel_count; i++) {
        if (resp_equals(bytes, element, batch->channels[i], strlen(batch->channels[i]))) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static bool add_reply(struct batch *batch, const char *bytes, const struct resp_reply *reply, uint64_t offset,
                      struct err *err)
{
    struct incoming *message = &batch->messages[batch->count];

    if (reply->type == '-')
        return err_set(err, ERR_TRANSIENT, "%.*s", (int)reply->elements[0].len,
                       bytes + reply->elements[0].offset);
    if (is_kind(bytes, reply, "subscribe")) {
        batch->acks++;
    } else if (is_kind(bytes, reply, "message") &&
               find_channel(batch, bytes, &reply->elements[1], &message->origin)) {
        const struct resp_element *payload = &reply->elements[2];
        message->bytes = bytes + payload->offset;
        message->offset = offset;
        message->total_len = payload->len;
        message->is_too_large = payload->len > EVENT_MAX_BYTES;
        message->len = message->is_too_large ? INCOMING_BEGINNING : payload->len;
        batch->count++;
    } /* anything else is for nobody */
    batch->frame_bytes += reply->frame_len;
    return true;
}

bool batch_frame(struct batch *batch, const char *bytes, size_t len, uint64_t offset,
                 struct resp_reply *ret_head, struct err *err)
{
    batch->count = 0;
    batch->frame_bytes = 0;
    while (batch->count < INCOMING_MAX_BATCH) {
        const char *at = bytes + batch->frame_bytes;
        struct resp_reply reply;
        enum resp_status status = resp_scan(at, len - batch->frame_bytes, &reply);

        if (status == RESP_PARTIAL) {
            *ret_head = reply;
            break;
        }
        if (status == RESP_WHOLE && reply.type != '-') {
            (void)add_reply(batch, at, &reply, offset + batch->frame_bytes,
                            err); /* only an error is refused */
            continue;
        }
        if (batch->frame_bytes > 0)
            break;
        if (status == RESP_WHOLE)
            return add_reply(batch, at, &reply, offset, err);
        return err_set(err, ERR_TRANSIENT,
                       "desynchronised: what begins with byte 0x%02x at offset %llu is no reply",
                       (unsigned)(unsigned char)at[0], (unsigned long long)offset);
    }
    return true;
}

bool batch_note(struct batch *batch, const char *bytes, const struct resp_reply *reply, uint64_t offset,
                struct err *err)
{
    batch->count = 0;
    batch->frame_bytes = 0;
    return add_reply(batch, bytes, reply, offset, err);
}

size_t batch_keep(const char *bytes, const struct resp_reply *reply, size_t cap)
{
    if (reply->frame_len <= cap)
        return reply->frame_len;
    if (!is_kind(bytes, reply, "message") || reply->elements[2].len < INCOMING_BEGINNING)
        return 0;
    size_t keep = reply->elements[2].offset + INCOMING_BEGINNING;
    return keep < cap ? keep : 0;
}
