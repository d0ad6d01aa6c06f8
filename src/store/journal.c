/* journal.c - two segments of fixed records; see journal.h.
 *
 *     byte 0 kind ('S', 'U')   1 ordinal   2 attempts (2)   4 fence (4)   8 eid (12)   20 wall ms (8)   28
 * CRC-32 (4)
 *
 * Numbers are little-endian. Appenders share only atomics. Whoever finds the segment full, or a record torn
 * by a full disk, mends it alone (`is_mending`); the others meanwhile go on without. */
#include "herald/journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "herald/clock.h"
#include "herald/crc32.h"

#define SEGMENTS 2
#define EID_BYTES (EVENT_EID_CHARS / 2)
#define CRC_AT 28
#define READ_RECORDS 512   /* at once: 16 KiB */
#define MEND_EVERY_MS 1000 /* a full disk is not asked again for every mail */

struct segment {
    int fd;
    _Atomic uint64_t bytes;
    _Atomic int64_t unconfirmed;
    _Atomic int64_t last_mono_ms; /* of the last append */
};

struct journal {
    int directory_fd; /* locked */
    struct segment segments[SEGMENTS];
    _Atomic int active;
    _Atomic bool is_mending;
    _Atomic bool is_torn; /* a record was cut short: nothing may be put behind it */
    _Atomic int failed;   /* errno of the last write, or 0 */
    _Atomic bool is_full;
    _Atomic int64_t mended_mono_ms;
};

/* ---- records ------------------------------------------------------------------------------------------ */

static void put_number(uint8_t *at, uint64_t number, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (uint8_t)(number >> (8 * i));
}

static uint64_t get_number(const uint8_t *at, int bytes)
{
    uint64_t number = 0;

    for (int i = 0; i < bytes; i++)
        number |= (uint64_t)at[i] << (8 * i);
    return number;
}

static uint64_t at_most(uint64_t number, uint64_t most)
{
    return number < most ? number : most;
}

static unsigned digit(char c)
{
    return c >= 'a' ? (unsigned)(c - 'a') + 10 : (unsigned)(c - '0');
}

static void write_record(const struct journal_note *note, uint8_t ret[JOURNAL_RECORD_BYTES])
{
    ret[0] = note->answer == JOURNAL_SENT ? 'S' : 'U';
    ret[1] = (uint8_t)note->ordinal;
    put_number(ret + 2, at_most(note->attempts, UINT16_MAX), 2);
    put_number(ret + 4, at_most(note->fence, UINT32_MAX), 4);
    for (int i = 0; i < EID_BYTES; i++)
        ret[8 + i] = (uint8_t)(digit(note->eid[2 * i]) << 4 | digit(note->eid[2 * i + 1]));
    put_number(ret + 20, (uint64_t)note->wall_ms, 8);
    put_number(ret + CRC_AT, crc32_of(ret, CRC_AT), 4);
}

static bool read_record(const uint8_t *bytes, struct journal_note *ret)
{
    if (get_number(bytes + CRC_AT, 4) != crc32_of(bytes, CRC_AT) || (bytes[0] != 'S' && bytes[0] != 'U'))
        return false;
    ret->answer = bytes[0] == 'S' ? JOURNAL_SENT : JOURNAL_UNKNOWN;
    ret->ordinal = bytes[1];
    ret->attempts = (unsigned)get_number(bytes + 2, 2);
    ret->fence = get_number(bytes + 4, 4);
    for (int i = 0; i < EID_BYTES; i++)
        snprintf(ret->eid + 2 * i, 3, "%02x", bytes[8 + i]);
    ret->wall_ms = (int64_t)get_number(bytes + 20, 8);
    return true;
}

/* ---- start and end ------------------------------------------------------------------------------------ */

