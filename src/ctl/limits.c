/* limits.c - heraldctl limits: each limit that is configured, how much of it is used at this moment, and whom
 * it makes wait. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "herald/clock.h"
#include "herald/reply.h"
#include "lanes.h"
#include "limited.h"
#include "scan.h"
#include "text.h"

#define DEFAULT_SHOWN 20

struct report {
    const struct context *context;
    struct limited *limited;
    struct lanes lanes;
    int64_t now_us; /* Redis's clock */
    size_t max_shown;
    size_t count; /* of limits so far */
};

/* ── how much is used ── */

struct use {
    int64_t burst, used, free_now;
    int64_t next_ms;  /* until one more may go; 0: now */
    int64_t reset_ms; /* until all of the burst may go again */
};

/* As limits.lua counts: the key holds the moment at which all would be free again, less what is reserved. */
static bool read_use(const struct report *report, const struct rate *rate, const char *name, struct use *ret,
                     struct err *err)
{
    char key[CLIENT_KEY_BYTES], suffix[96];
    const struct rate_gcra gcra = rate_gcra(rate);
    const struct redisReply *reply;
    snprintf(suffix, sizeof suffix, "limit:%s", name);
    if (!client_run(report->context->client, 2,
                    (const char *[]){"GET", client_key(report->context->client, suffix, key)}, NULL, &reply,
                    err))
        return false;
    const char *text = reply_text(reply, NULL);
    int64_t arrival_us = text != NULL ? strtoll(text, NULL, 10) : 0;
    int64_t ahead_us = arrival_us > report->now_us ? arrival_us - report->now_us : 0;
    int64_t burst = gcra.tolerance_us / gcra.interval_us;
    int64_t free_now = ahead_us < gcra.tolerance_us ? (gcra.tolerance_us - ahead_us) / gcra.interval_us : 0;
    int64_t next_us = ahead_us + gcra.interval_us - gcra.tolerance_us;
    *ret = (struct use){.burst = burst,
                        .used = burst - free_now,
                        .free_now = free_now,
                        .next_ms = next_us > 0 ? (next_us + 999) / 1000 : 0,
                        .reset_ms = (ahead_us + 999) / 1000};
    return true;
}

static void print_use_json(const struct use *use)
{
    printf(",\"burst\":%" PRId64 ",\"used\":%" PRId64 ",\"free\":%" PRId64 ",\"next_ms\":%" PRId64
           ",\"reset_ms\":%" PRId64,
           use->burst, use->used, use->free_now, use->next_ms, use->reset_ms);
}

/* About, for people. */
static void print_duration(int64_t ms)
{
    if (ms < 120 * INT64_C(1000))
        printf("%.1f s", (double)ms / 1000);
    else if (ms < 120 * INT64_C(60000))
        printf("%" PRId64 " min", (ms + 30000) / 60000);
    else
        printf("%.1f h", (double)ms / 3600000);
}

static void print_use(const struct use *use)
{
    printf("used %" PRId64 " of %" PRId64, use->used, use->burst);
    if (use->next_ms > 0) {
        fputs(", USED UP: a new one waits ", stdout);
        print_duration(use->next_ms);
    }
    if (use->reset_ms > 0) {
        fputs(", all free in ", stdout);
        print_duration(use->reset_ms);
    }
}

/* ── heads ── */

static void print_head(struct report *report, const char *kind, const char *name, const struct rate *rate)
{
    char text[RATE_TEXT_BYTES];
    rate_write(rate, text);
    if (!report->context->is_json) {
        printf("%s ", kind);
        text_print(stdout, name);
        printf("  %s\n", text);
    } else {
        printf("%s{\"limit\":\"%s\",\"name\":", report->count > 0 ? "," : "", kind);
        text_json(stdout, name, strlen(name));
        printf(",\"rate\":\"%s\"", text);
    }
    report->count++;
}

static const char *to_text(int64_t ms, char ret[CLOCK_RFC3339_BYTES])
{
    clock_rfc3339(ms, ret);
    return ret;
}

static bool print_provider(struct report *report, const struct config_provider *provider, struct err *err)
{
    char name[CONFIG_MAX_NAME + 4];
    struct use use;
    snprintf(name, sizeof name, "p:%s", provider->name);
    if (!read_use(report, &provider->rate, name, &use, err))
        return false;
    const struct lane_depth *lane = NULL;
    for (size_t i = 0; i < report->lanes.count; i++)
        if (strcmp(report->lanes.lanes[i].name, provider->name) == 0)
            lane = &report->lanes.lanes[i];
    int64_t waiting = lane != NULL ? lane->due + lane->again : 0;
    print_head(report, "provider", provider->name, &provider->rate);
    if (report->context->is_json) {
        print_use_json(&use);
        printf(",\"waiting\":%" PRId64 "}", waiting);
        return true;
    }
    fputs("  ", stdout);
    print_use(&use);
    printf("; %" PRId64 " could go and wait in its lane\n", waiting);
    return true;
}

