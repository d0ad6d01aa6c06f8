/* checkup.h - what heraldctl doctor looks at, a file for each place where something can be wrong, and the way
 * to say what was found. Each looks at what it can reach and says what it could not. */
#ifndef HERALD_CTL_CHECKUP_H
#define HERALD_CTL_CHECKUP_H

#include <stdbool.h>
#include <stddef.h>

#include "command.h"
#include "herald/server.h"

enum health { HEALTH_OK, HEALTH_WARN, HEALTH_FAIL, HEALTHS };

struct checkup {
    const struct config *config; /* borrowed */
    const char *config_path;
    struct client *client; /* borrowed; NULL: Redis can't be reached */
    bool is_json;
    size_t counts[HEALTHS]; /* of findings so far */
};

/* One finding. `topic` is a word, `remedy` what an operator can do, NULL where all is well. */
void checkup_say(struct checkup *checkup, enum health health, const char *topic, const char *remedy,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

void checkup_config(struct checkup *checkup);    /* doubts, and who can read secrets */
void checkup_providers(struct checkup *checkup); /* connects to each; sends nothing */
void checkup_redis(struct checkup *checkup);     /* fitness, who gets in, what its user may, the clock */
void checkup_work(struct checkup *checkup);      /* instances, lanes, what was given up, who else listens */
void checkup_journal(struct checkup *checkup);   /* the unit's limit of lines */

/* What heraldd does in Redis, tried with the configuration's user, and without an effect. */
void checkup_rights(struct checkup *checkup);

#endif
