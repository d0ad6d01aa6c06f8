/* server_process.c - a server as a child process; see server_process.h. */
#include "server_process.h"

#include <errno.h>
#include <fcntl.h>
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

#define PATIENCE_MS 20000
#define MAX_ARGS 32
#define ARG_BYTES 256
#define START_TRIES 5 /* another process can take the port between our looking and the server's binding */

static void __attribute__((noreturn, format(printf, 1, 2))) give_up(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("server_process: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

/* In the child. Debian keeps servers in sbin, which an ordinary user's PATH leaves out. */
static void __attribute__((noreturn)) become(const char *const *argv, pid_t parent)
{
    const char *path = getenv("PATH");
    char wider[4096];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    snprintf(wider, sizeof(wider), "%s:/usr/sbin:/sbin", path != NULL ? path : "/usr/bin:/bin");
    setenv("PATH", wider, 1);
    execvp(argv[0], (char *const *)argv);
    fprintf(stderr, "server_process: %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static int read_port(int fd)
{
    int64_t deadline_ms = clock_mono_ms() + PATIENCE_MS;
    char text[16] = "";
    size_t len = 0;

    while (strchr(text, '\n') == NULL && len + 1 < sizeof(text)) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        int64_t left_ms = deadline_ms - clock_mono_ms();
        if (left_ms <= 0 || poll(&ready, 1, (int)left_ms) <= 0)
            return 0;
        ssize_t got = read(fd, text + len, sizeof(text) - 1 - len);
        if (got <= 0)
            return 0;
        len += (size_t)got;
        text[len] = '\0';
    }
    return (int)strtol(text, NULL, 10);
}

struct server_process server_process_start(const char *const *argv)
{
    struct server_process server = {0};
    pid_t parent = getpid();
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        give_up("pipe: %s", strerror(errno));
    server.pid = fork();
    if (server.pid < 0)
        give_up("fork: %s", strerror(errno));
    if (server.pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        become(argv, parent);
    }
    close(ends[1]);
    server.port = read_port(ends[0]);
    close(ends[0]);
    if (server.port <= 0)
        give_up("%s did not tell its port", argv[0]);
    return server;
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

static bool is_listening(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_there = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;

    close(fd);
    return is_there;
}

static bool try_start(const char *const *argv, struct server_process *ret)
{
    const char *args[MAX_ARGS] = {NULL};
    char with_port[ARG_BYTES];
    pid_t parent = getpid();
    int64_t deadline_ms = clock_mono_ms() + PATIENCE_MS;

    ret->port = find_free_port();
    for (size_t i = 0; argv[i] != NULL; i++) {
        const char *mark = strstr(argv[i], "PORT");
        if (i + 1 >= MAX_ARGS)
            give_up("too many arguments");
        args[i] = argv[i];
        if (mark != NULL) {
            snprintf(with_port, sizeof(with_port), "%.*s%d%s", (int)(mark - argv[i]), argv[i], ret->port,
                     mark + 4);
            args[i] = with_port;
        }
    }
    ret->pid = fork();
    if (ret->pid < 0)
        give_up("fork: %s", strerror(errno));
    if (ret->pid == 0)
        become(args, parent);
    while (!is_listening(ret->port)) {
        if (waitpid(ret->pid, NULL, WNOHANG) == ret->pid)
            return false;
        if (clock_mono_ms() > deadline_ms)
            give_up("%s does not listen", argv[0]);
        poll(NULL, 0, 5);
    }
    return true;
}

struct server_process server_process_start_at_port(const char *const *argv)
{
    struct server_process server = {0};

    for (int i = 0; i < START_TRIES; i++)
        if (try_start(argv, &server))
            return server;
    give_up("%s does not start", argv[0]);
}

void server_process_stop(struct server_process *server)
{
    if (server->pid > 0)
        end(server->pid);
    server->pid = 0;
}

void server_process_freeze(struct server_process *server)
{
    int status = 0;

    kill(server->pid, SIGSTOP);
    if (waitpid(server->pid, &status, WUNTRACED) != server->pid || !WIFSTOPPED(status))
        give_up("the server does not freeze");
}

void server_process_run(const char *const *argv)
{
    pid_t parent = getpid();
    int status = 0;
    pid_t pid = fork();

    if (pid < 0)
        give_up("fork: %s", strerror(errno));
    if (pid == 0) {
        int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(nowhere, STDOUT_FILENO);
        dup2(nowhere, STDERR_FILENO);
        become(argv, parent);
    }
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        give_up("%s failed", argv[0]);
}

void server_process_certificate(const char *directory)
{
    char cert[256], key[256];

    snprintf(cert, sizeof(cert), "%s/cert.pem", directory);
    snprintf(key, sizeof(key), "%s/key.pem", directory);
    server_process_run((const char *const[]){
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout", key, "-out", cert, NULL});
}
