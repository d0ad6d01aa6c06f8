/* log.h - one line per fact: a stable event name and a fixed set of fields.
 *
 * Callers on any thread; a call formats, copies the line into a bounded ring (LOG_RING_BYTES) and returns. A
 * writer thread empties the ring, so a slow terminal, a stopped journald or a closed stderr never holds up
 * the caller; lines that find the ring full are dropped and counted, and the count is written once there is
 * room ("log.dropped"). Before log_start and after log_stop a line is written directly, on the caller's
 * thread; a descriptor that takes nothing for a second then loses the line. After a log_stop that ran out of
 * time every line is lost, and nobody waits. A line has at most 4,096 bytes, so that a pipe takes it whole or
 * not at all: a text field is cut after 512 bytes (the message after 480, the reply after 200), and a field
 * for which there is no room is left out and `cut` set instead. errno is left as it was. A reader that has
 * gone raises no SIGPIPE.
 *
 * Never pass a message body, a secret or a whole address: addresses and tokens go through log_mask.
 */
#ifndef HERALD_LOG_H
#define HERALD_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "herald/err.h"

#define LOG_RING_BYTES (1024 * 1024) /* about 3,000 lines: a second of a busy instance */

/* The level says who must act. */
enum log_level {
    LOG_LEVEL_ERROR,   /* an operator, now */
    LOG_LEVEL_WARNING, /* we coped, and the line says how */
    LOG_LEVEL_NOTICE,  /* start, ready, reload, stop */
    LOG_LEVEL_INFO,    /* one per settled delivery */
    LOG_LEVEL_DEBUG,
};

enum log_format {
    LOG_FORMAT_AUTO, /* journal if stderr is the journal, text on a terminal, else JSON */
    LOG_FORMAT_TEXT,
    LOG_FORMAT_JSON,
    LOG_FORMAT_JOURNAL,
};

/* The fixed fields. In JSON and text: the name here; in the journal HERALD_ and the name in capitals. */
enum log_key {
    LOG_KEY_SOURCE,
    LOG_KEY_EVENT_ID, /* eid: the hash that names the event */
    LOG_KEY_ORDER_ID, /* the publisher's id */
    LOG_KEY_NOTIFICATION,
    LOG_KEY_DELIVERY, /* eid:ordinal */
    LOG_KEY_CHANNEL,
    LOG_KEY_PROVIDER,
    LOG_KEY_TO, /* masked */
    LOG_KEY_ATTEMPT,
    LOG_KEY_MS,
    LOG_KEY_REPLY, /* the provider's words, at most 200 bytes */
    LOG_KEY_CODE,
    LOG_KEY_WAIT_MS,
    LOG_KEY_LIMIT,
    LOG_KEY_REMAINING,
    LOG_KEY_RESET,
    LOG_KEY_TRACE_ID,
    LOG_KEY_REASON,
    LOG_KEY_COUNT,
    LOG_KEY_OFFSET,
    LOG_KEY_ENTRY,        /* of a stream: its id */
    LOG_KEY_OF,           /* another line's event */
    LOG_KEY_COUNT_OF_KEYS /* not a key */
};

struct log_field {
    enum log_key key;
    enum { LOG_NONE, LOG_TEXT, LOG_INT } type; /* LOG_NONE is left out of the line */
    const char *text; /* borrowed for the call; bytes that are not printable UTF-8 are escaped */
    size_t text_len;
    int64_t number;
};

struct log_field log_text(enum log_key key, const char *text); /* NULL or "": left out */
struct log_field log_bytes(enum log_key key, const char *text, size_t len);
struct log_field log_int(enum log_key key, int64_t number);

/* "j***@example.org" for an address, "ab12…" for any other text: enough to recognise, not enough to use.
 * `ret` has room for LOG_MASKED_BYTES. */
#define LOG_MASKED_BYTES 96
const char *log_mask(const char *text, char ret[LOG_MASKED_BYTES]);

/* Writes one line. `event` is one of the stable names ("delivery.sent"), `message` one plain sentence for
 * people. */
void log_line(enum log_level level, const char *event, const char *message, const struct log_field *fields,
              size_t count);

#define LOG(level, event, message, ...)                                                                      \
    log_line((level), (event), (message), (const struct log_field[]){__VA_ARGS__},                           \
             sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

/* How a journal entry leaves the process; app hands in sd_journal_sendv. Called on the writer thread (after
 * log_stop, on the caller's). Negative: the line is lost. */
typedef int log_journal_fn(const struct iovec *iov, int count);

struct log_options {
    enum log_level level; /* less urgent lines are not written */
    enum log_format format;
    unsigned rate;           /* lines of one event in a second, see log_set_rate; 0: all */
    log_journal_fn *journal; /* NULL: the journal format falls back to JSON */
    int fd;                  /* where text and JSON go; normally 2 */
};

/* Starts the writer thread ("herald-log", all signals blocked). False (ERR_NOMEM) if it can't. Call once,
 * before other threads. */
bool log_start(const struct log_options *options, struct err *err) MUST_CHECK;
/* Of what fails again and again, the attempts (from 1) that are said: the first, and each time the count
 * doubles. */
bool log_is_worth_repeating(unsigned attempt);
void log_set_level(enum log_level level); /* any thread */
/* Lines less urgent than a warning are written up to `rate` at once of each event and then `rate` a second,
 * evenly spread; the others are left out, and once a second, and before the end, a line for each event says
 * how many ("log.sampled"). 0: all are written. Only between log_start and log_stop. Any thread. */
void log_set_rate(unsigned rate);
/* Sees every line, those too that level and rate leave out, before it is written and on the caller's thread:
 * for counting. Set it while no other thread logs; NULL: nobody. */
typedef void log_observer_fn(void *arg, const char *event, const struct log_field *fields, size_t count);
void log_observe(log_observer_fn *observer, void *arg);
/* Waits at most `timeout_ms` for the ring to empty, then (a second at most) for the writer thread to end. A
 * thread that is in a write or a journal call which does not return is left behind; log_start must not be
 * called again then. */
void log_stop(int timeout_ms);
/* Lines dropped since start: the ring was full, or the descriptor or the journal would not take them. */
uint64_t log_dropped(void);
/* Lines left out since start by the rate. */
uint64_t log_sampled(void);
/* Bytes of the ring that are in use: LOG_RING_BYTES is full. Any thread. */
size_t log_ring_used(void);

#endif
