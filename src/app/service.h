/* service.h - what systemd hears from us: READY, STATUS, WATCHDOG, RELOADING, STOPPING, and the descriptors
 * it keeps for whoever is started next. Without systemd each
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

/* Puts a copy of the descriptor into the manager's store, where it stays whatever becomes of us and of the
 * socket's other end; the manager ignores one that it has already. And takes out all of that name. */
void service_store(const char *name, int fd);
void service_unstore(const char *name);
/* Calls back with each descriptor that the manager passed to this process; the callee owns it. Once, at the
 * start. */
void service_each_passed(void (*on_passed)(void *arg, int fd, const char *name), void *arg);

/* The journal's native protocol, as log.h wants it. Log writer's thread. */
int service_journal(const struct iovec *iov, int count);

#endif
