/* The journal: what is noted is read again, whatever was cut or damaged, and never anything that was not
 * noted. */
#include "herald/journal.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];

static void make_directory(void)
{
    snprintf(directory, sizeof(directory), "/tmp/herald-journal-XXXXXX");
    cr_assert(mkdtemp(directory) != NULL);
}

static void remove_directory(void)
{
    char command[96];
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    cr_assert(system(command) == 0);
}

TestSuite(journal, .init = make_directory, .fini = remove_directory);

static struct journal *open_journal(void)
{
    struct journal *journal = NULL;
    struct err err = {0};
    cr_assert(journal_open(directory, &journal, &err), "%s", err.text);
    return journal;
}

static const char *segment_path(int index)
{
    static char path[96];
    snprintf(path, sizeof(path), "%s/outcomes.%d", directory, index);
    return path;
}

static int append(struct journal *journal, unsigned number)
{
    struct journal_note note = {.ordinal = number % 24,
                                .fence = number + 1,
                                .attempts = number % 40,
                                .answer = number % 5 == 0 ? JOURNAL_UNKNOWN : JOURNAL_SENT};
    snprintf(note.eid, sizeof(note.eid), "%024x", number);
    return journal_append(journal, &note);
}

struct seen {
    unsigned count;
    bool is_wrong; /* a note that was never made */
};

static void on_note(void *arg, const struct journal_note *note)
{
    struct seen *seen = arg;
    unsigned number = (unsigned)strtoul(note->eid, NULL, 16);
    seen->is_wrong |=
        note->fence != number + 1 || note->ordinal != number % 24 || note->attempts != number % 40 ||
        note->answer != (number % 5 == 0 ? JOURNAL_UNKNOWN : JOURNAL_SENT) || number != seen->count;
    seen->count++;
}

static struct seen read_all(struct journal_damage *damage)
{
    struct seen seen = {0};
    struct journal *journal = open_journal();
    journal_read(journal, on_note, &seen, damage);
    journal_close(journal);
    return seen;
}

static void write_notes(unsigned count)
{
    struct journal *journal = open_journal();
    for (unsigned i = 0; i < count; i++)
        cr_assert_gt(append(journal, i), 0);
    journal_close(journal);
}

Test(journal, what_was_noted_is_read_by_the_next_process)
{
    struct journal_damage damage;
    write_notes(1000);
    struct seen seen = read_all(&damage);
    cr_assert_eq(seen.count, 1000);
    cr_assert_not(seen.is_wrong);
    cr_assert_eq(damage.segments, 0);
}

Test(journal, a_journal_cut_at_any_byte_is_used_up_to_there)
{
    struct journal_damage damage;
    write_notes(20);
    for (int size = 20 * JOURNAL_RECORD_BYTES; size >= 0; size--) {
        cr_assert(truncate(segment_path(0), size) == 0);
        struct seen seen = read_all(&damage);
        cr_assert_eq(seen.count, (unsigned)size / JOURNAL_RECORD_BYTES);
        cr_assert_not(seen.is_wrong);
        cr_assert_eq(damage.bytes, (uint64_t)size % JOURNAL_RECORD_BYTES);
        cr_assert_eq(damage.segments, size % JOURNAL_RECORD_BYTES != 0);
    }
}

Test(journal, a_damaged_byte_anywhere_ends_the_reading_and_invents_nothing)
{
    struct journal_damage damage;
    write_notes(8);
    int fd = open(segment_path(0), O_RDWR);
    for (off_t at = 0; at < 8 * JOURNAL_RECORD_BYTES; at++) {
        unsigned char byte;
        cr_assert(pread(fd, &byte, 1, at) == 1);
        for (unsigned flip = 1; flip < 256; flip = flip * 2 + 1) {
            unsigned char damaged = (unsigned char)(byte ^ flip);
            cr_assert(pwrite(fd, &damaged, 1, at) == 1);
            struct seen seen = read_all(&damage);
            cr_assert_eq(seen.count, (unsigned)at / JOURNAL_RECORD_BYTES);
            cr_assert_not(seen.is_wrong);
            cr_assert_eq(damage.segments, 1);
        }
        cr_assert(pwrite(fd, &byte, 1, at) == 1);
    }
    close(fd);
}

Test(journal, only_one_process_has_a_directory)
{
    struct journal *first = open_journal(), *second = NULL;
    struct err err = {0};
    cr_assert_not(journal_open(directory, &second, &err));
    cr_assert_eq(err.kind, ERR_CONFIG);
    cr_assert(strstr(err.text, "another heraldd uses it") != NULL, "%s", err.text);
    journal_close(first);
    journal_close(open_journal());
}

Test(journal, a_directory_that_is_not_there_is_said)
{
    struct journal *journal = NULL;
    struct err err = {0};
    cr_assert_not(journal_open("/nonexistent/herald", &journal, &err));
    cr_assert(strstr(err.text, "/nonexistent/herald: No such file") != NULL, "%s", err.text);
}

Test(journal, what_was_told_is_forgotten)
{
    struct journal_damage damage;
    struct seen seen = {0};
    write_notes(10);
    struct journal *journal = open_journal();
    journal_read(journal, on_note, &seen, &damage);
    journal_clear(journal);
    cr_assert_gt(append(journal, 0), 0);
    journal_close(journal);
    cr_assert_eq(read_all(&damage).count, 1);
}

Test(journal, both_segments_full_is_said_and_a_confirmed_young_one_is_kept)
{
    int ignored;
    unsigned records = JOURNAL_SEGMENT_BYTES / JOURNAL_RECORD_BYTES;
    struct journal *journal = open_journal();
    for (unsigned i = 0; i < 2 * records; i++) {
        int token = append(journal, i);
        cr_assert_eq(token, i < records ? 1 : 2);
        journal_confirm(journal, token);
    }
    cr_assert_eq(append(journal, 0), 0);
    cr_assert_eq(journal_state(journal, &ignored), JOURNAL_FULL);
    journal_close(journal);

    struct journal_damage damage;
    struct seen seen = read_all(&damage);
    cr_assert_eq(seen.count, 2 * records);
    cr_assert_not(seen.is_wrong);
}

Test(journal, a_full_disk_is_said_and_leaves_whole_records)
{
    int error = 0;
    struct journal_damage damage;
    struct journal *journal = open_journal();
    /* A file that may not grow past one and a half records is a disk that is full there. */
    struct rlimit limit = {JOURNAL_RECORD_BYTES * 3 / 2, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    cr_assert_eq(append(journal, 0), 1);
    cr_assert_eq(append(journal, 1), 0);
    cr_assert_eq(journal_state(journal, &error), JOURNAL_FAILS);
    cr_assert_neq(error, 0);
    limit.rlim_cur = RLIM_INFINITY;
    cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    cr_assert_eq(append(journal, 1), 1, "the half record is cut off, and the next is whole");
    cr_assert_eq(journal_state(journal, &error), JOURNAL_WORKS);
    journal_close(journal);
    struct seen seen = read_all(&damage);
    cr_assert_eq(seen.count, 2);
    cr_assert_not(seen.is_wrong);
    cr_assert_eq(damage.segments, 0);
}
