/* restatement.h - events that Redis has accepted once and may have lost, put together from their payloads
 * into one more accept call. What it still knows it answers as duplicate. Nothing is leased. Loop thread. */
#ifndef HERALD_APP_RESTATEMENT_H
#define HERALD_APP_RESTATEMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "herald/config.h"
#include "herald/err.h"
#include "herald/ledger.h"

struct restatement;

/* NULL: out of memory; all below take that as one that is empty and can't be sent. */
struct restatement *restatement_new(const struct config *config);
void restatement_free(struct restatement *restatement);

bool restatement_has_room(const struct restatement *restatement);
bool restatement_is_empty(const struct restatement *restatement);
/* Borrows all until restatement_send. One whose payload can't be read is left out:
 * it was ours, and can't be. */
void restatement_add(struct restatement *restatement, const char *eid, const char *content,
                     const char *payload, size_t payload_len);
bool restatement_send(struct restatement *restatement, struct ledger *ledger, ledger_accept_fn *on_accepted,
                      void *arg, struct err *err) MUST_CHECK;

#endif
