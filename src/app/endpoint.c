/* HTTP through libmicrohttpd, which is driven from a thread of ours: it knows a limit for silence, but none
 * for a connection as a whole, and a client that sends a byte now and then would keep its place for hours.
 * See endpoint.h. */
#include "endpoint.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <microhttpd.h>

#include "exposition.h"
#include "herald/clock.h"

#define BACKLOG 32
#define LOOK_MS 250 /* for connections that are over their time */
#define SOCKET_MODE 0660

/* An open connection; a free place has fd -1. */
struct place {
    int fd; /* borrowed from MHD, which tells when it closes it */
    int64_t until_mono_ms;
};

struct endpoint {
    struct board *board;       /* borrowed: endpoint_stop comes before its end */
    const struct tally *tally; /* likewise */
    struct MHD_Daemon *server; /* owned, with the listening socket */
    int stop_fd;               /* owned: an eventfd */
    pthread_t thread;
    struct place places[ENDPOINT_CONNECTIONS];               /* the thread's */
    char path[sizeof((struct sockaddr_un *)NULL)->sun_path]; /* of the unix socket; "": none */
};

/* ── answers, on the thread ── */

/* Takes the text, which malloc made. */
static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, char *text, size_t len)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(text);
        return MHD_NO; /* the connection is closed */
    }
    enum MHD_Result result = MHD_NO;
    if (MHD_add_response_header(response, "Content-Type", "text/plain; version=0.0.4; charset=utf-8") ==
            MHD_YES &&
        MHD_add_response_header(response, "Connection", "close") == MHD_YES &&
        (status != MHD_HTTP_METHOD_NOT_ALLOWED ||
         MHD_add_response_header(response, "Allow", "GET, HEAD") == MHD_YES))
        result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status, const char *text)
{
    struct buffer buffer;
    char *bytes;
    size_t len;
    buffer_init(&buffer, 256);
    buffer_printf(&buffer, "%s\n", text);
    bool is_written = buffer_take(&buffer, &bytes, &len);
    buffer_done(&buffer);
    return is_written ? answer(connection, status, bytes, len) : MHD_NO;
}

static enum MHD_Result answer_metrics(struct MHD_Connection *connection, const struct endpoint *endpoint)
{
    struct buffer buffer;
    char *bytes;
    size_t len;
    buffer_init(&buffer, EXPOSITION_MAX_BYTES);
    exposition_write(board_read(endpoint->board), endpoint->tally, clock_mono_ms(), &buffer);
    bool is_written = buffer_take(&buffer, &bytes, &len);
    buffer_done(&buffer);
    return is_written ? answer(connection, MHD_HTTP_OK, bytes, len) : MHD_NO;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **state)
{
    const struct endpoint *endpoint = arg;
    (void)version;
    (void)upload;
    (void)upload_len;
    (void)state;
    /* Answered before any body is read: MHD then closes the connection instead of reading it. */
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD only");
    int64_t now = clock_mono_ms();
    if (strcmp(path, "/metrics") == 0)
        return answer_metrics(connection, endpoint);
    if (strcmp(path, "/healthz") == 0)
        return vitals_is_alive(board_read(endpoint->board), now)
                   ? answer_text(connection, MHD_HTTP_OK, "alive")
                   : answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "it stands still");
    if (strcmp(path, "/readyz") == 0) {
        const char *lack = vitals_lack(board_read(endpoint->board), now);
        return lack == NULL ? answer_text(connection, MHD_HTTP_OK, "ready")
                            : answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, lack);
    }
    return answer_text(connection, MHD_HTTP_NOT_FOUND, "/metrics, /healthz or /readyz");
}

/* ── the thread ── */

static void on_connection(void *arg, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct endpoint *endpoint = arg;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        struct place *place = *socket_context;
        if (place != NULL)
            place->fd = -1;
        return;
    }
    int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    for (size_t i = 0; i < ENDPOINT_CONNECTIONS; i++) {
        if (endpoint->places[i].fd >= 0)
            continue;
        endpoint->places[i] = (struct place){fd, clock_mono_ms() + ENDPOINT_DEADLINE_MS};
        *socket_context = &endpoint->places[i];
        return;
    }
}

/* Ends those that are over their time; MHD sees it and closes them. Whether any is open. */
static bool end_late(struct endpoint *endpoint)
{
    bool is_any = false;
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < ENDPOINT_CONNECTIONS; i++) {
        const struct place *place = &endpoint->places[i];
        is_any = is_any || place->fd >= 0;
        if (place->fd >= 0 && now >= place->until_mono_ms)
            shutdown(place->fd, SHUT_RDWR);
    }
    return is_any;
}

