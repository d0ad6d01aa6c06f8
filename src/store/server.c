/* Reads INFO and judges it. No connection of its own. Loop thread. */
#include "herald/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_PUBSUB_LIMIT (32 * 1024 * 1024) /* Redis's own default: about 20 s of 5,000 events/s */

/* The value of "name:" at the start of a line, cut to fit; "" if absent. */
static void field(const char *info, size_t len, const char *name, char *ret, size_t room)
{
    size_t name_len = strlen(name);
    const char *line = info, *end = info + len;
    ret[0] = '\0';
    while (line < end) {
        const char *line_end = memchr(line, '\n', (size_t)(end - line));
        if (line_end == NULL)
            line_end = end;
        if ((size_t)(line_end - line) > name_len && line[name_len] == ':' &&
            memcmp(line, name, name_len) == 0) {
            const char *value = line + name_len + 1;
            size_t value_len = (size_t)(line_end - value);
            if (value_len > 0 && value[value_len - 1] == '\r')
                value_len--;
            snprintf(ret, room, "%.*s", (int)value_len, value);
            return;
        }
        line = line_end + 1;
    }
}

void server_read(const char *info, size_t len, struct server *ret)
{
    char text[64];
    memset(ret, 0, sizeof *ret);
    field(info, len, "run_id", ret->run_id, sizeof ret->run_id);
    field(info, len, "master_replid", ret->replication_id, sizeof ret->replication_id);
    field(info, len, "role", text, sizeof text);
    ret->is_master = strcmp(text, "master") == 0;
    field(info, len, "redis_version", text, sizeof text);
    char *end;
    ret->version_major = (int)strtol(text, &end, 10);
    ret->version_minor = *end == '.' ? (int)strtol(end + 1, NULL, 10) : 0;
    field(info, len, "maxmemory_policy", ret->policy, sizeof ret->policy);
    field(info, len, "maxmemory", text, sizeof text);
    ret->max_memory = strtoull(text, NULL, 10);
    field(info, len, "aof_enabled", text, sizeof text);
    ret->has_aof = text[0] == '1';
    field(info, len, "used_memory", text, sizeof text);
    ret->used_memory = strtoull(text, NULL, 10);
    field(info, len, "rdb_last_bgsave_status", text, sizeof text);
    ret->is_write_failing = strcmp(text, "err") == 0;
    field(info, len, "aof_last_write_status", text, sizeof text);
    ret->is_write_failing = ret->is_write_failing || strcmp(text, "err") == 0;
    field(info, len, "rdb_last_save_time", text, sizeof text);
    ret->saved_at_ms = strtoll(text, NULL, 10) * 1000;
    field(info, len, "loading", text, sizeof text);
    ret->is_loading = text[0] == '1';
    ret->pubsub_limit_bytes = -1;
}

void server_read_limits(const char *limits, struct server *ret)
{
    const char *pubsub = strstr(limits, "pubsub ");
    if (pubsub != NULL)
        ret->pubsub_limit_bytes = strtoll(pubsub + strlen("pubsub "), NULL, 10);
}

bool server_is_fit(const struct server *server, struct err *err)
{
    if (server->is_loading)
        return err_set(err, ERR_TRANSIENT, "Redis is loading its data");
    if (!server->is_master)
        return err_set(err, ERR_CONFIG, "this Redis is a replica: point [redis] url at the master");
    if (server->version_major < 7)
        return err_set(err, ERR_CONFIG, "this is Redis %d.%d: 7.0 or newer is needed", server->version_major,
                       server->version_minor);
    if (server->max_memory > 0 && strncmp(server->policy, "allkeys-", 8) == 0)
        return err_set(
            err, ERR_CONFIG,
            "maxmemory-policy %s may evict what was promised: set it to noeviction, or maxmemory to 0",
            server->policy);
    return true;
}

void server_each_warning(const struct server *server, server_warning_fn *on_warning, void *arg)
{
    if (!server->has_aof)
        on_warning(
            arg, "persistence",
            "Redis keeps no append-only file: its crash loses what was accepted and not yet sent, and the "
            "memory of what was sent; set appendonly yes");
    if (server->max_memory > 0 && strncmp(server->policy, "volatile-", 9) == 0)
        on_warning(
            arg, "eviction",
            "Redis may evict the record of a sent event before the dedupe window is over, and it would be "
            "sent again: set maxmemory-policy noeviction");
    if (server->pubsub_limit_bytes > 0 && server->pubsub_limit_bytes < SMALL_PUBSUB_LIMIT)
        on_warning(
            arg, "pubsub buffer",
            "Redis cuts a subscriber off when little waits for it: raise client-output-buffer-limit pubsub, "
            "or remove it (0 0 0)");
}

bool server_is_same(const struct server *a, const struct server *b)
{
    return strcmp(a->run_id, b->run_id) == 0 && strcmp(a->replication_id, b->replication_id) == 0 &&
           a->is_master == b->is_master;
}
