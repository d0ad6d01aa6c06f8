/* server.h - what kind of Redis this is: may what we promise be put into it? Pure reading of INFO's text; loop thread. */
#ifndef HERALD_SERVER_H
#define HERALD_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/err.h"

struct server {
    char run_id[41];          /* changes when Redis restarts */
    char replication_id[41];  /* changes when its data's history forks */
    bool is_master;
    int version_major, version_minor;
    char policy[24];          /* maxmemory-policy */
    uint64_t max_memory;      /* 0: none */
    bool has_aof;
    bool is_loading;
};

void server_read(const char *info, size_t len, struct server *ret);

/* Redis >= 7.0, a master, not loading, and no eviction policy that may throw away what was promised. ERR_CONFIG says what to change. */
bool server_is_fit(const struct server *server, struct err *err) MUST_CHECK;

/* What works, but not as an operator may believe: calls back with one sentence each. */
void server_each_warning(const struct server *server, void (*on_warning)(void *arg, const char *text), void *arg);

/* True if both are the same data, so that what we hold leases on is still what it was. */
bool server_is_same(const struct server *a, const struct server *b);

#endif