static void *run(void *arg)
{
    struct endpoint *endpoint = arg;
    struct pollfd fds[] = {
        {.fd = endpoint->stop_fd, .events = POLLIN},
        {.fd = MHD_get_daemon_info(endpoint->server, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, .events = POLLIN}};
    bool was_any = false;
    while (fds[0].revents == 0) {
        MHD_run(endpoint->server);
        bool is_any = end_late(endpoint);
        MHD_UNSIGNED_LONG_LONG wait_ms = LOOK_MS;
        if (MHD_get_timeout(endpoint->server, &wait_ms) != MHD_YES || wait_ms > LOOK_MS)
            wait_ms = LOOK_MS;
        /* Full, MHD looks away from the listening socket until it is run once more
         * after a connection's end. */
        (void)poll(fds, sizeof fds / sizeof *fds, is_any || was_any ? (int)wait_ms : -1);
        was_any = is_any;
    }
    return NULL;
}

/* ── beginning and end, on the loop ── */

/* A socket's file outlives a process that was killed. */
static void remove_stale(const struct sockaddr_un *address)
{
    struct stat status;
    if (lstat(address->sun_path, &status) != 0 || !S_ISSOCK(status.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
        errno == ECONNREFUSED)
        unlink(address->sun_path);
    if (fd >= 0)
        close(fd);
}

/* -1 with errno. */
static int listen_at(struct endpoint *endpoint, const struct listen_address *at)
{
    const struct sockaddr *address = (const struct sockaddr *)&at->address;
    const struct sockaddr_un *local = (const struct sockaddr_un *)&at->address;
    bool is_unix = at->address.ss_family == AF_UNIX;
    int yes = 1;
    int fd = socket(at->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (is_unix)
        remove_stale(local);
    else
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    bool is_bound = bind(fd, address, at->len) == 0;
    if (is_bound && is_unix)
        memcpy(endpoint->path, local->sun_path, sizeof endpoint->path);
    /* The unit's umask would keep a scraper in our group out. */
    if (is_bound && (!is_unix || chmod(local->sun_path, SOCKET_MODE) == 0) && listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static bool start_server(struct endpoint *endpoint, int fd)
{
    endpoint->server =
        MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, endpoint, MHD_OPTION_LISTEN_SOCKET, fd,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)ENDPOINT_CONNECTIONS,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)ENDPOINT_CONNECTION_BYTES,
                         MHD_OPTION_NOTIFY_CONNECTION, on_connection, endpoint, MHD_OPTION_END);
    return endpoint->server != NULL;
}

/* Signals are the loop's: the thread inherits that none is for it. */
static bool start_thread(struct endpoint *endpoint)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&endpoint->thread, NULL, run, endpoint);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed == 0)
        pthread_setname_np(endpoint->thread, "herald-http");
    return failed == 0;
}

static void free_all(struct endpoint *endpoint)
{
    if (endpoint->server != NULL)
        MHD_stop_daemon(endpoint->server); /* closes the listening socket too */
    if (endpoint->path[0] != '\0')
        unlink(endpoint->path);
    if (endpoint->stop_fd >= 0)
        close(endpoint->stop_fd);
    free(endpoint);
}

bool endpoint_start(const char *where, struct board *board, const struct tally *tally, struct endpoint **ret,
                    struct err *err)
{
    struct listen_address at;
    if (!listen_parse(where, &at))
        return err_set(err, ERR_CONFIG, "[herald] metrics: '%s': expected %s", where, LISTEN_EXPECTS);
    struct endpoint *endpoint = calloc(1, sizeof *endpoint);
    if (endpoint == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    endpoint->board = board;
    endpoint->tally = tally;
    for (size_t i = 0; i < ENDPOINT_CONNECTIONS; i++)
        endpoint->places[i].fd = -1;
    endpoint->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int fd = listen_at(endpoint, &at);
    if (fd < 0) {
        err_set(err, ERR_CONFIG, "[herald] metrics: can't listen at %s: %s", where, strerror(errno));
        free_all(endpoint);
        return false;
    }
    if (endpoint->stop_fd < 0 || !start_server(endpoint, fd)) {
        close(fd);
        free_all(endpoint);
        return err_set(err, ERR_NOMEM, "[herald] metrics: no memory or no descriptors for HTTP");
    }
    if (!start_thread(endpoint)) {
        free_all(endpoint);
        return err_set(err, ERR_NOMEM, "[herald] metrics: no memory for a thread");
    }
    *ret = endpoint;
    return true;
}

void endpoint_stop(struct endpoint *endpoint)
{
    if (endpoint == NULL)
        return;
    eventfd_write(endpoint->stop_fd, 1);
    pthread_join(endpoint->thread, NULL);
    free_all(endpoint);
}
