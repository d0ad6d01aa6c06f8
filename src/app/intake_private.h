/* intake_private.h - what intake.c and round.c share. Loop thread. */
#ifndef HERALD_APP_INTAKE_PRIVATE_H
#define HERALD_APP_INTAKE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arrival.h"
#include "intake.h"

struct intake {
    struct intake_options options;
    struct config *config;                                    /* a reference */
    const struct config_source *sources[CONFIG_MAX_SECTIONS]; /* of the configuration, by origin */
    struct arrival *arrivals; /* owned: of the batch under way; NULL when idle */
    size_t count;
    size_t rounds;     /* of the batch, not done yet */
    bool is_failed;    /* something of this batch was not answered */
    bool is_refused;   /* and that is because Redis said no */
    unsigned refusals; /* batches in a row that Redis refused */
    unsigned unkept;   /* answers in a row that something refused could not be kept */
    bool is_draining;
    bool is_starting; /* rounds are still being begun: not the time to finish */
    int64_t received_mono_us;
    char user_prefix[CONFIG_MAX_NAME + 48];
    const char *canary; /* the last canary in the batch: borrowed like the messages */
    size_t canary_len;
};

/* Begins a round over the arrivals [first, first + count), at most ROUND_MAX_EVENTS, which have been read. It
 * ends with intake_on_round_done, perhaps before this returns. */
#define ROUND_MAX_EVENTS 64           /* one accept call: the script stays near a millisecond */
#define ROUND_MAX_BYTES (1024 * 1024) /* of events in one call */
void round_begin(struct intake *intake, size_t first, size_t count);

/* Redis refuses this batch, which will come again. Said once for a batch, and of a row of them at the first,
 * second, fourth…: it is tried several times a second until an operator has seen to Redis. */
void intake_on_refused(struct intake *intake, const char *message, const char *reason);

/* One round less; is_failed says whether it was answered. */
void intake_on_round_done(struct intake *intake, bool is_failed);

#endif
