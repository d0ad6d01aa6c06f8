/* dial.c - from a configured Redis to a connected socket; see dial.h. Loop thread. */
#include "dial.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "herald/clock.h"

/* Keeps a quiet command link alive in middleboxes and finds a vanished peer within two minutes. Commands have
 * their own deadline. */
#define KEEPALIVE_IDLE_S 60
#define KEEPALIVE_INTERVAL_S 20
#define KEEPALIVE_PROBES 3

struct dial {
    struct dial_options options;
    uv_timer_t timer; /* the deadline of what is under way; 0 to report from a later loop turn */
    uv_poll_t poll;   /* of the socket that connects; initialised anew for each address */
    uv_getaddrinfo_t resolve;
    struct addrinfo *addresses; /* owned */
    struct addrinfo *next;      /* in addresses: what comes after the one being tried */
    int64_t deadline_ms;        /* mono, of the whole attempt */
    int fd;                     /* owned until handed over; -1 if there is none */
    bool is_resolving;
    bool is_polling; /* poll is initialised and its close callback has not run */
    bool is_timer_closed;
    bool is_over;     /* reported or cancelled: only the memory waits */
    char where[128];  /* what is being tried, for the reason */
    char reason[256]; /* of the last failure */
};

static void try_next(struct dial *dial);

static void release_if_idle(struct dial *dial)
{
    if (!dial->is_timer_closed || dial->is_polling || dial->is_resolving)
        return;
    uv_freeaddrinfo(
        dial->addresses); /* for those of our own getaddrinfo as well: it is a plain freeaddrinfo */
    free(dial);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct dial *dial = handle->data;

    dial->is_timer_closed = true;
    release_if_idle(dial);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct dial *dial = handle->data;

    dial->is_polling = false;
    if (dial->is_over)
        release_if_idle(dial);
    else
        try_next(dial);
}

static void stop_polling(struct dial *dial)
{
    if (dial->is_polling && !uv_is_closing((uv_handle_t *)&dial->poll))
        uv_close((uv_handle_t *)&dial->poll, on_poll_closed);
}

static void drop_socket(struct dial *dial)
{
    stop_polling(dial); /* before the descriptor goes: its number may be another's at once */
    if (dial->fd >= 0)
        close(dial->fd);
    dial->fd = -1;
}

void dial_cancel(struct dial *dial)
{
    assert(!dial->is_over);
    dial->is_over = true;
    drop_socket(dial);
    if (dial->is_resolving)
        uv_cancel((uv_req_t *)&dial
                      ->resolve); /* refused when a thread is at it already: then we wait for its end */
    uv_close((uv_handle_t *)&dial->timer, on_timer_closed);
}

static void finish(struct dial *dial, int fd)
{
    dial_done_fn *on_done = dial->options.on_done;
    void *arg = dial->options.arg;

    if (fd >= 0)
        stop_polling(dial);
    dial->fd = fd >= 0 ? -1 : dial->fd;
    dial_cancel(dial);
    on_done(arg, fd, fd >= 0 ? NULL : dial->reason); /* the memory lasts to a later loop turn */
}

static void fail(struct dial *dial, const char *what)
{
    snprintf(dial->reason, sizeof(dial->reason), "%s: %s", dial->where, what);
}

/* A dead server's port can be the one our own connect is given: TCP then connects the socket to itself, and
 * would keep the port from the server that comes back. */
static bool is_connected_to_itself(int fd)
{
    struct sockaddr_storage here, there;
    socklen_t here_len = sizeof(here), there_len = sizeof(there);

    memset(&here, 0, sizeof(here));
    memset(&there, 0, sizeof(there));
    return getsockname(fd, (struct sockaddr *)&here, &here_len) == 0 && here.ss_family != AF_UNIX &&
           getpeername(fd, (struct sockaddr *)&there, &there_len) == 0 && here_len == there_len &&
           memcmp(&here, &there, here_len) == 0;
}

