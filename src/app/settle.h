/* settle.h - writes outcomes into the ledger, in batches, until the ledger has taken them. Loop thread.
 *
 * `sent` is repeated for as long as the process lives: the provider's yes must not be forgotten. `fail` and
 * `release` too while Redis can't be written to, though by then the lease may be over; then the ledger
 * answers that it was another's, which settles it as well. A call that Redis refuses for good (a key of ours
 * holds something foreign) is taken apart, so that one broken record harms no other; `fail` and `release` of
 * that one are left to its lease's end. */
#ifndef HERALD_APP_SETTLE_H
#define HERALD_APP_SETTLE_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "counters.h"
#include "herald/delivery.h"
#include "herald/ledger.h"

struct settle;

/* on_settled: the ledger has taken it; the callee owns it again. */
typedef void settle_fn(void *arg, struct delivery *delivery);
/* on_more: a call was answered and more waits; settle_flush soon. */
struct settle *settle_new(struct ledger *ledger, struct counters *counters, settle_fn *on_settled,
                          void (*on_more)(void *arg), void *arg);
void settle_free(struct settle *settle); /* frees what could not be settled */

enum settle_kind { SETTLE_SENT, SETTLE_FAIL, SETTLE_RELEASE, SETTLE_KINDS };
/* Takes the delivery. For SETTLE_FAIL `what`, `attempts` and `delay_ms` say how. Nothing is sent before
 * settle_flush. */
void settle_add(struct settle *settle, enum settle_kind kind, struct delivery *delivery, int what,
                unsigned attempts, int64_t delay_ms);
/* Sends what has been added, and what came back unanswered. */
void settle_flush(struct settle *settle);
/* Puts back what was refused for good, to be tried again: every second or so. */
void settle_insist(struct settle *settle);
size_t settle_pending(const struct settle *settle);

#endif
