/* limited.h - the deliveries that wait for a slot of a limit, by the limit: whose they are and until when. */
#ifndef HERALD_CTL_LIMITED_H
#define HERALD_CTL_LIMITED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "command.h"
#include "herald/delivery.h"
#include "herald/log.h"

#define LIMITED_LOOK 1000 /* of each lane, those whose slots come first: three short calls to Redis each */
#define LIMITED_MAX 1000  /* whom so many wait for, at most */

struct limited {
    bool is_cut;  /* there are more than were looked at */
    size_t count; /* of scopes; the first whose slot comes is the first */
    struct limited_scope {
        const char *kind;                    /* static text: "notification", "recipient" */
        char name[64];                       /* the notification; of a recipient the channel */
        char scope[PAYLOAD_SCOPE_CHARS + 1]; /* of a recipient, else "" */
        char to[LOG_MASKED_BYTES];           /* of a recipient, else "" */
        size_t waiting;
        int64_t next_ms, last_ms; /* the first slot and the last */
    } scopes[LIMITED_MAX];
};

/* On true the caller frees *ret. */
bool limited_read(const struct context *context, struct limited **ret, struct err *err) MUST_CHECK;

#endif
