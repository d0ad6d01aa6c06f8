/* tally.h - the counters beside the log: every line that is written, and every one that the level leaves out,
 * counts here, by the names that the configuration gives.
 *
 * A label is a name of the configuration's sources, notifications and providers, or a word of a closed list
 * (reason.h): nothing that an event, a reply or Redis says becomes one; what is not known is "other". A name
 * that was configured once stays, so that a reload takes no number back. There are at most TALLY_MAX_SERIES
 * series; what would need one more counts in `overflow`. Loop thread, but for the labels, below. */
#ifndef HERALD_APP_TALLY_H
#define HERALD_APP_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/config.h"
#include "herald/err.h"
#include "herald/log.h"

#define TALLY_MAX_SERIES 1024 /* sixteen for each of 64 providers; a scraper takes many more */
#define TALLY_MAX_TIMINGS 224 /* three for each of 64 providers, and the ledger's scripts */
#define TALLY_BUCKETS 18      /* the last is all the rest */
extern const int64_t tally_bounds_us[TALLY_BUCKETS - 1];

enum tally_label {
    TALLY_SOURCE,
    TALLY_NOTIFICATION,
    TALLY_CHANNEL,
    TALLY_PROVIDER,
    TALLY_REASON,
    TALLY_LIMIT,
    TALLY_EVENT,
    TALLY_LABELS
};
extern const char *const tally_label_names[TALLY_LABELS];

/* What is counted of a log line: a metric of the output. */
struct tally_family {
    const char *event; /* NULL: of every one */
    const char *name, *help;
    unsigned labels; /* 1 << TALLY_… */
    enum {
        TALLY_LINES,
        TALLY_COUNT_FIELD,
        TALLY_MS_FIELD
    } what; /* one each; or `count`, else one; or `ms` */
};
extern const struct tally_family tally_families[];
extern const size_t tally_family_count;

enum tally_kind { TIMING_DELIVERY, TIMING_WAIT, TIMING_ATTEMPT, TIMING_REDIS, TIMING_KINDS };

struct tally_timing {
    uint64_t buckets[TALLY_BUCKETS];
    uint64_t sum_us;
};

/* The numbers, without the labels. */
struct tally_numbers {
    size_t series_count, timing_count;
    uint64_t overflow;
    uint64_t values[TALLY_MAX_SERIES];
    struct tally_timing timings[TALLY_MAX_TIMINGS];
};

/* A place in the output; constant once its number was copied. */
struct tally_series {
    const struct tally_family *family;
    char labels[TALLY_LABELS][24]; /* "": has it not */
};
struct tally_clocked {
    enum tally_kind kind;
    char label[CONFIG_MAX_NAME + 1];
};

struct tally;

bool tally_new(struct config *config, struct tally **ret, struct err *err) MUST_CHECK;
void tally_free(struct tally *tally); /* NULL is fine */
void tally_reload(struct tally *tally, struct config *config);

/* A log_observer_fn: counts the line. */
void tally_line(void *tally, const char *event, const struct log_field *fields, size_t count);
/* One more duration; `label` is a provider's name of the configuration, or a script's. Without a tally
 * nothing. */
void tally_time(struct tally *tally, enum tally_kind kind, const char *label, int64_t us);

/* Copies what is used of the numbers. */
void tally_copy(const struct tally *tally, struct tally_numbers *ret);

/* Any thread that has got numbers copied after it was made: below their counts the labels are constant. */
const struct tally_series *tally_series(const struct tally *tally, size_t index);
const struct tally_clocked *tally_clocked(const struct tally *tally, size_t index);

#endif
