/* heraldctl: the operator's hand. Reads the daemon's configuration file, talks to Redis and not to the
 * daemon, so it works with the daemon down. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

#define DEFAULT_CONFIG "/etc/herald/herald.conf"

static const struct command commands[] = {
    {"status", "", "instances, lanes and what waits in them", true, command_status},
    {"explain", "ID", "what became of an event: its deliveries, their history, and why", true,
     command_explain},
    {"dead list", "[COUNT]", "deliveries that were given up, newest first (default 50)", true,
     command_dead_list},
    {"dead replay", "ID|all", "send them after all, with the same identity", true, command_dead_replay},
    {"dead drop", "ID|all", "forget them and the personal data they hold", true, command_dead_drop},
    {"cancel", "ID", "do not send what still waits of an event", true, command_cancel},
    {"lane move", "FROM TO", "what waits in one lane waits in another", true, command_lane_move},
    {"render", "NOTIFICATION EVENT.json [CHANNEL]", "show what would be sent, without sending it", false,
     command_render},
    {"users import", "FILE.jsonl",
     "store recipients: one JSON object with userId, email, name, locale, push a line", true,
     command_users_import},
};

static void print_usage(FILE *file)
{
    fputs("usage: heraldctl [--config FILE] [--json] [--yes] COMMAND ...\n\n", file);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", commands[i].name, commands[i].arguments);
        fprintf(file, "  %-42s %s\n", left, commands[i].help);
    }
    fputs("\n"
          "  --config FILE   the daemon's configuration (default " DEFAULT_CONFIG ")\n"
          "  --json          answer in JSON\n"
          "  --yes           do not ask before something that can't be undone\n"
          "  --version       print the version, and end\n"
          "\n"
          "Exit status: 0 done, 1 it could not be done, 2 wrong usage, 3 no such event.\n",
          file);
}

/* The longest name that the words begin with; *ret_words is how many it takes. */
static const struct command *find_command(int argc, char **argv, int *ret_words)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char two[64] = "";
        if (argc > 1)
            snprintf(two, sizeof two, "%s %s", argv[0], argv[1]);
        if (strcmp(commands[i].name, two) == 0) {
            *ret_words = 2;
            return &commands[i];
        }
        if (strcmp(commands[i].name, argv[0]) == 0) {
            *ret_words = 1;
            return &commands[i];
        }
    }
    return NULL;
}

static int run(const struct command *command, struct context *context, const char *config_path, int argc,
               char **argv)
{
    struct err err;
    struct config *config = NULL;
    bool is_done = false;
    if (!config_load(config_path, &config, &err))
        goto out;
    context->config = config;
    if (command->needs_redis && !client_open(&config->redis, config->prefix, &context->client, &err))
        goto out;
    is_done = command->run(context, argc, argv, &err);
out:
    client_close(context->client);
    config_unref(config);
    if (is_done)
        return EXIT_SUCCESS;
    fprintf(stderr, "heraldctl: %s\n", err.text);
    return err.kind == ERR_INPUT ? 3 : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"json", no_argument, NULL, 'j'},
        {"yes", no_argument, NULL, 'y'},          {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    struct context context = {0};
    const char *config_path = DEFAULT_CONFIG;
    int option, words = 0;
    while ((option = getopt_long(argc, argv, "+c:", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            config_path = optarg;
            break;
        case 'j':
            context.is_json = true;
            break;
        case 'y':
            context.is_sure = true;
            break;
        case 'v':
            puts("heraldctl " HERALD_VERSION);
            return EXIT_SUCCESS;
        case 'h':
            print_usage(stdout);
            return EXIT_SUCCESS;
        default:
            print_usage(stderr);
            return 2;
        }
    }
    argc -= optind;
    argv += optind;
    const struct command *command = argc > 0 ? find_command(argc, argv, &words) : NULL;
    if (command == NULL) {
        print_usage(stderr);
        return 2;
    }
    /* Options may also stand behind the command's words. */
    int kept = 0;
    for (int i = words; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            context.is_json = true;
        else if (strcmp(argv[i], "--yes") == 0)
            context.is_sure = true;
        else
            argv[kept++] = argv[i];
    }
    return run(command, &context, config_path, kept, argv);
}
