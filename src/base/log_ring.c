/* log_ring.c - finished log lines on their way to the writer; see log_ring.h. */
#include "log_ring.h"

#include <string.h>

static void copy_in(struct log_ring *ring, size_t at, const void *bytes, size_t len)
{
    size_t to_end = LOG_RING_BYTES - at % LOG_RING_BYTES;
    size_t head = len < to_end ? len : to_end;

    memcpy(ring->bytes + at % LOG_RING_BYTES, bytes, head);
    memcpy(ring->bytes, (const char *)bytes + head, len - head);
}

static void copy_out(const struct log_ring *ring, size_t at, void *ret, size_t len)
{
    size_t to_end = LOG_RING_BYTES - at % LOG_RING_BYTES;
    size_t head = len < to_end ? len : to_end;

    memcpy(ret, ring->bytes + at % LOG_RING_BYTES, head);
    memcpy((char *)ret + head, ring->bytes, len - head);
}

bool log_ring_push(struct log_ring *ring, const char *line, size_t len)
{
    if (sizeof(len) + len > LOG_RING_BYTES - ring->used)
        return false;
    copy_in(ring, ring->first + ring->used, &len, sizeof(len));
    copy_in(ring, ring->first + ring->used + sizeof(len), line, len);
    ring->used += sizeof(len) + len;
    return true;
}

size_t log_ring_take(struct log_ring *ring, char *ret, size_t room)
{
    size_t len;

    if (ring->used == 0)
        return 0;
    copy_out(ring, ring->first, &len, sizeof(len));
    if (len > room)
        return 0;
    copy_out(ring, ring->first + sizeof(len), ret, len);
    ring->used -= sizeof(len) + len;
    /* An empty ring begins again, so that a quiet daemon touches the same few pages and not all in turn. */
    ring->first = ring->used == 0 ? 0 : (ring->first + sizeof(len) + len) % LOG_RING_BYTES;
    return len;
}

size_t log_ring_clear(struct log_ring *ring)
{
    size_t lines = 0;
    size_t len;

    for (size_t at = 0; at < ring->used; at += sizeof(len) + len, lines++)
        copy_out(ring, ring->first + at, &len, sizeof(len));
    ring->first = ring->used = 0;
    return lines;
}
