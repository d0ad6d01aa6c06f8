/* pauses.h - which lanes an operator has paused: asked of Redis every second, handed on to the dispatch, and
 * told again to a Redis that has lost it.
 *
 * That nothing is leased in a paused lane is the scripts' doing. Here it is learned what to give back that
 * was leased before, what to say in the log, and when to begin again. Loop thread. */
#ifndef HERALD_APP_PAUSES_H
#define HERALD_APP_PAUSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dispatch.h"
#include "herald/config.h"
#include "herald/ledger.h"
#include "herald/link.h"

struct pauses {
    struct link *commands;       /* borrowed */
    const struct ledger *ledger; /* borrowed */
    struct dispatch *dispatch;   /* borrowed */
    struct config *asked;        /* a reference while a question is under way: its lanes; else NULL */
    size_t count;
    struct pauses_lane {
        char name[CONFIG_MAX_NAME + 1];
        bool is_paused;
        int64_t since_ms; /* of either; 0: nothing was ever said of it */
    } lanes[CONFIG_MAX_SECTIONS];
};

/* Asks for the lanes of this configuration, unless it is being asked already. */
void pauses_ask(struct pauses *pauses, struct config *config);
#endif
