/* record.h - one event as Redis keeps it, read for people. */
#ifndef HERALD_CTL_RECORD_H
#define HERALD_CTL_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/client.h"
#include "herald/config.h"
#include "herald/delivery.h"
#include "herald/err.h"
#include "herald/ledger.h"
#include "items.h"

#define RECORD_HISTORY 8 /* lines; prelude.lua keeps as many */

struct record {
    char eid[EVENT_EID_CHARS + 1];
    int64_t accepted_ms;
    size_t delivery_count;
    struct ledger_record deliveries[DELIVERY_MAX_PER_EVENT];
    size_t history_forgotten; /* lines that were there before the oldest of these */
    size_t history_count;     /* oldest first */
    struct record_line {
        int64_t at_ms;
        unsigned place;  /* in Redis: number modulo RECORD_HISTORY */
        char ordinal[8]; /* "-" for the whole event */
        char text[320];
    } history[RECORD_HISTORY];
    char *payload; /* owned; NULL once the last delivery has ended */
    size_t payload_len;
};

/* ERR_INPUT if there is no such event. On true the caller calls record_done. */
bool record_read(struct client *client, const char *eid, struct record *ret, struct err *err) MUST_CHECK;
void record_done(struct record *record);

/* Finds an event by its publisher's id in the space of any source, by its eid, or by "eid:ordinal"; then
 * *ret_only is that ordinal, else -1. */
bool record_find(const struct config *config, struct client *client, const char *id, struct record *ret,
                 int *ret_only, struct err *err) MUST_CHECK;

void record_item(const struct record *record, unsigned ordinal, struct item *ret);
const char *record_state_name(char state); /* "accepted" … */
/* The last history line of a delivery, or "". */
const char *record_last_words(const struct record *record, unsigned ordinal);
/* The same without the state's name in front: why it is dead or unknown. */
const char *record_reason(const struct record *record, unsigned ordinal);

#endif
