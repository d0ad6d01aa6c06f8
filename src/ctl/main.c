/* heraldctl: the operator's hand. Reads the daemon's configuration file, talks to Redis and not to the
 * daemon, so it works with the daemon down. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "arguments.h"
#include "command.h"
#include "text.h"

#define DEFAULT_CONFIG "/etc/herald/herald.conf"

#define SELECTED (OPTION_SELECT | OPTION_ALL | OPTION_LIMIT | OPTION_YES)

static const struct command commands[] = {
    {"status", "", "instances, lanes and what waits in them", 0, 0, OPTION_ANY, NEEDS_REDIS, command_status},
    {"explain", "ID", "what became of an event: its deliveries, their history, and why", 1, 1, OPTION_ANY,
     NEEDS_REDIS, command_explain},
    {"dead list", "", "deliveries that were given up, newest first (50 unless --limit says more)", 0, 0,
     OPTION_SELECT | OPTION_LIMIT, NEEDS_REDIS, command_dead_list},
    {"dead show", "ID", "all that is kept of an event with a dead delivery, its personal data too", 1, 1,
     OPTION_ANY, NEEDS_REDIS, command_dead_show},
    {"dead replay", "[ID]", "send them after all, oldest first, with the same identity", 0, 1,
     SELECTED | OPTION_RATE, NEEDS_REDIS, command_dead_replay},
    {"dead drop", "[ID]", "forget them and the personal data they hold", 0, 1, SELECTED, NEEDS_REDIS,
     command_dead_drop},
    {"unknown list", "", "deliveries that may have been sent and are held, newest first", 0, 0,
     OPTION_SELECT | OPTION_LIMIT, NEEDS_REDIS, command_unknown_list},
    {"unknown resend", "[ID]", "send them again, at the risk of a second copy, with the same identity", 0, 1,
     SELECTED | OPTION_RATE, NEEDS_REDIS, command_unknown_resend},
    {"unknown drop", "[ID]", "take them as sent: forget them and the personal data they hold", 0, 1, SELECTED,
     NEEDS_REDIS, command_unknown_drop},
    {"cancel", "ID", "do not send what still waits of an event", 1, 1, OPTION_ANY, NEEDS_REDIS,
     command_cancel},
    {"limits", "", "each limit: how much is used, and whom it makes wait (20 unless --limit says more)", 0, 0,
     OPTION_LIMIT, NEEDS_REDIS, command_limits},
    {"pause", "LANE",
     "nothing more of a lane is sent, by any instance, until it is resumed; what comes waits", 1, 1,
     OPTION_ANY, NEEDS_REDIS, command_pause},
    {"resume", "LANE", "what waits in a paused lane is sent", 1, 1, OPTION_ANY, NEEDS_REDIS, command_resume},
    {"lane list", "", "what waits in each lane, and which lanes no configured provider serves", 0, 0,
     OPTION_ANY, NEEDS_REDIS, command_lane_list},
    {"lane move", "FROM TO", "what waits in one lane waits in another", 2, 2, OPTION_YES, NEEDS_REDIS,
     command_lane_move},
    {"fsck", "", "do records and indexes in Redis agree? Lists 100 findings unless --limit says more", 0, 0,
     OPTION_REPAIR | OPTION_LIMIT | OPTION_YES, NEEDS_REDIS, command_fsck},
    {"doctor", "", "look at all that could be wrong, and say what helps; sends and changes nothing", 0, 0,
     OPTION_ANY, NEEDS_NOTHING, command_doctor},
    {"render", "NOTIFICATION EVENT.json [CHANNEL]", "show what would be sent, without sending it", 2, 3,
     OPTION_ANY, NEEDS_CONFIG, command_render},
    {"tail", "", "the log as it is written, from the journal or a file of JSON lines", 0, 0,
     OPTION_WATCH | OPTION_LIMIT, NEEDS_NOTHING, command_tail},
    {"publish", "FILE", "send events to a source: one JSON object a line, all checked before the first goes",
     1, 1, OPTION_SOURCE, NEEDS_REDIS, command_publish},
    {"test", "PROVIDER", "send one real message through a provider, and say what it answers", 1, 1,
     OPTION_TEST, NEEDS_CONFIG, command_test},
    {"users import", "FILE.jsonl",
     "store recipients: one JSON object with userId, email, name, locale, push a line", 1, 1, OPTION_ANY,
     NEEDS_REDIS, command_users_import},
};

static void print_usage(FILE *file)
{
    fputs("usage: heraldctl [OPTION ...] COMMAND ...\n\n", file);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", commands[i].name, commands[i].operands);
        fprintf(file, "  %-42s %s\n", left, commands[i].help);
    }
    fputs("\n", file);
    arguments_print(file, ~0u);
    fputs("\n"
          "heraldctl COMMAND --help says which options a command takes.\n"
          "The configuration is " DEFAULT_CONFIG " unless --config says otherwise.\n"
          "\n"
          "Exit status: 0 done; 1 it could not be done, or something is wrong; 64 wrong usage;\n"
          "66 no such event or lane, or input that is no good; 69 Redis can't be reached, or\n"
          "a provider does not take the test message at present; 71 out of memory; 74 the answer\n"
          "could not be written; 76 the test message may have been sent; 78 the configuration is wrong.\n",
          file);
}

static void print_command(const struct command *command)
{
    printf("usage: heraldctl %s %s\n\n  %s\n\n", command->name, command->operands, command->help);
    arguments_print(stdout, command->options);
}

/* The command that the words begin with; *ret_words is how many it takes. */
static const struct command *find_command(const struct arguments *arguments, int *ret_words)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char words[64] = "";
        int count = strchr(commands[i].name, ' ') != NULL ? 2 : 1;
        if (arguments->operand_count < count)
            continue;
        snprintf(words, sizeof words, "%s%s%s", arguments->operands[0], count == 2 ? " " : "",
                 count == 2 ? arguments->operands[1] : "");
        if (strcmp(commands[i].name, words) == 0) {
            *ret_words = count;
            return &commands[i];
        }
    }
    return NULL;
}