static void on_connect(uv_poll_t *handle, int status, int events)
{
    struct dial *dial = handle->data;
    int error = 0;
    socklen_t len = sizeof(error);

    /* libuv says UV_EBADF for any POLLERR: only the socket knows what it was. */
    (void)status;
    (void)events;
    if (getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    if (error == 0 && is_connected_to_itself(dial->fd))
        error = ECONNREFUSED;
    if (error == 0) {
        finish(dial, dial->fd);
        return;
    }
    fail(dial, strerror(error));
    drop_socket(dial); /* its close callback tries the next one */
}

static void tune(const struct dial *dial, int fd)
{
    int on = 1;
    int idle = KEEPALIVE_IDLE_S, interval = KEEPALIVE_INTERVAL_S, probes = KEEPALIVE_PROBES;
    unsigned unacked_ms = (unsigned)dial->options.redis->command_timeout_ms;

    /* None of these can fail on a TCP socket, and none is worth a connection. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (dial->options.is_patient)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked_ms, sizeof(unacked_ms));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

/* True: the connect is under way, on_connect will tell. */
static bool try_address(struct dial *dial, const struct sockaddr *address, socklen_t len)
{
    dial->fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (dial->fd < 0) {
        fail(dial, strerror(errno));
        return false;
    }
    if (address->sa_family != AF_UNIX)
        tune(dial, dial->fd);
    /* A unix socket whose server's backlog is full answers EAGAIN: nothing would ever wake us. EINTR connects
     * on. */
    if (connect(dial->fd, address, len) < 0 && errno != EINPROGRESS && errno != EINTR) {
        fail(dial, strerror(errno));
        drop_socket(dial);
        return false;
    }

    int status = uv_poll_init(dial->options.loop, &dial->poll, dial->fd);
    if (status < 0) {
        fail(dial, uv_strerror(status));
        drop_socket(dial);
        return false;
    }
    dial->is_polling = true;
    dial->poll.data = dial;
    status = uv_poll_start(&dial->poll, UV_WRITABLE, on_connect);
    if (status < 0) {
        fail(dial, uv_strerror(status));
        drop_socket(dial); /* its close callback tries the next one */
    }
    return true;
}

static void on_deadline(uv_timer_t *handle)
{
    struct dial *dial = handle->data;

    if (dial->is_resolving) {
        fail(dial, "the name was not resolved in time");
        finish(dial, -1);
    } else if (dial->fd >= 0) {
        fail(dial, "no answer to the connect in time");
        drop_socket(dial); /* its close callback tries the next one */
    }
}

/* The time that is left is shared among the addresses that are left: a first one that swallows packets leaves
 * some to the second. */
static void give_time(struct dial *dial)
{
    int64_t left_ms = dial->deadline_ms - clock_mono_ms();
    int64_t count = 1;

    for (const struct addrinfo *a = dial->next; a != NULL; a = a->ai_next)
        count++;
    uv_update_time(dial->options.loop);
    uv_timer_start(&dial->timer, on_deadline, left_ms > count ? (uint64_t)(left_ms / count) : 1, 0);
}

static void try_next(struct dial *dial)
{
    while (dial->next != NULL) {
        const struct addrinfo *address = dial->next;
        char host[64];

        dial->next = address->ai_next;
        if (getnameinfo(address->ai_addr, address->ai_addrlen, host, sizeof(host), NULL, 0, NI_NUMERICHOST) ==
            0)
            snprintf(dial->where, sizeof(dial->where), strchr(host, ':') != NULL ? "[%s]:%d" : "%s:%d", host,
                     dial->options.redis->port);
        give_time(dial);
        if (try_address(dial, address->ai_addr, address->ai_addrlen))
            return;
    }
    finish(dial, -1);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
    struct dial *dial = request->data;

    dial->is_resolving = false;
    dial->addresses = status == 0 ? addresses : NULL;
    if (dial->is_over) {
        release_if_idle(dial);
        return;
    }
    if (status < 0) {
        fail(dial, uv_strerror(status));
        finish(dial, -1);
        return;
    }
    dial->next = dial->addresses;
    try_next(dial);
}

static void on_start_unix(uv_timer_t *handle)
{
    struct dial *dial = handle->data;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = dial->options.redis->socket_path;

    if (strlen(path) >= sizeof(address.sun_path)) {
        fail(dial, "a socket's path has at most 107 bytes");
        finish(dial, -1);
        return;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    give_time(dial);
    if (!try_address(dial, (const struct sockaddr *)&address, sizeof(address)))
        finish(dial, -1);
}

static void on_start_numeric(uv_timer_t *handle)
{
    try_next(handle->data);
}

bool dial_start(const struct dial_options *options, struct dial **ret, struct err *err)
{
    const struct config_redis *redis = options->redis;
    struct dial *dial = calloc(1, sizeof(*dial));

    if (dial == NULL)
        return err_set(err, ERR_NOMEM, "no memory to connect to Redis");
    dial->options = *options;
    dial->fd = -1;
    dial->deadline_ms = clock_mono_ms() + redis->connect_timeout_ms;
    uv_timer_init(options->loop, &dial->timer);
    dial->timer.data = dial;

    if (redis->socket_path != NULL) {
        snprintf(dial->where, sizeof(dial->where), "%s", redis->socket_path);
        uv_timer_start(&dial->timer, on_start_unix, 0, 0);
        *ret = dial;
        return true;
    }

    char port[8];
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    snprintf(port, sizeof(port), "%d", redis->port);
    snprintf(dial->where, sizeof(dial->where), "%s:%s", redis->host, port);

    /* A numeric address needs no name service, so nothing blocks, and no thread. */
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    if (getaddrinfo(redis->host, port, &hints, &dial->addresses) == 0) {
        dial->next = dial->addresses;
        uv_timer_start(&dial->timer, on_start_numeric, 0, 0);
        *ret = dial;
        return true;
    }

    dial->addresses = NULL;
    hints.ai_flags = AI_NUMERICSERV;
    dial->resolve.data = dial;
    int status = uv_getaddrinfo(options->loop, &dial->resolve, on_resolved, redis->host, port, &hints);
    if (status < 0) {
        err_set(err, ERR_TRANSIENT, "%s: %s", dial->where, uv_strerror(status));
        dial_cancel(dial);
        return false;
    }
    dial->is_resolving = true;
    give_time(dial);
    *ret = dial;
    return true;
}
