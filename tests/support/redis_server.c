/* redis_server.c - a real redis-server for one test; see redis_server.h. */
#include "redis_server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "herald/clock.h"

#define PATIENCE_MS 30000
#define MAX_ARGS 64
#define START_TRIES 5 /* another process can take the port between our looking and redis-server's binding */

struct redis_server {
    pid_t pid; /* 0 while it is down */
    int port;
    char directory[64];
    char socket_path[96];
    char *password;                 /* owned or NULL */
    char *extra_args[MAX_ARGS / 2]; /* owned, NULL-terminated */
    redisContext *context;          /* owned; NULL until it is needed */
};

static void __attribute__((noreturn, format(printf, 1, 2))) give_up(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("redis_server: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

static int find_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        give_up("no free port: %s", strerror(errno));
    close(fd);
    return ntohs(address.sin_port);
}

static void disconnect(struct redis_server *server)
{
    if (server->context != NULL)
        redisFree(server->context);
    server->context = NULL;
}

static void run_server(const struct redis_server *server, pid_t parent)
{
    char port[8], log[96];
    const char *argv[MAX_ARGS] = {"redis-server",
                                  "--port",
                                  port,
                                  "--bind",
                                  "127.0.0.1",
                                  "--unixsocket",
                                  server->socket_path,
                                  "--dir",
                                  server->directory,
                                  "--logfile",
                                  log,
                                  "--save",
                                  "",
                                  "--daemonize",
                                  "no"};
    size_t argc = 15;

    snprintf(port, sizeof(port), "%d", server->port);
    snprintf(log, sizeof(log), "%s/log", server->directory);
    for (char *const *arg = server->extra_args; *arg != NULL; arg++)
        argv[argc++] = *arg;
    argv[argc] = NULL;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before prctl could notice */
        _exit(1);
    signal(SIGPIPE, SIG_DFL);
    execvp(argv[0], (char *const *)argv);
    _exit(127);
}

/* Answers PING, or refuses it: a server that wants a password, or still loads, is there. */
static bool is_answering(const struct redis_server *server)
{
    struct timeval patience = {.tv_sec = 1};
    redisContext *context = redisConnectUnixWithTimeout(server->socket_path, patience);
    redisReply *reply = NULL;

    if (context != NULL && context->err == 0) {
        redisSetTimeout(context, patience);
        reply = redisCommand(context, "PING");
    }
    bool is_there = reply != NULL;
    if (is_there)
        freeReplyObject(reply);
    if (context != NULL)
        redisFree(context);
    return is_there;
}

static bool try_start(struct redis_server *server)
{
    pid_t parent = getpid();
    int64_t deadline_ms = clock_mono_ms() + PATIENCE_MS;

    unlink(server->socket_path); /* a killed server leaves it behind */
    server->pid = fork();
    if (server->pid < 0)
        give_up("fork: %s", strerror(errno));
    if (server->pid == 0)
        run_server(server, parent);
    while (!is_answering(server)) {
        if (waitpid(server->pid, NULL, WNOHANG) == server->pid) {
            server->pid = 0;
            return false;
        }
        if (clock_mono_ms() > deadline_ms)
            give_up("redis-server does not answer; see %s/log", server->directory);
        poll(NULL, 0, 2);
    }
    return true;
}

struct redis_server *redis_server_new(const char *const *extra_args)
{
    struct redis_server *server = calloc(1, sizeof(*server));

    if (server == NULL)
        give_up("no memory");
    snprintf(server->directory, sizeof(server->directory), "/tmp/herald-redis-XXXXXX");
    if (mkdtemp(server->directory) == NULL)
        give_up("mkdtemp: %s", strerror(errno));
    snprintf(server->socket_path, sizeof(server->socket_path), "%s/socket", server->directory);
    for (size_t i = 0; extra_args != NULL && extra_args[i] != NULL; i++) {
        if (i + 1 >= MAX_ARGS / 2)
            give_up("too many arguments");
        server->extra_args[i] = strdup(extra_args[i]);
    }
    for (int i = 0; i < START_TRIES; i++) {
        server->port = find_free_port();
        if (try_start(server))
            return server;
    }
    give_up("redis-server does not start; see %s/log", server->directory);
}

static void end(struct redis_server *server, int signal_number)
{
    int64_t deadline_ms = clock_mono_ms() + PATIENCE_MS;

    if (server->pid == 0)
        return;
    disconnect(server);
    kill(server->pid, signal_number);
    while (waitpid(server->pid, NULL, WNOHANG) == 0) {
        if (clock_mono_ms() > deadline_ms)
            kill(server->pid, SIGKILL);
        poll(NULL, 0, 2);
    }
    server->pid = 0;
}

void redis_server_stop(struct redis_server *server)
{
    end(server, SIGTERM);
}

void redis_server_kill(struct redis_server *server)
{
    end(server, SIGKILL);
}

void redis_server_start(struct redis_server *server)
{
    if (server->pid == 0 && !try_start(server))
        give_up("redis-server does not start again; see %s/log", server->directory);
}

static void remove_directory(const char *path)
{
    DIR *directory = opendir(path);

    if (directory != NULL) {
        for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                continue;
            if (unlinkat(dirfd(directory), entry->d_name, 0) < 0) { /* appendonlydir */
                char inner[512];
                snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
                remove_directory(inner);
            }
        }
        closedir(directory);
    }
    rmdir(path);
}

