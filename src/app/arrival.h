/* arrival.h - one message on its way through intake: what it said, whom it concerns, what the ledger is
 * asked. Loop thread. */
#ifndef HERALD_APP_ARRIVAL_H
#define HERALD_APP_ARRIVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/config.h"
#include "herald/event.h"
#include "herald/ledger.h"
#include "herald/recipient.h"

struct arrival {
    const struct config_source *source; /* borrowed from the batch's snapshot */
    const char *message;                /* as it came: borrowed from its source until the batch is done */
    size_t message_len;
    size_t total_len; /* more than message_len if it was too large to keep */
    uint64_t offset;
    const char *entry;   /* of a stream: its id, borrowed likewise; else NULL */
    const char *refusal; /* NULL; else why it can't be an event, whatever it says */
    char *opened;        /* owned: the body of a signed envelope, else NULL */
    const char *bytes;   /* the event: message or opened */
    size_t len;
    bool is_rejected;
    struct err reason;          /* why, if it is */
    struct event event;         /* if it is not */
    bool needs_record;          /* the recipient is the user's record */
    struct recipient recipient; /* from the record; unused if event.has_to */
    char note[480];             /* channels that were skipped, and why; "" if none */
    struct accept_event accept; /* what the ledger is asked; its payload is owned by `payload` */
    const struct config_provider
        *providers[DELIVERY_MAX_PER_EVENT]; /* of each target; NULL for one that is dead at once */
    struct buffer payload;
    char scopes[DELIVERY_MAX_PER_EVENT][PAYLOAD_SCOPE_CHARS + 1];
};

/* Checks the message: signature, size, schema. Afterwards is_rejected and needs_record are set. A signature
 * older than the dedupe window is refused: its replay would not be recognised. */
void arrival_read(struct arrival *arrival, int64_t now_ms, int64_t dedupe_window_ms);

/* The user's record came. NULLs where a field is missing. */
void arrival_set_record(struct arrival *arrival, const struct recipient_record *record);

/* Decides which deliveries it makes: channels without an address are skipped and noted, and an event with
 * none left is recorded dead. Fills accept, payload, providers; accept.targets[i].lane is the provider's
 * index. */
void arrival_plan(struct arrival *arrival, const struct config *config);

void arrival_done(struct arrival *arrival);

#endif
