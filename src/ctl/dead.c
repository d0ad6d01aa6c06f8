/* dead.c - heraldctl dead: what was given up. */
#include "parked.h"

static const struct parked dead = {"dead", 'X'};

bool command_dead_list(const struct context *context, int argc, char **argv, struct err *err)
{
    (void)argc;
    (void)argv;
    return parked_list(context, &dead, err);
}

bool command_dead_replay(const struct context *context, int argc, char **argv, struct err *err)
{
    static const struct parked_act replay = {
        "replay", "replayed", "Send all of these after all?", false,
        "they had nobody to go to, their payload is gone, or another was quicker"};
    return parked_act(context, &dead, &replay, argc, argv, err);
}

bool command_dead_drop(const struct context *context, int argc, char **argv, struct err *err)
{
    static const struct parked_act drop = {"drop", "dropped", "Forget these dead deliveries for good?", true,
                                           "another was quicker"};
    return parked_act(context, &dead, &drop, argc, argv, err);
}
