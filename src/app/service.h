/* service.h - what systemd hears from us: READY, STATUS, WATCHDOG, RELOADING, STOPPING. Without systemd each
 * call does nothing. Loop thread; a datagram to a local socket, which does not block. */
#ifndef HERALD_APP_SERVICE_H
#define HERALD_APP_SERVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

void service_ready(const char *status);
void service_status(const char *status);
void service_reloading(void);
void service_stopping(const char *status);
/* More time for what is under way (drain), counted from here. */
void service_extend(int64_t ms);

/* How long the manager waits for a sign of life, ms; 0 if it does not ask for any. */
int64_t service_watchdog_ms(void);
void service_alive(void);

/* The journal's native protocol, as log.h wants it. Log writer's thread. */
int service_journal(const struct iovec *iov, int count);

#endif
