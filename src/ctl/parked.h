/* parked.h - the dead and the unknown: deliveries that stay as they are until an operator decides. */
#ifndef HERALD_CTL_PARKED_H
#define HERALD_CTL_PARKED_H

#include "command.h"

struct parked {
    const char *index; /* "dead"; also the word that people read */
    char state;        /* 'X' */
};

bool parked_list(const struct context *context, const struct parked *parked, struct err *err) MUST_CHECK;

/* Something that can be done to them. */
struct parked_act {
    const char *script;
    const char *done;     /* "replayed" */
    const char *question; /* asked first */
    bool is_one_asked;    /* also where one ID is named; else only for many */
    const char *refused;  /* why the script may leave one as it is */
};
/* To those of one ID, or to those that --all or a selection says, oldest first, no faster than --rate. *err
 * is ERR_INPUT if nothing of the ID is there. */
bool parked_act(const struct context *context, const struct parked *parked, const struct parked_act *act,
                int argc, char **argv, struct err *err) MUST_CHECK;

#endif