void redis_server_free(struct redis_server *server)
{
    if (server == NULL)
        return;
    end(server, SIGKILL); /* a frozen one would not hear SIGTERM */
    remove_directory(server->directory);
    for (char **arg = server->extra_args; *arg != NULL; arg++)
        free(*arg);
    free(server->password);
    free(server);
}

int redis_server_port(const struct redis_server *server)
{
    return server->port;
}

const char *redis_server_socket(const struct redis_server *server)
{
    return server->socket_path;
}

int redis_server_pid(const struct redis_server *server)
{
    return server->pid;
}

void redis_server_freeze(struct redis_server *server)
{
    int status = 0;

    kill(server->pid, SIGSTOP);
    if (waitpid(server->pid, &status, WUNTRACED) != server->pid || !WIFSTOPPED(status))
        give_up("redis-server does not freeze");
}

void redis_server_thaw(struct redis_server *server)
{
    kill(server->pid, SIGCONT);
}

void redis_server_authenticate(struct redis_server *server, const char *password)
{
    free(server->password);
    server->password = strdup(password);
}

static redisReply *command(struct redis_server *server, int argc, const char *const *argv,
                           const size_t *argv_len)
{
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};

    if (server->context == NULL) {
        server->context = redisConnectUnixWithTimeout(server->socket_path, patience);
        if (server->context == NULL || server->context->err != 0)
            give_up("connecting: %s", server->context == NULL ? "no memory" : server->context->errstr);
        redisSetTimeout(server->context, patience);
        if (server->password != NULL)
            redis_server_do(server, "AUTH", server->password, NULL);
    }
    redisReply *reply = redisCommandArgv(server->context, argc, (const char **)argv, argv_len);
    if (reply == NULL)
        give_up("%s: %s", argv[0], server->context->errstr);
    return reply;
}

struct redisReply *redis_server_command(struct redis_server *server, int argc, const char *const *argv,
                                        const size_t *argv_len)
{
    return command(server, argc, argv, argv_len);
}

void redis_server_do(struct redis_server *server, const char *word, ...)
{
    const char *argv[MAX_ARGS];
    int argc = 0;
    va_list words;

    va_start(words, word);
    for (; word != NULL; word = va_arg(words, const char *)) {
        if (argc == MAX_ARGS)
            give_up("too many words");
        argv[argc++] = word;
    }
    va_end(words);
    redisReply *reply = command(server, argc, argv, NULL);
    if (reply->type == REDIS_REPLY_ERROR)
        give_up("%s: %s", argv[0], reply->str);
    freeReplyObject(reply);
}

long long redis_server_publish(struct redis_server *server, const char *channel, const void *bytes,
                               size_t len)
{
    const char *argv[] = {"PUBLISH", channel, bytes};
    const size_t argv_len[] = {7, strlen(channel), len};
    redisReply *reply = command(server, 3, argv, argv_len);

    if (reply->type != REDIS_REPLY_INTEGER)
        give_up("PUBLISH: %s", reply->type == REDIS_REPLY_ERROR ? reply->str : "no number");
    long long receivers = reply->integer;
    freeReplyObject(reply);
    return receivers;
}
