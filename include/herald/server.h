/* server.h - what kind of Redis this is: may what we promise be put into it? Pure reading of INFO's text;
 * the daemon's loop thread, and heraldctl. */
#ifndef HERALD_SERVER_H
#define HERALD_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/err.h"

struct server {
    char run_id[41];         /* changes when Redis restarts */
    char replication_id[41]; /* changes when its data's history forks */
    bool is_master;
    int version_major, version_minor;
    char policy[24];     /* maxmemory-policy */
    uint64_t max_memory; /* 0: none */
    uint64_t used_memory;
    bool has_aof;
    bool is_write_failing; /* the last write of the append-only file, or the last snapshot, failed */
    int64_t saved_at_ms;   /* the last snapshot; 0: not known */
    bool is_loading;
    int64_t pubsub_limit_bytes; /* of a subscriber's output buffer; 0: none, -1: not known */
};

void server_read(const char *info, size_t len, struct server *ret);

/* Redis >= 7.0, a master, not loading, and no eviction policy that may throw away what was promised.
 * ERR_CONFIG says what to change. */
bool server_is_fit(const struct server *server, struct err *err) MUST_CHECK;

/* CONFIG GET's value of client-output-buffer-limit: "normal 0 0 0 slave … pubsub HARD SOFT SECONDS". */
void server_read_limits(const char *limits, struct server *ret);

/* What works, but not as an operator may believe: calls back with a topic of one or two words and one
 * sentence each. */
typedef void server_warning_fn(void *arg, const char *topic, const char *text);
void server_each_warning(const struct server *server, server_warning_fn *on_warning, void *arg);

/* True if both are the same data, so that what we hold leases on is still what it was. */
bool server_is_same(const struct server *a, const struct server *b);

#endif
