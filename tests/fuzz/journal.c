/* journal.c - a journal that a crash, a disk or a person has damaged. What is read back was written, in all
 * its parts: a "sent" that was never noted would be a mail that nobody ever gets. What stood before the first
 * damage is all read.
 *
 * "R" and a line's end: what follows is a segment as it is. Else each line is an edit of a segment of real
 * notes, a letter and numbers:
 *
 *     n COUNT         so many notes (the first line only)
 *     x AT MASK       up to four neighbouring bytes of one record are changed
 *     t LEN           cut to that length           z LEN           zeros at the end
 *     d AT LEN        bytes taken out              m FROM LEN TO   bytes copied over others
 *     i FROM LEN TO   bytes copied in between      s               the other segment is the same
 *
 * A CRC is no seal: whoever computes one can forge a record. So an input has no words for that: it changes no
 * record twice, and either changes bytes or moves them. */
#include "herald/journal.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herald/crc32.h"
#include "place.h"

#define MAX_NOTES 48
#define MAX_BYTES 8192 /* of a segment under test */
#define MAX_EDITS 32

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct journal_note written[MAX_NOTES];
static size_t written_count;

struct segment {
    uint8_t bytes[MAX_BYTES];
    size_t len, intact; /* bytes[0, intact) are as they were written */
    bool is_changed[MAX_NOTES], has_changes, has_moves, is_doubled;
};

struct seen {
    struct journal_note notes[2 * MAX_BYTES / JOURNAL_RECORD_BYTES];
    size_t count;
};

static void on_note(void *arg, const struct journal_note *note)
{
    struct seen *seen = arg;
    assert(seen->count < sizeof(seen->notes) / sizeof(seen->notes[0]));
    assert(strspn(note->eid, "0123456789abcdef") == EVENT_EID_CHARS && strlen(note->eid) == EVENT_EID_CHARS);
    seen->notes[seen->count++] = *note;
}

static struct journal *open_journal(void)
{
    struct journal *journal = NULL;
    struct err err;
    if (!journal_open(place(), &journal, &err))
        abort();
    return journal;
}

static bool is_same(const struct journal_note *a, const struct journal_note *b)
{
    return strcmp(a->eid, b->eid) == 0 && a->ordinal == b->ordinal && a->fence == b->fence &&
           a->attempts == b->attempts && a->answer == b->answer && a->wall_ms == b->wall_ms;
}

static void append(struct journal *journal, unsigned number, struct journal_note *ret)
{
    *ret = (struct journal_note){.ordinal = number % 24,
                                 .fence = 1 + (number * 2654435761u >> 4),
                                 .attempts = number % 40,
                                 .answer = number % 5 == 3 ? JOURNAL_UNKNOWN : JOURNAL_SENT};
    snprintf(ret->eid, sizeof(ret->eid), "%08x%08x%08x", number * 2246822519u, number * 3266489917u, ~number);
    int token = journal_append(journal, ret);
    assert(token > 0);
    journal_confirm(journal, token);
}

/* Real notes, the same in each run but for the time they carry; `ret` has the segment as it is on disk. */
static void write_notes(size_t count, struct segment *ret)
{
    char path[PLACE_PATH];
    struct journal *journal = open_journal();
    for (written_count = 0; written_count < count; written_count++)
        append(journal, (unsigned)written_count, &written[written_count]);
    journal_close(journal);
    place_path("outcomes.0", path);
    FILE *file = fopen(path, "rb");
    assert(file != NULL);
    ret->len = ret->intact = fread(ret->bytes, 1, sizeof(ret->bytes), file);
    fclose(file);
    assert(ret->len == count * JOURNAL_RECORD_BYTES);
}

static void touch(struct segment *segment, size_t at)
{
    if (at < segment->intact)
        segment->intact = at;
}

static void change(struct segment *segment, size_t at, uint32_t mask)
{
    size_t record = at / JOURNAL_RECORD_BYTES;
    if (at >= segment->len || record >= MAX_NOTES || segment->has_moves || segment->is_changed[record] ||
        mask == 0)
        return;
    for (size_t i = at; i < segment->len && i < (record + 1) * JOURNAL_RECORD_BYTES && mask != 0; i++) {
        segment->bytes[i] ^= (uint8_t)mask;
        mask >>= 8;
        segment->is_changed[record] = segment->has_changes = true;
    }
    touch(segment, at);
}

static void move(struct segment *segment, size_t from, size_t len, size_t to, bool is_inserted)
{
    uint8_t piece[MAX_BYTES];
    if (from > segment->len || len > segment->len - from || to > segment->len || segment->has_changes ||
        len == 0)
        return;
    if ((is_inserted ? segment->len : to) + len > MAX_BYTES)
        return;
    memcpy(piece, segment->bytes + from, len);
    if (is_inserted) {
        memmove(segment->bytes + to + len, segment->bytes + to, segment->len - to);
        segment->len += len;
    } else if (to + len > segment->len) {
        segment->len = to + len;
    }
    memcpy(segment->bytes + to, piece, len);
    segment->has_moves = true;
    touch(segment, to);
}

