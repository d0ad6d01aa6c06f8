/* heraldctl status: is Redis fit, who is there, and what waits. All of it from Redis, so also with every
 * daemon down; what only a daemon knows is what it said last, with its age. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "herald/clock.h"
#include "herald/reply.h"
#include "herald/server.h"
#include "instances.h"
#include "lanes.h"
#include "text.h"

struct status {
    const struct context *context;
    struct server server;
    struct lanes lanes;
    struct instances instances;
};

static const char *yes(bool is_so)
{
    return is_so ? "true" : "false";
}

static void print_string(const char *text)
{
    text_json(stdout, text, strlen(text));
}

/* ── Redis ── */

static void on_warning_json(void *arg, const char *topic, const char *text)
{
    size_t *count = arg;
    (void)topic;
    fputs((*count)++ > 0 ? "," : "", stdout);
    print_string(text);
}

static void on_warning_text(void *arg, const char *topic, const char *text)
{
    (void)arg;
    printf("  %s: %s\n", topic, text);
}

static void print_redis(const struct status *status)
{
    const struct server *server = &status->server;
    char saved[CLOCK_RFC3339_BYTES];
    struct err why = {0};
    bool is_fit = server_is_fit(server, &why);
    size_t warnings = 0;
    clock_rfc3339(server->saved_at_ms, saved);
    if (status->context->is_json) {
        printf("\"redis\":{\"version\":\"%d.%d\",\"fit\":%s,\"unfit\":", server->version_major,
               server->version_minor, yes(is_fit));
        print_string(is_fit ? "" : why.text);
        printf(",\"master\":%s,\"aof\":%s,\"write_failing\":%s,\"saved\":\"%s\",\"used_memory\":%" PRIu64
               ",\"max_memory\":%" PRIu64 ",\"policy\":",
               yes(server->is_master), yes(server->has_aof), yes(server->is_write_failing), saved,
               server->used_memory, server->max_memory);
        print_string(server->policy);
        fputs(",\"warnings\":[", stdout);
        server_each_warning(server, on_warning_json, &warnings);
        fputs("]},", stdout);
        return;
    }
    printf("redis %d.%d, %s", server->version_major, server->version_minor, is_fit ? "fit" : "NOT FIT: ");
    text_print(stdout, is_fit ? "" : why.text);
    printf("\n  append-only file %s, last snapshot %s%s, memory %" PRIu64 " MiB",
           server->has_aof ? "yes" : "no", server->saved_at_ms > 0 ? saved : "never",
           server->is_write_failing ? ", WRITING IT FAILS" : "", server->used_memory / 1024 / 1024);
    if (server->max_memory > 0)
        printf(" of %" PRIu64 " MiB, %s", server->max_memory / 1024 / 1024, server->policy);
    putchar('\n');
    server_each_warning(server, on_warning_text, NULL);
}

/* ── instances ── */

static void print_instances_json(const struct instances *instances)
{
    fputs("\"instances\":{", stdout);
    for (size_t i = 0; i < instances->count; i++) {
        const struct instance *one = &instances->list[i];
        fputs(i > 0 ? "," : "", stdout);
        print_string(one->name);
        printf(":{\"standing\":\"%s\",\"age_ms\":%" PRId64 ",", one->standing, one->age_ms);
        /* Its own words are an object: the rest of them behind its brace. */
        const char *inside = one->json.text + one->json.tokens[0].start;
        printf("%.*s", (int)(one->json.tokens[0].end - one->json.tokens[0].start - 1), inside + 1);
    }
    fputs("},", stdout);
}

static void print_instances_text(const struct instances *instances)
{
    static const char *const counts[] = {"received", "accepted", "duplicate", "rejected", "conflict", "sent",
                                         "retried",  "limited",  "dead",      "unknown",  "repeated", "gaps"};
    if (instances->count == 0)
        puts("no instance is known");
    for (size_t i = 0; i < instances->count; i++) {
        const struct instance *one = &instances->list[i];
        char since[CLOCK_RFC3339_BYTES];
        clock_rfc3339(one->since_ms, since);
        fputs("instance ", stdout);
        text_print(stdout, one->name);
        printf(" %s, last heartbeat %" PRId64 " s ago\n  ",
               strcmp(one->standing, "dead") == 0 ? "DEAD" : one->standing, one->age_ms / 1000);
        text_print(stdout, one->incarnation);
        fputs(" on ", stdout);
        text_print(stdout, one->host);
        fputs(", heraldd ", stdout);
        text_print(stdout, one->version);
        printf(" since %s\n ", since);
        for (size_t j = 0; j < sizeof counts / sizeof *counts; j++)
            printf(" %s %" PRId64, counts[j], instance_number(one, counts[j]));
        putchar('\n');
    }
    if (instances->left_out > 0)
        printf("%zu more instances are not shown\n", instances->left_out);
}

/* ── lanes ── */

struct service {
    size_t instances; /* that are alive and serve the lane */
    int64_t in_flight;
};

