/* unknown.c - heraldctl unknown: what may have been sent, where the configuration says to hold that. */
#include "parked.h"

static const struct parked unknown = {"unknown", 'U'};

bool command_unknown_list(const struct context *context, int argc, char **argv, struct err *err)
{
    (void)argc;
    (void)argv;
    return parked_list(context, &unknown, err);
}

bool command_unknown_resend(const struct context *context, int argc, char **argv, struct err *err)
{
    static const struct parked_act resend = {"replay", "resent",
                                             "Send these again, though each may have arrived?", true,
                                             "their payload is gone, or another was quicker"};
    return parked_act(context, &unknown, &resend, argc, argv, err);
}

bool command_unknown_drop(const struct context *context, int argc, char **argv, struct err *err)
{
    static const struct parked_act drop = {"drop", "dropped",
                                           "Forget these for good, though each may not have arrived?", true,
                                           "another was quicker"};
    return parked_act(context, &unknown, &drop, argc, argv, err);
}