static int status_of(const struct err *err)
{
    switch (err->kind) {
    case ERR_CONFIG:
        return EX_USAGE;
    case ERR_INPUT:
        return EX_NOINPUT;
    case ERR_TRANSIENT:
        return EX_UNAVAILABLE;
    case ERR_UNKNOWN:
        return EX_PROTOCOL;
    case ERR_NOMEM:
        return EX_OSERR;
    default:
        return 1;
    }
}

static int complain(int status, const struct err *err)
{
    fflush(stdout);
    fputs("heraldctl: ", stderr);
    text_print(stderr, err->text);
    fputc('\n', stderr);
    return status;
}

static int run(const struct command *command, struct context *context, int argc, char **argv)
{
    struct err err;
    struct config *config = NULL;
    int status = EX_OK;
    if (command->needs != NEEDS_NOTHING && !config_load(context->config_path, &config, &err))
        return complain(EX_CONFIG, &err);
    context->config = config;
    if ((command->needs == NEEDS_REDIS &&
         !client_open(&config->redis, config->prefix, &context->client, &err)) ||
        !command->run(context, argc, argv, &err))
        status = complain(status_of(&err), &err);
    client_close(context->client);
    config_unref(config);
    if (fflush(stdout) != 0 && status == EX_OK)
        status = EX_IOERR;
    return status;
}

int main(int argc, char **argv)
{
    struct context context = {.config_path = DEFAULT_CONFIG};
    struct arguments arguments;
    struct err err;
    int words = 0;
    if (!arguments_read(argc, argv, &context, &arguments, &err))
        return complain(EX_USAGE, &err);
    if (arguments.is_version) {
        puts("heraldctl " HERALD_VERSION);
        return EX_OK;
    }
    const struct command *command = find_command(&arguments, &words);
    if (arguments.is_help) {
        if (command != NULL)
            print_command(command);
        else
            print_usage(stdout);
        return EX_OK;
    }
    if (command == NULL) {
        print_usage(stderr);
        return EX_USAGE;
    }
    int left = arguments.operand_count - words;
    if (left < command->min_operands || left > command->max_operands) {
        err_set(&err, ERR_CONFIG, "%s: expected %s", command->name,
                command->operands[0] != '\0' ? command->operands : "nothing behind it");
        return complain(EX_USAGE, &err);
    }
    if (!arguments_suit(&arguments, command, &err))
        return complain(EX_USAGE, &err);
    return run(command, &context, left, arguments.operands + words);
}
