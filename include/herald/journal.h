/* journal.h - what providers answered, on disk before anybody else hears of it.
 *
 * A crash between the provider's yes and Redis's note of it would send a second time. So a lane's thread
 * appends the answer here first; the next process tells Redis before it claims anything. A machine's crash
 * may cost the last records (nothing is fsynced: that would decide the speed of every send), a process's
 * none.
 *
 * Two segments of JOURNAL_SEGMENT_BYTES take turns. One is emptied when all in it is confirmed and
 * JOURNAL_KEPT_MS old; while neither can be used sends go on without, and journal_state says so. A record is
 * 32 bytes with a CRC, appended by one write() with O_APPEND; reading ends at the first that is damaged.
 */
#ifndef HERALD_JOURNAL_H
#define HERALD_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/err.h"
#include "herald/event.h"

/* 262,144 answers: over four minutes at 1,000/s, in each of two */
#define JOURNAL_SEGMENT_BYTES (8 * 1024 * 1024)
#define JOURNAL_RECORD_BYTES 32
#define JOURNAL_KEPT_MS 120000 /* a Redis that comes back has lost less than that, or everything */

struct journal;

enum journal_answer { JOURNAL_SENT, JOURNAL_UNKNOWN };

struct journal_note {
    char eid[EVENT_EID_CHARS + 1];
    unsigned ordinal;
    uint64_t fence;
    unsigned attempts;
    enum journal_answer answer;
    int64_t wall_ms; /* when it was written; journal_append fills it in */
};

/* Opens (makes) the two segments in a directory and locks it; what is in them stays. Start-up only: blocks on
 * files. ERR_CONFIG: the directory can't be used, or another process has it. */
bool journal_open(const char *directory, struct journal **ret, struct err *err) MUST_CHECK;
void journal_close(struct journal *journal); /* NULL is fine; no thread may append any more */

/* Reads all that a former process left, oldest segment first, each up to its first damaged record. Start-up
 * only. */
typedef void journal_note_fn(void *arg, const struct journal_note *note);
struct journal_damage {
    unsigned segments; /* how many ended in a damaged record */
    uint64_t bytes;    /* that were not read for it */
};
void journal_read(struct journal *journal, journal_note_fn *on_note, void *arg, struct journal_damage *ret);
/* All that was read has been told: empties both segments. */
void journal_clear(struct journal *journal);

/* Any thread; one write(), never waits for another thread. A token to confirm it with, or 0: not written. */
int journal_append(struct journal *journal, struct journal_note *note) MUST_CHECK;
/* The ledger has taken what was noted under this token (0 is fine). Any thread. */
void journal_confirm(struct journal *journal, int token);

/* For the log: whether answers are noted at present. Any thread. */
enum journal_state { JOURNAL_WORKS, JOURNAL_FULL, JOURNAL_FAILS };
enum journal_state journal_state(const struct journal *journal, int *ret_errno);

#endif
