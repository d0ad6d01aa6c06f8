/* sample.h - a delivery that no ledger knows: to be rendered, or sent, once. */
#ifndef HERALD_CTL_SAMPLE_H
#define HERALD_CTL_SAMPLE_H

#include "herald/config.h"
#include "herald/delivery.h"
#include "herald/err.h"

/* The payload's first delivery, made as the daemon makes one of what Redis gives back, and checked as that
 * is. ERR_INPUT or ERR_NOMEM. */
bool sample_delivery(const struct payload *payload, const struct config *config, struct delivery **ret,
                     struct err *err) MUST_CHECK;
void sample_free(struct delivery *delivery); /* NULL is fine */

#endif
