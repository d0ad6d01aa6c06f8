/* instances.h - who is there: what each heraldd said of itself with its last heartbeat. */
#ifndef HERALD_CTL_INSTANCES_H
#define HERALD_CTL_INSTANCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/client.h"
#include "herald/err.h"
#include "herald/json.h"
#include "herald/outcome.h"

#define INSTANCES_MAX 64
#define INSTANCE_FRESH_MS 20000 /* a heartbeat comes every five seconds; who missed three is dead */

struct instances {
    size_t count;
    size_t left_out; /* past INSTANCES_MAX, or said nothing that can be read */
    struct instance {
        char name[256], incarnation[16], host[72], version[32];
        int64_t since_ms, at_ms;
        int64_t age_ms;       /* of the last heartbeat */
        const char *standing; /* static text: "alive", "dead", or "stopped" when it took its leave */
        char *text;           /* owned: its own words, a JSON object that `json` reads */
        struct json json;
    } list[INSTANCES_MAX];
};

/* `now_ms` is Redis's clock. On true the caller calls instances_done. */
bool instances_read(struct client *client, int64_t now_ms, struct instances *ret, struct err *err) MUST_CHECK;
void instances_done(struct instances *instances);

/* A number among its words; 0 if it is not there. */
int64_t instance_number(const struct instance *instance, const char *name);

/* What it said of a lane. */
struct instance_lane {
    int64_t held, running, capacity;
    char breaker[16];
    char
        trouble[ATTEMPT_REPLY_BYTES + 64]; /* why it is not closed, in the provider's words; "" while it is */
    double per_second;
    int64_t p99_us; /* an upper bound; 0: nothing was done of late, -1: past five minutes */
};
bool instance_lane(const struct instance *instance, const char *lane, struct instance_lane *ret) MUST_CHECK;

#endif
