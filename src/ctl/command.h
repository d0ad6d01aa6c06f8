/* command.h - heraldctl's commands: each reads its operands, writes to stdout, and says what went wrong in
 * *err, whose kind is the exit status (main.c). */
#ifndef HERALD_CTL_COMMAND_H
#define HERALD_CTL_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "herald/client.h"
#include "herald/config.h"
#include "herald/err.h"
#include "herald/rate.h"

/* What the command line said. */
struct context {
    const struct config *config; /* borrowed; NULL for commands that need none */
    struct client *client;       /* borrowed; NULL for commands that need no Redis */
    const char *config_path;     /* --config */
    bool is_json;                /* --json: one JSON document per answer, for scripts */
    bool is_sure;                /* --yes: do not ask */
    bool is_all;                 /* --all */
    bool is_repair;              /* --repair */
    int64_t limit;               /* --limit; 0: not said */
    struct rate rate;            /* --rate; zero: not said */
    const char *source;          /* --source; NULL: not said */
    const char *to;              /* --to; NULL: not said */
    struct watch {               /* which lines of the log: NULL, and -1, where not said */
        const char *event;
        const char *order;
        int level;
        const char *unit;
        const char *file;
        int64_t lines;
    } watch;
    struct selection { /* which deliveries: NULL and 0 where not said */
        const char *provider;
        const char *notification;
        const char *reason; /* a part of it */
        int64_t older_ms, newer_ms;
    } selection;
};

/* Options that not every command takes. */
enum {
    OPTION_ANY = 0, /* --config, --json, --help, --version */
    OPTION_YES = 1,
    OPTION_ALL = 2,
    OPTION_LIMIT = 4,
    OPTION_RATE = 8,
    OPTION_SELECT = 16,
    OPTION_REPAIR = 32,
    OPTION_SOURCE = 64,
    OPTION_WATCH = 128,
    OPTION_TEST = 256,
};

/* What has to be there before a command runs. Of a daemon that doesn't start for its configuration the log is
 * all there is. */
enum command_needs { NEEDS_NOTHING, NEEDS_CONFIG, NEEDS_REDIS };

struct command {
    const char *name; /* one or two words */
    const char *operands;
    const char *help;
    int min_operands, max_operands;
    unsigned options;
    enum command_needs needs;
    bool (*run)(const struct context *context, int argc, char **argv, struct err *err);
};

bool command_status(const struct context *context, int argc, char **argv, struct err *err);
bool command_explain(const struct context *context, int argc, char **argv, struct err *err);
bool command_dead_list(const struct context *context, int argc, char **argv, struct err *err);
bool command_dead_show(const struct context *context, int argc, char **argv, struct err *err);
bool command_dead_replay(const struct context *context, int argc, char **argv, struct err *err);
bool command_dead_drop(const struct context *context, int argc, char **argv, struct err *err);
bool command_unknown_list(const struct context *context, int argc, char **argv, struct err *err);
bool command_unknown_resend(const struct context *context, int argc, char **argv, struct err *err);
bool command_unknown_drop(const struct context *context, int argc, char **argv, struct err *err);
bool command_cancel(const struct context *context, int argc, char **argv, struct err *err);
bool command_pause(const struct context *context, int argc, char **argv, struct err *err);
bool command_resume(const struct context *context, int argc, char **argv, struct err *err);
bool command_limits(const struct context *context, int argc, char **argv, struct err *err);
bool command_lane_list(const struct context *context, int argc, char **argv, struct err *err);
bool command_lane_move(const struct context *context, int argc, char **argv, struct err *err);
bool command_fsck(const struct context *context, int argc, char **argv, struct err *err);
bool command_render(const struct context *context, int argc, char **argv, struct err *err);
bool command_publish(const struct context *context, int argc, char **argv, struct err *err);
bool command_tail(const struct context *context, int argc, char **argv, struct err *err);
bool command_test(const struct context *context, int argc, char **argv, struct err *err);
bool command_doctor(const struct context *context, int argc, char **argv, struct err *err);
bool command_users_import(const struct context *context, int argc, char **argv, struct err *err);

#endif