static bool print_notification(struct report *report, const struct config_notification *notification,
                               struct err *err)
{
    char name[96], next[CLOCK_RFC3339_BYTES], last[CLOCK_RFC3339_BYTES];
    struct use use;
    struct limited_scope none = {0};
    const struct limited_scope *scope = &none;
    snprintf(name, sizeof name, "n:%s", notification->name);
    if (!read_use(report, &notification->rate, name, &use, err))
        return false;
    for (size_t i = 0; i < report->limited->count; i++)
        if (strcmp(report->limited->scopes[i].kind, "notification") == 0 &&
            strcmp(report->limited->scopes[i].name, notification->name) == 0)
            scope = &report->limited->scopes[i];
    print_head(report, "notification", notification->name, &notification->rate);
    to_text(scope->next_ms, next);
    to_text(scope->last_ms, last);
    if (report->context->is_json) {
        print_use_json(&use);
        printf(",\"waiting\":%zu", scope->waiting);
        printf(scope->waiting > 0 ? ",\"next\":\"%s\",\"last\":\"%s\"}" : "}", next, last);
        return true;
    }
    fputs("  ", stdout);
    print_use(&use);
    printf("; %zu wait for their slots", scope->waiting);
    if (scope->waiting > 0)
        printf(", the first at %s, the last at %s", next, last);
    putchar('\n');
    return true;
}

/* ── recipients: of them only who waits is known by name, and masked ── */

static bool on_recipients(void *arg, const char *const *names, size_t count, struct err *err)
{
    size_t *sum = arg;
    (void)names;
    (void)err;
    *sum += count;
    return true;
}

static bool print_person(struct report *report, const struct limited_scope *scope, const struct rate *rate,
                         bool is_first, struct err *err)
{
    char name[PAYLOAD_SCOPE_CHARS + 4], next[CLOCK_RFC3339_BYTES], last[CLOCK_RFC3339_BYTES];
    struct use use;
    snprintf(name, sizeof name, "r:%s", scope->scope);
    if (!read_use(report, rate, name, &use, err))
        return false;
    to_text(scope->next_ms, next);
    to_text(scope->last_ms, last);
    if (report->context->is_json) {
        fputs(is_first ? "{\"to\":" : ",{\"to\":", stdout);
        text_json(stdout, scope->to, strlen(scope->to));
        print_use_json(&use);
        printf(",\"waiting\":%zu,\"next\":\"%s\",\"last\":\"%s\"}", scope->waiting, next, last);
        return true;
    }
    fputs("    ", stdout);
    text_print(stdout, scope->to[0] != '\0' ? scope->to : "(webhook)");
    fputs("  ", stdout);
    print_use(&use);
    printf("; %zu wait for their slots, the first at %s, the last at %s\n", scope->waiting, next, last);
    return true;
}

static bool print_recipients(struct report *report, enum channel channel, size_t known, struct err *err)
{
    const struct rate *rate = &report->context->config->recipient_rate[channel];
    size_t shown = 0, limited = 0;
    print_head(report, "recipient", channel_name(channel), rate);
    for (size_t i = 0; i < report->limited->count; i++)
        limited += strcmp(report->limited->scopes[i].kind, "recipient") == 0 &&
                   strcmp(report->limited->scopes[i].name, channel_name(channel)) == 0;
    if (report->context->is_json)
        printf(",\"recipients\":%zu,\"limited\":%zu,\"who\":[", known, limited);
    else
        printf("  each has the same; %zu have used some of it, by any channel; %zu made wait%s\n", known,
               limited, limited > 0 ? ":" : "");
    for (size_t i = 0; i < report->limited->count && shown < report->max_shown; i++) {
        const struct limited_scope *scope = &report->limited->scopes[i];
        if (strcmp(scope->kind, "recipient") != 0 || strcmp(scope->name, channel_name(channel)) != 0)
            continue;
        if (!print_person(report, scope, rate, shown++ == 0, err))
            return false;
    }
    if (report->context->is_json)
        fputs("]}", stdout);
    else if (shown < limited)
        printf("    and %zu more; --limit shows more\n", limited - shown);
    return true;
}

static bool print_all(struct report *report, struct err *err)
{
    const struct config *config = report->context->config;
    size_t known = 0;
    if (!scan_keys(report->context->client, "limit:r:", on_recipients, &known, err))
        return false;
    fputs(report->context->is_json ? "{\"limits\":[" : "", stdout);
    for (size_t i = 0; i < config->provider_count; i++)
        if (config->providers[i].rate.count > 0 && !print_provider(report, &config->providers[i], err))
            return false;
    for (size_t i = 0; i < config->notification_count; i++)
        if (config->notifications[i].rate.count > 0 &&
            !print_notification(report, &config->notifications[i], err))
            return false;
    for (int i = 0; i < CHANNEL_COUNT; i++)
        if (config->recipient_rate[i].count > 0 && !print_recipients(report, (enum channel)i, known, err))
            return false;
    if (report->context->is_json)
        printf("],\"cut\":%s}\n", report->limited->is_cut ? "true" : "false");
    else if (report->count == 0)
        puts("no limit is configured");
    else if (report->limited->is_cut)
        printf("of each lane the %d were looked at whose time comes first: more wait than are counted here\n",
               LIMITED_LOOK);
    return true;
}

bool command_limits(const struct context *context, int argc, char **argv, struct err *err)
{
    struct report report = {.context = context,
                            .max_shown = context->limit > 0 ? (size_t)context->limit : DEFAULT_SHOWN};
    (void)argc;
    (void)argv;
    if (!lanes_read(context, &report.lanes, err) || !limited_read(context, &report.limited, err))
        return false;
    report.now_us = report.lanes.now_ms * 1000;
    bool is_done = print_all(&report, err);
    free(report.limited);
    return is_done;
}
