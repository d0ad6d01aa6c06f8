/* heraldd: arguments, the log, and daemon_run. The only place that calls exit. */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "daemon.h"
#include "herald/config.h"
#include "herald/ledger.h"
#include "herald/log.h"
#include "service.h"

#define DEFAULT_CONFIG "/etc/herald/herald.conf"
#define EXIT_BAD_CONFIG 78 /* EX_CONFIG of sysexits.h: systemd shows it as CONFIG */
#define EXIT_UNREACHED 69  /* EX_UNAVAILABLE */

static const char usage[] =
    "usage: heraldd [--config FILE] [--check [--connect]]\n"
    "\n"
    "  --config FILE         read FILE (default " DEFAULT_CONFIG ")\n"
    "  --check               check the configuration and all it names, say what is wrong, and end\n"
    "  --connect             with --check: also connect to Redis and to every provider, and send nothing\n"
    "  --print-script NAME   print one of the scripts that run inside Redis, and end\n"
    "  --version             print the version, and end\n"
    "  --help                print this, and end\n"
    "\n"
    "SIGTERM drains and ends, a second one hurries; SIGHUP reads the configuration and templates again.\n";

struct arguments {
    const char *config;
    bool is_check, is_connect;
};

static int print_script(const char *name)
{
    const char *text = ledger_script(name, NULL);
    if (text == NULL) {
        fprintf(stderr, "heraldd: there is no script '%s'\n", name);
        return EXIT_FAILURE;
    }
    fputs(text, stdout);
    return EXIT_SUCCESS;
}

/* A descriptor from 0 to 2 that is closed would be given to a socket, and a stray message written into it. */
static void hold_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* True: go on. False: end with *ret_status. */
static bool read_arguments(int argc, char **argv, struct arguments *ret, int *ret_status)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"check", no_argument, NULL, 'k'},
                                            {"connect", no_argument, NULL, 'o'},
                                            {"print-script", required_argument, NULL, 'p'},
                                            {"version", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            ret->config = optarg;
            break;
        case 'k':
            ret->is_check = true;
            break;
        case 'o':
            ret->is_connect = true;
            break;
        case 'p':
            *ret_status = print_script(optarg);
            return false;
        case 'v':
            puts("heraldd " HERALD_VERSION);
            *ret_status = EXIT_SUCCESS;
            return false;
        case 'h':
            fputs(usage, stdout);
            *ret_status = EXIT_SUCCESS;
            return false;
        default:
            fputs(usage, stderr);
            *ret_status = EXIT_FAILURE;
            return false;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "heraldd: unexpected argument '%s'\n%s", argv[optind], usage);
        *ret_status = EXIT_FAILURE;
        return false;
    }
    if (ret->is_connect && !ret->is_check) {
        fprintf(stderr, "heraldd: --connect goes with --check\n%s", usage);
        *ret_status = EXIT_FAILURE;
        return false;
    }
    return true;
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static int check(const char *path, const struct config *config, bool is_connect)
{
    printf("%s: %zu source%s, %zu notification%s, %zu provider%s: good\n", path, config->source_count,
           plural(config->source_count), config->notification_count, plural(config->notification_count),
           config->provider_count, plural(config->provider_count));
    check_doubts(config);
    return !is_connect || check_connections(config) ? EXIT_SUCCESS : EXIT_UNREACHED;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.config = DEFAULT_CONFIG};
    struct config *config = NULL;
    struct err err;
    int status = EXIT_SUCCESS;
    if (!read_arguments(argc, argv, &arguments, &status))
        return status;
    hold_standard_descriptors();
    /* libcurl and hiredis write to sockets whose peer may be gone. */
    signal(SIGPIPE, SIG_IGN);
    if (!config_load(arguments.config, &config, &err) || !check_providers(config, &err)) {
        fprintf(stderr, "heraldd: %s\n", err.text);
        config_unref(config);
        return EXIT_BAD_CONFIG;
    }
    if (arguments.is_check) {
        status = check(arguments.config, config, arguments.is_connect);
        config_unref(config);
        return status;
    }
    const struct log_options log = {.level = config->log_level,
                                    .format = config->log_format,
                                    .rate = config->log_rate,
                                    .journal = service_journal,
                                    .fd = STDERR_FILENO};
    if (!log_start(&log, &err) || !daemon_run(arguments.config, config, &err)) {
        LOG(LOG_LEVEL_ERROR, "service.failed", err.text);
        log_stop(1000);
        return err.kind == ERR_CONFIG ? EXIT_BAD_CONFIG : EXIT_FAILURE;
    }
    log_stop(1000);
    return EXIT_SUCCESS;
}
