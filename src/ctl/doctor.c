/* heraldctl doctor: all that could be wrong, looked at from outside, each finding with its remedy. It sends
 * nothing and changes nothing. The daemon may be down, and Redis too: then that is a finding. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "checkup.h"
#include "text.h"

#define TEXT_BYTES 1024

static const char *const names[HEALTHS] = {
    [HEALTH_OK] = "ok", [HEALTH_WARN] = "warn", [HEALTH_FAIL] = "fail"};

static void print_member(const char *name, const char *text)
{
    printf(",\"%s\":", name);
    text_json(stdout, text, strlen(text));
}

void checkup_say(struct checkup *checkup, enum health health, const char *topic, const char *remedy,
                 const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bool is_first =
        checkup->counts[HEALTH_OK] + checkup->counts[HEALTH_WARN] + checkup->counts[HEALTH_FAIL] == 0;
    checkup->counts[health]++;
    if (checkup->is_json) {
        printf("%s{\"health\":\"%s\"", is_first ? "" : ",", names[health]);
        print_member("topic", topic);
        print_member("text", text);
        print_member("remedy", remedy != NULL ? remedy : "");
        putchar('}');
        return;
    }
    printf("%-4s  %-13s  ", names[health], topic);
    text_print(stdout, text);
    putchar('\n');
    if (remedy != NULL) {
        printf("%21s", "-> ");
        text_print(stdout, remedy);
        putchar('\n');
    }
    fflush(stdout); /* the next may take its provider's whole time limit */
}

static void look(struct checkup *checkup)
{
    struct config *config = NULL;
    struct err err;
    if (!config_load(checkup->config_path, &config, &err)) {
        checkup_say(checkup, HEALTH_FAIL, "configuration", "heraldd --check says whether it is mended", "%s",
                    err.text);
        checkup_journal(checkup);
        return;
    }
    checkup->config = config;
    checkup_config(checkup);
    checkup_providers(checkup);
    checkup_redis(checkup);
    checkup_journal(checkup);
    config_unref(config);
}

bool command_doctor(const struct context *context, int argc, char **argv, struct err *err)
{
    struct checkup checkup = {.config_path = context->config_path, .is_json = context->is_json};
    (void)argc;
    (void)argv;
    fputs(context->is_json ? "{\"findings\":[" : "", stdout);
    look(&checkup);
    const size_t *counts = checkup.counts;
    printf(context->is_json ? "],\"ok\":%zu,\"warn\":%zu,\"fail\":%zu}\n"
                            : "%zu ok, %zu to think about, %zu wrong\n",
           counts[HEALTH_OK], counts[HEALTH_WARN], counts[HEALTH_FAIL]);
    return counts[HEALTH_FAIL] == 0 || err_set(err, ERR_PERMANENT, "%zu wrong", counts[HEALTH_FAIL]);
}