static bool open_segment(struct journal *journal, int index, const char *directory, struct err *err)
{
    struct segment *segment = &journal->segments[index];
    char name[24];
    struct stat stat;

    snprintf(name, sizeof(name), "outcomes.%d", index);
    segment->fd = openat(journal->directory_fd, name, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (segment->fd < 0 || fstat(segment->fd, &stat) < 0)
        return err_set(err, ERR_CONFIG, "%s/%s: %s", directory, name, strerror(errno));
    atomic_init(&segment->bytes, (uint64_t)stat.st_size);
    return true;
}

bool journal_open(const char *directory, struct journal **ret, struct err *err)
{
    struct journal *journal = calloc(1, sizeof(*journal));

    if (journal == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    journal->segments[0].fd = journal->segments[1].fd = -1;
    journal->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_open = journal->directory_fd >= 0;
    if (!is_open)
        err_set(err, ERR_CONFIG, "%s: %s", directory, strerror(errno));
    else if (flock(journal->directory_fd, LOCK_EX | LOCK_NB) < 0)
        is_open =
            err_set(err, ERR_CONFIG, "%s: %s", directory,
                    errno == EWOULDBLOCK ? "another heraldd uses it: give each a state directory of its own"
                                         : strerror(errno));
    for (int i = 0; i < SEGMENTS && is_open; i++)
        is_open = open_segment(journal, i, directory, err);
    if (!is_open) {
        journal_close(journal);
        return false;
    }
    *ret = journal;
    return true;
}

void journal_close(struct journal *journal)
{
    if (journal == NULL)
        return;
    for (int i = 0; i < SEGMENTS; i++)
        if (journal->segments[i].fd >= 0)
            close(journal->segments[i].fd);
    if (journal->directory_fd >= 0)
        close(journal->directory_fd); /* and with it the lock */
    free(journal);
}

/* The time of a segment's first record; the end of time if it has none. */
static int64_t begins_at(const struct segment *segment)
{
    uint8_t bytes[JOURNAL_RECORD_BYTES];
    struct journal_note note;

    if (pread(segment->fd, bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes) || !read_record(bytes, &note))
        return INT64_MAX;
    return note.wall_ms;
}

static void read_segment(const struct segment *segment, journal_note_fn *on_note, void *arg,
                         struct journal_damage *ret)
{
    uint8_t bytes[READ_RECORDS * JOURNAL_RECORD_BYTES];
    uint64_t size = atomic_load(&segment->bytes);
    uint64_t at = 0;

    while (at < size) {
        ssize_t got = pread(segment->fd, bytes, sizeof(bytes), (off_t)at);
        ssize_t used = 0;
        struct journal_note note;
        while (got - used >= JOURNAL_RECORD_BYTES && read_record(bytes + used, &note)) {
            on_note(arg, &note);
            used += JOURNAL_RECORD_BYTES;
        }
        at += (uint64_t)used;
        if (used != (ssize_t)sizeof(bytes))
            break;
    }
    if (at < size) {
        ret->segments++;
        ret->bytes += size - at;
    }
}

void journal_read(struct journal *journal, journal_note_fn *on_note, void *arg, struct journal_damage *ret)
{
    int first = begins_at(&journal->segments[1]) < begins_at(&journal->segments[0]) ? 1 : 0;

    *ret = (struct journal_damage){0};
    for (int i = 0; i < SEGMENTS; i++)
        read_segment(&journal->segments[(first + i) % SEGMENTS], on_note, arg, ret);
}

static bool empty(struct segment *segment)
{
    if (ftruncate(segment->fd, 0) < 0)
        return false;
    atomic_store(&segment->bytes, 0);
    return true;
}

void journal_clear(struct journal *journal)
{
    for (int i = 0; i < SEGMENTS; i++)
        if (!empty(&journal->segments[i]))
            atomic_store(&journal->failed, errno);
    atomic_store(&journal->active, 0);
}

/* ---- appending ---------------------------------------------------------------------------------------- */

static bool is_free(struct segment *segment)
{
    return atomic_load(&segment->unconfirmed) == 0 &&
           clock_mono_ms() - atomic_load(&segment->last_mono_ms) >= JOURNAL_KEPT_MS;
}

/* The active segment is full: the other one's turn, if it may be emptied. */
static bool turn(struct journal *journal)
{
    int other = (atomic_load(&journal->active) + 1) % SEGMENTS;
    struct segment *next = &journal->segments[other];

    if (atomic_load(&next->bytes) > 0 && (!is_free(next) || !empty(next)))
        return false;
    atomic_store(&journal->active, other);
    return true;
}

/* Cuts off what a failed write left of a record. */
static bool cut_torn(struct journal *journal)
{
    struct segment *segment = &journal->segments[atomic_load(&journal->active)];
    struct stat stat;

    if (fstat(segment->fd, &stat) < 0 ||
        ftruncate(segment->fd, stat.st_size / JOURNAL_RECORD_BYTES * JOURNAL_RECORD_BYTES) < 0)
        return false;
    atomic_store(&journal->is_torn, false);
    return true;
}

static bool is_segment_full(const struct journal *journal)
{
    const struct segment *segment = &journal->segments[atomic_load(&journal->active)];

    return atomic_load(&segment->bytes) + JOURNAL_RECORD_BYTES > JOURNAL_SEGMENT_BYTES;
}

/* Makes the journal fit for a record, unless another thread is at it or it was tried a moment ago. */
static bool mend(struct journal *journal)
{
    bool is_mended = false;
    int64_t now_ms = clock_mono_ms();

    if (atomic_exchange(&journal->is_mending, true))
        return false;
    if (now_ms - atomic_load(&journal->mended_mono_ms) >= MEND_EVERY_MS) {
        is_mended = (!atomic_load(&journal->is_torn) || cut_torn(journal)) &&
                    (!is_segment_full(journal) || turn(journal));
        atomic_store(&journal->is_full, is_segment_full(journal));
        if (!is_mended)
            atomic_store(&journal->mended_mono_ms, now_ms);
    }
    atomic_store(&journal->is_mending, false);
    return is_mended;
}

int journal_append(struct journal *journal, struct journal_note *note)
{
    uint8_t bytes[JOURNAL_RECORD_BYTES];

    assert(strlen(note->eid) == EVENT_EID_CHARS);
    if ((atomic_load(&journal->is_torn) || is_segment_full(journal)) && !mend(journal))
        return 0;
    int active = atomic_load(&journal->active);
    struct segment *segment = &journal->segments[active];
    note->wall_ms = clock_wall_ms();
    write_record(note, bytes);
    /* Counted first: a segment with something under way is not free. */
    atomic_fetch_add(&segment->unconfirmed, 1);
    ssize_t written = write(segment->fd, bytes, sizeof(bytes));
    if (written != (ssize_t)sizeof(bytes)) {
        atomic_store(&journal->failed, written < 0 ? errno : ENOSPC);
        if (written > 0)
            atomic_store(&journal->is_torn, true);
        atomic_fetch_sub(&segment->unconfirmed, 1);
        return 0;
    }
    atomic_fetch_add(&segment->bytes, sizeof(bytes));
    atomic_store(&segment->last_mono_ms, clock_mono_ms());
    atomic_store_explicit(&journal->failed, 0, memory_order_relaxed);
    return active + 1;
}

void journal_confirm(struct journal *journal, int token)
{
    if (token > 0)
        atomic_fetch_sub(&journal->segments[token - 1].unconfirmed, 1);
}

enum journal_state journal_state(const struct journal *journal, int *ret_errno)
{
    *ret_errno = atomic_load(&journal->failed);
    if (*ret_errno != 0)
        return JOURNAL_FAILS;
    return atomic_load(&journal->is_full) ? JOURNAL_FULL : JOURNAL_WORKS;
}