static struct service serving(const struct instances *instances, const char *lane)
{
    struct service ret = {0};
    struct instance_lane said;
    for (size_t i = 0; i < instances->count; i++) {
        if (strcmp(instances->list[i].standing, "alive") == 0 &&
            instance_lane(&instances->list[i], lane, &said)) {
            ret.instances++;
            ret.in_flight += said.held;
        }
    }
    return ret;
}

static void print_lane_json(const struct instances *instances, const struct lane_depth *lane)
{
    struct service service = serving(instances, lane->name);
    print_string(lane->name);
    printf(":{\"due\":%" PRId64 ",\"again\":%" PRId64 ",\"due_now\":%" PRId64 ",\"due_later\":%" PRId64
           ",\"again_now\":%" PRId64 ",\"again_later\":%" PRId64 ",\"oldest_ms\":%" PRId64
           ",\"in_flight\":%" PRId64 ",\"orphaned\":%s,\"served_by\":%zu,\"paused_since\":%" PRId64 "}",
           lane->due + lane->due_later, lane->again + lane->again_later, lane->due, lane->due_later,
           lane->again, lane->again_later, lane->oldest_ms, service.in_flight, yes(!lane->is_configured),
           service.instances, lane->paused_ms);
}

static void print_said(const struct instance *instance, const struct instance_lane *said)
{
    fputs("  at ", stdout);
    text_print(stdout, instance->name);
    fputs(": breaker ", stdout);
    text_print(stdout, said->breaker);
    fputs(said->trouble[0] != '\0' ? " for " : "", stdout);
    text_print(stdout, said->trouble);
    printf(", in flight %" PRId64 " (%" PRId64 " with the provider) of %" PRId64 ", %.1f attempts/s, p99 ",
           said->held, said->running, said->capacity, said->per_second);
    if (said->p99_us == 0)
        fputs("-", stdout);
    else
        printf(said->p99_us < 0 ? "over 300000 ms" : "up to %.6g ms", (double)said->p99_us / 1000);
    printf("; said %" PRId64 " s ago%s\n", instance->age_ms / 1000,
           strcmp(instance->standing, "alive") == 0 ? "" : ", before it went");
}

static void print_lane_text(const struct instances *instances, const struct lane_depth *lane)
{
    struct service service = serving(instances, lane->name);
    struct instance_lane said;
    char since[CLOCK_RFC3339_BYTES];
    fputs("lane ", stdout);
    text_print(stdout, lane->name);
    if (!lane->is_configured)
        fputs("  ORPHANED: no provider of this name is configured; heraldctl lane move", stdout);
    else if (service.instances == 0)
        fputs("  NOT SERVED: no instance that is alive has it", stdout);
    if (lane->paused_ms > 0) {
        clock_rfc3339(lane->paused_ms, since);
        printf("  PAUSED since %s; heraldctl resume", since);
    }
    printf("\n  new %" PRId64 " and %" PRId64 " later, again %" PRId64 " and %" PRId64
           " later, in flight %" PRId64,
           lane->due, lane->due_later, lane->again, lane->again_later, service.in_flight);
    if (lane->oldest_ms > 0)
        printf(", the oldest has been due for %" PRId64 " s", lane->oldest_ms / 1000);
    putchar('\n');
    for (size_t i = 0; i < instances->count; i++)
        if (instance_lane(&instances->list[i], lane->name, &said))
            print_said(&instances->list[i], &said);
}

static void print_status(const struct status *status)
{
    bool is_json = status->context->is_json;
    const struct lanes *lanes = &status->lanes;
    fputs(is_json ? "{" : "", stdout);
    print_redis(status);
    if (is_json)
        print_instances_json(&status->instances);
    else
        print_instances_text(&status->instances);
    fputs(is_json ? "\"lanes\":{" : "", stdout);
    for (size_t i = 0; i < lanes->count; i++) {
        if (is_json) {
            fputs(i > 0 ? "," : "", stdout);
            print_lane_json(&status->instances, &lanes->lanes[i]);
        } else {
            print_lane_text(&status->instances, &lanes->lanes[i]);
        }
    }
    printf(is_json ? "},\"leased\":%" PRId64 ",\"dead\":%" PRId64 ",\"unknown\":%" PRId64 "}\n"
                   : "leased %" PRId64 "  dead %" PRId64 "  unknown %" PRId64 "\n",
           lanes->leased, lanes->dead, lanes->unknown);
}

bool command_status(const struct context *context, int argc, char **argv, struct err *err)
{
    struct status status = {.context = context};
    const struct redisReply *reply;
    size_t len = 0;
    (void)argc;
    (void)argv;
    if (!client_run(context->client, 1, (const char *[]){"INFO"}, NULL, &reply, err))
        return false;
    const char *info = reply_text(reply, &len);
    server_read(info != NULL ? info : "", len, &status.server);
    if (!lanes_read(context, &status.lanes, err) ||
        !instances_read(context->client, status.lanes.now_ms, &status.instances, err))
        return false;
    print_status(&status);
    instances_done(&status.instances);
    return true;
}
