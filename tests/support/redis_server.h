/* redis_server.h - a real redis-server for one test: its own directory, a TCP port of 127.0.0.1 and a unix
 * socket.
 *
 * Any test may use it. What can't be done aborts the test with a message; the server dies with the test's
 * process, however that ends. Calls block (for 30 s at most) until what they say is so. Main thread only: the
 * server is bound to the thread that started it.
 */
#ifndef HERALD_TESTS_REDIS_SERVER_H
#define HERALD_TESTS_REDIS_SERVER_H

#include <stddef.h>

struct redisReply;
struct redis_server;

/* Started and answering. extra_args: further arguments of redis-server, NULL-terminated, copied; NULL for
 * none. */
struct redis_server *redis_server_new(const char *const *extra_args);
void redis_server_free(struct redis_server *server); /* stopped, its directory removed; NULL is fine */

int redis_server_port(const struct redis_server *server);
const char *redis_server_socket(const struct redis_server *server);
int redis_server_pid(const struct redis_server *server); /* 0 while it is down */

void redis_server_stop(struct redis_server *server); /* SIGTERM; waited for */
void redis_server_kill(struct redis_server *server); /* SIGKILL; waited for */
void redis_server_start(
    struct redis_server *server); /* after stop or kill: same port, same socket, same directory */
void redis_server_freeze(struct redis_server *server); /* SIGSTOP, and it has stopped */
void redis_server_thaw(struct redis_server *server);   /* SIGCONT */

/* Authenticates the connection that the calls below use (default user), before the first of them after a
 * start. */
void redis_server_authenticate(struct redis_server *server, const char *password);

/* One command over a blocking connection of its own, which is kept. The reply is freeReplyObject'ed by the
 * caller; an error reply is returned like any other. */
struct redisReply *redis_server_command(struct redis_server *server, int argc, const char *const *argv,
                                        const size_t *argv_len);
/* The same for words, NULL at the end, with the reply thrown away; an error reply aborts the test. */
void redis_server_do(struct redis_server *server, const char *word, ...) __attribute__((sentinel));
/* How many got it. */
long long redis_server_publish(struct redis_server *server, const char *channel, const void *bytes,
                               size_t len);

#endif