static void edit(struct segment *segment, char what, const size_t *number)
{
    if (what == 'x') {
        change(segment, number[0], (uint32_t)number[1]);
    } else if (what == 't' && number[0] < segment->len) {
        segment->len = number[0];
        touch(segment, number[0]);
    } else if (what == 'z' && number[0] <= MAX_BYTES - segment->len) {
        memset(segment->bytes + segment->len, 0, number[0]);
        segment->len += number[0];
    } else if (what == 'd' && number[0] < segment->len && number[1] <= segment->len - number[0]) {
        memmove(segment->bytes + number[0], segment->bytes + number[0] + number[1],
                segment->len - number[0] - number[1]);
        segment->len -= number[1];
        segment->has_moves = true;
        touch(segment, number[0]);
    } else if (what == 'm' || what == 'i') {
        move(segment, number[0], number[1], number[2], what == 'i');
    } else if (what == 's') {
        segment->is_doubled = true;
    }
}

static void read_all(struct seen *ret, struct journal_damage *ret_damage, size_t expected_bytes)
{
    struct journal *journal = open_journal();
    ret->count = 0;
    journal_read(journal, on_note, ret, ret_damage);
    /* Every byte is either read or complained of. */
    assert(ret->count * JOURNAL_RECORD_BYTES + ret_damage->bytes == expected_bytes);
    assert((ret_damage->segments > 0) == (ret_damage->bytes > 0) && ret_damage->segments <= 2);

    /* Told to Redis: then nothing is left, and the journal is as good as new. */
    struct seen after = {.count = 0};
    struct journal_damage none;
    struct journal_note note;
    journal_clear(journal);
    journal_read(journal, on_note, &after, &none);
    assert(after.count == 0 && none.bytes == 0);
    append(journal, 7, &note);
    journal_read(journal, on_note, &after, &none);
    assert(after.count == 1 && none.bytes == 0 && is_same(&after.notes[0], &note));
    journal_clear(journal);
    journal_close(journal);
}

static void check_raw(const uint8_t *bytes, size_t len)
{
    static struct seen seen;
    struct journal_damage damage;
    if (len > MAX_BYTES)
        return;
    place_write("outcomes.0", bytes, len);
    read_all(&seen, &damage, len);
    for (size_t i = 0; i < seen.count; i++) {
        const uint8_t *record = bytes + i * JOURNAL_RECORD_BYTES;
        uint32_t crc = crc32_of(record, JOURNAL_RECORD_BYTES - 4);
        assert(record[0] == (seen.notes[i].answer == JOURNAL_SENT ? 'S' : 'U'));
        for (size_t k = 0; k < 4; k++)
            assert(record[JOURNAL_RECORD_BYTES - 4 + k] == (uint8_t)(crc >> (8 * k)));
    }
}

static void check_edited(const struct segment *segment)
{
    static struct seen seen;
    struct journal_damage damage;
    size_t intact = 0;
    place_write("outcomes.0", segment->bytes, segment->len);
    if (segment->is_doubled)
        place_write("outcomes.1", segment->bytes, segment->len);
    read_all(&seen, &damage, segment->is_doubled ? 2 * segment->len : segment->len);
    for (size_t i = 0; i < seen.count; i++) {
        size_t k = 0;
        while (k < written_count && !is_same(&seen.notes[i], &written[k]))
            k++;
        assert(k < written_count);
        intact += k == i;
        if (!segment->has_moves && !segment->is_doubled)
            assert(k == i && !segment->is_changed[k]);
    }
    assert(intact >= segment->intact / JOURNAL_RECORD_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct segment segment;
    if (len >= 2 && bytes[0] == 'R' && bytes[1] == '\n') {
        check_raw(bytes + 2, len - 2);
        return 0;
    }
    char *text = strndup((const char *)bytes, len), *rest = NULL;
    if (text == NULL)
        return 0;
    segment = (struct segment){.len = 0};
    int edits = 0;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL && edits < MAX_EDITS;
         line = strtok_r(NULL, "\n", &rest), edits++) {
        size_t number[3] = {0};
        char *at = line + 1;
        for (int i = 0; i < 3; i++)
            number[i] = strtoul(at, &at, 10);
        if (edits == 0)
            write_notes(*line == 'n' && number[0] <= MAX_NOTES ? number[0] : 4, &segment);
        else
            edit(&segment, *line, number);
    }
    if (edits > 0)
        check_edited(&segment);
    free(text);
    return 0;
}
