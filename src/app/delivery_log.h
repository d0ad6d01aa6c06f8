/* delivery_log.h - the log lines about deliveries, in one place so that their fields stay the same. Loop
 * thread. */
#ifndef HERALD_APP_DELIVERY_LOG_H
#define HERALD_APP_DELIVERY_LOG_H

#include <stdint.h>

#include "herald/config.h"
#include "herald/delivery.h"
#include "herald/log.h"

/* One settled or retried attempt. `wait_ms` < 0: none. */
void delivery_log(enum log_level level, const char *event, const char *message,
                  const struct delivery *delivery, int64_t wait_ms);

/* What a claim decided in Redis, where we hold no delivery: `meta` is the payload's line with the publisher's
 * id. */
void delivery_log_limited(const struct config_provider *provider, const char *eid, unsigned ordinal,
                          const char *meta, const char *scope, int64_t wait_ms);
void delivery_log_buried(const struct config_provider *provider, const char *eid, unsigned ordinal,
                         const char *meta, const char *reason);

#endif
