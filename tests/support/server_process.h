/* server_process.h - a server as a child process on a port of 127.0.0.1, for one test.
 *
 * What can't be done aborts the test with a message; the server dies with the thread that started it, however
 * that ends. Calls block (for 20 s at most) until what they say is so. */
#ifndef HERALD_TEST_SERVER_PROCESS_H
#define HERALD_TEST_SERVER_PROCESS_H

#include <stddef.h>
#include <sys/types.h>

struct server_process {
    pid_t pid; /* 0: not running */
    int port;
};

/* A program that prints its port as the first line of its output. */
struct server_process server_process_start(const char *const *argv);
/* A program that is told its port: "PORT" within an argument is replaced by a free one. Started and
 * listening. */
struct server_process server_process_start_at_port(const char *const *argv);
void server_process_stop(struct server_process *server);   /* SIGKILL, by pid; waited for */
void server_process_freeze(struct server_process *server); /* SIGSTOP, and it has stopped */

/* Runs a program to its end and aborts the test if it fails. */
void server_process_run(const char *const *argv);

/* Makes <directory>/cert.pem and key.pem, self-signed, for 127.0.0.1 and localhost. */
void server_process_certificate(const char *directory);

#endif
