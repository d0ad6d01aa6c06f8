/* command.h - heraldctl's commands: each reads its own arguments, writes to stdout, and says what went wrong
 * in *err. */
#ifndef HERALD_CTL_COMMAND_H
#define HERALD_CTL_COMMAND_H

#include <stdbool.h>

#include "herald/client.h"
#include "herald/config.h"
#include "herald/err.h"

struct context {
    const struct config *config; /* borrowed */
    struct client *client;       /* borrowed; NULL for commands that need no Redis */
    bool is_json;                /* --json: one JSON document per answer, for scripts */
    bool is_sure;                /* --yes: do not ask */
};

struct command {
    const char *name; /* one or two words */
    const char *arguments;
    const char *help;
    bool needs_redis;
    bool (*run)(const struct context *context, int argc, char **argv, struct err *err);
};

bool command_status(const struct context *context, int argc, char **argv, struct err *err);
bool command_explain(const struct context *context, int argc, char **argv, struct err *err);
bool command_dead_list(const struct context *context, int argc, char **argv, struct err *err);
bool command_dead_replay(const struct context *context, int argc, char **argv, struct err *err);
bool command_dead_drop(const struct context *context, int argc, char **argv, struct err *err);
bool command_lane_move(const struct context *context, int argc, char **argv, struct err *err);
bool command_cancel(const struct context *context, int argc, char **argv, struct err *err);
bool command_render(const struct context *context, int argc, char **argv, struct err *err);
bool command_users_import(const struct context *context, int argc, char **argv, struct err *err);

#endif
