/* HTTP through libmicrohttpd: one polling thread that answers from vitals alone. See endpoint.h. */
#include "endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

#include "herald/buffer.h"
#include "herald/clock.h"

#define ANSWER_BYTES (64 * 1024) /* /metrics has under 8 KiB */

struct endpoint {
    const struct vitals *vitals; /* borrowed: endpoint_stop comes before its end */
    struct MHD_Daemon *server;   /* owned */
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *text,
                              size_t len)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(len, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    if (response == NULL)
        return MHD_NO; /* the connection is closed */
    enum MHD_Result result = MHD_NO;
    if (MHD_add_response_header(response, "Content-Type", "text/plain; version=0.0.4; charset=utf-8") ==
            MHD_YES &&
        (status != MHD_HTTP_METHOD_NOT_ALLOWED ||
         MHD_add_response_header(response, "Allow", "GET, HEAD") == MHD_YES))
        result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status, const char *text)
{
    return answer(connection, status, text, strlen(text));
}

static enum MHD_Result answer_metrics(struct MHD_Connection *connection, const struct vitals *vitals)
{
    struct buffer buffer;
    buffer_init(&buffer, ANSWER_BYTES);
    vitals_write(vitals, clock_mono_ms(), &buffer);
    enum MHD_Result result =
        buffer.failed ? MHD_NO : answer(connection, MHD_HTTP_OK, buffer.data, buffer.len);
    buffer_done(&buffer);
    return result;
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
        return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD only\n");
    int64_t now = clock_mono_ms();
    if (strcmp(path, "/metrics") == 0)
        return answer_metrics(connection, endpoint->vitals);
    if (strcmp(path, "/healthz") == 0)
        return vitals_is_alive(endpoint->vitals, now)
                   ? answer_text(connection, MHD_HTTP_OK, "alive\n")
                   : answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "stalled\n");
    if (strcmp(path, "/readyz") == 0)
        return vitals_is_ready(endpoint->vitals, now)
                   ? answer_text(connection, MHD_HTTP_OK, "ready\n")
                   : answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "not ready\n");
    return answer_text(connection, MHD_HTTP_NOT_FOUND, "/metrics, /healthz or /readyz\n");
}

bool endpoint_start(unsigned port, const struct vitals *vitals, struct endpoint **ret, struct err *err)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct endpoint *endpoint = calloc(1, sizeof *endpoint);
    if (endpoint == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    endpoint->vitals = vitals;
    /* Signals are the loop's: the thread inherits that none is for it. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errno = 0;
    endpoint->server = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD, (uint16_t)port, NULL, NULL, on_request, endpoint,
        MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)ENDPOINT_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)ENDPOINT_IDLE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)ENDPOINT_CONNECTION_BYTES, MHD_OPTION_END);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (endpoint->server == NULL) {
        free(endpoint);
        return err_set(err, ERR_CONFIG, "[herald] metrics_port: can't listen on 127.0.0.1:%u: %s", port,
                       strerror(error));
    }
    *ret = endpoint;
    return true;
}

void endpoint_stop(struct endpoint *endpoint)
{
    if (endpoint == NULL)
        return;
    MHD_stop_daemon(endpoint->server);
    free(endpoint);
}
