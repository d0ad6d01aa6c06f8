/* http.c - push and webhooks by HTTP: one or two threads per lane, each with a libcurl multi handle and many
 * transfers on few connections.
 *
 * Over TLS by HTTP/2, where the streams share a connection; a server that knows only HTTP/1.1, and cleartext,
 * get one transfer per connection. A thread begins with as many transfers as connections and opens up when
 * the first answer shows HTTP/2: APNs asks for that, and an HTTP/1.1 server's other transfers would spend
 * their time waiting for a connection. The lane's threads; wake() is the loop's. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "driver.h"
#include "request.h"
#include "transfer.h"

#define MAX_THREADS 2 /* more would multiply the connections to one host and share out little work */
#define TURN_MS 1000  /* the watchdog's second */
/* HTTP/2 errors in a row after which the multi handle itself is doubted (7.88.1) */
#define ERRORS_BEFORE_RENEWAL 3

static const char *const schemes[] = {"https", "http", NULL};

struct http {
    struct worker *worker; /* borrowed: owns us */
    CURLM *multi;          /* owned */
    int bell; /* owned: eventfd. Not curl_multi_wakeup, for the loop must not see a multi being renewed */
    struct curl_slist *headers; /* owned: the same for all requests */
    size_t connections;         /* this thread's share */
    unsigned errors_in_row;     /* HTTP/2's own */
    struct request *idle;       /* borrowed from requests */
    struct request requests[];  /* worker->transfers of them */
};

static bool check(const struct config_provider *provider, struct err *err)
{
    return transfer_check_url(provider->url, schemes, true, err) &&
           transfer_check_ca_file(provider->ca_file, err);
}

static void shape(const struct config_provider *provider, size_t *ret_threads, size_t *ret_transfers)
{
    bool is_cleartext = strncmp(provider->url, "http:", 5) == 0;

    *ret_threads = provider->connections < MAX_THREADS ? provider->connections : MAX_THREADS;
    *ret_transfers = (size_t)provider->connections * (is_cleartext ? 1 : provider->streams);
}

/* ---- making and ending -------------------------------------------------------------------------------- */

static CURLM *make_multi(const struct http *http)
{
    CURLM *multi = curl_multi_init();
    long connections = (long)http->connections;

    if (multi == NULL)
        return NULL;
    curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, connections);
    curl_multi_setopt(multi, CURLMOPT_MAX_CONCURRENT_STREAMS, (long)http->worker->provider->streams);
    curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    return multi;
}

static void close_worker(void *state)
{
    struct http *http = state;

    if (http == NULL)
        return;
    for (size_t i = 0; i < http->worker->transfers; i++)
        request_done(&http->requests[i]);
    curl_multi_cleanup(http->multi);
    curl_slist_free_all(http->headers);
    if (http->bell >= 0)
        close(http->bell);
    free(http);
}

static bool open_worker(struct worker *worker, void **ret, struct err *err)
{
    const struct config_provider *provider = worker->provider;

    if (!check(provider, err) || !transfer_library_init(err))
        return false;
    struct http *http = calloc(1, sizeof(*http) + worker->transfers * sizeof(http->requests[0]));
    if (http == NULL)
        return err_set(err, ERR_NOMEM, "http: out of memory");
    http->worker = worker;
    http->connections = provider->connections / worker->count +
                        (worker->index < provider->connections % worker->count ? 1 : 0);
    if (http->connections > worker->transfers)
        http->connections = worker->transfers;
    worker->limit = http->connections;
    bool has_headers = request_headers(provider, &http->headers);
    for (size_t i = worker->transfers; i-- > 0;) {
        struct request *request = &http->requests[i];
        request_init(request, worker, http->headers, http->requests, worker->transfers);
        request->next = http->idle;
        http->idle = request;
    }
    http->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    http->multi = make_multi(http);
    if (http->bell < 0 || http->multi == NULL || !has_headers) {
        close_worker(http);
        return err_set(err, ERR_NOMEM, "http: out of memory or descriptors");
    }
    *ret = http;
    return true;
}

/* ---- one request -------------------------------------------------------------------------------------- */

static void release(struct http *http, struct request *request)
{
    struct delivery *delivery = request->transfer.delivery;

    request->transfer.delivery = NULL;
    request->is_running = false;
    request->next = http->idle;
    http->idle = request;
    worker_trim(&request->body);
    worker_finish(http->worker, delivery);
}

static void begin(void *state, struct delivery *delivery)
{
    struct http *http = state;
    struct request *request = http->idle;

    assert(request != NULL); /* the lane counts them */
    http->idle = request->next;
    request->transfer.delivery = delivery;
    if (!worker_render(http->worker, delivery, &request->body)) {
        release(http, request);
        return;
    }
    if (!request_prepare(request, delivery) ||
        curl_multi_add_handle(http->multi, request->easy) != CURLM_OK) {
        delivery->attempt.transport = TRANSPORT_INTERNAL;
        release(http, request);
        return;
    }
    request->is_running = true;
}

/* How many transfers the server bears, by the version it spoke last. */
static void learn_limit(struct http *http, CURL *easy, CURLcode code)
{
    struct worker *worker = http->worker;
    long version = 0;

    if (code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM) {
        if (++http->errors_in_row >= ERRORS_BEFORE_RENEWAL)
            worker->limit = 0; /* what runs may end; then renew() */
        return;
    }
    if (code != CURLE_OK || http->errors_in_row >= ERRORS_BEFORE_RENEWAL)
        return;
    http->errors_in_row = 0;
    curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
    worker->limit = version >= CURL_HTTP_VERSION_2_0 ? worker->transfers : http->connections;
}

static void finish(struct http *http, struct request *request, CURLcode code)
{
    curl_multi_remove_handle(http->multi, request->easy);
    request_conclude(request, code);
    learn_limit(http, request->easy, code);
    release(http, request);
}

/* With nothing running: a multi handle with fresh connections. If there is no
 * memory the old one has to do. */
static void renew(struct http *http)
{
    CURLM *fresh = make_multi(http);

    http->errors_in_row = 0;
    http->worker->limit = http->connections;
    if (fresh == NULL)
        return;
    curl_multi_cleanup(http->multi);
    http->multi = fresh;
}

static bool collect(struct http *http)
{
    bool has_finished = false;
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
        struct request *request = NULL;
        CURLcode code = message->data.result; /* the message dies with the handle's removal */
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request);
        finish(http, request, code);
        has_finished = true;
    }
    return has_finished;
}

/* A hurried shutdown: what is not committed is given up. */
static void give_up_uncommitted(struct http *http)
{
    for (size_t i = 0; i < http->worker->transfers; i++) {
        struct request *request = &http->requests[i];
        if (!request->is_running || request->transfer.delivery->attempt.is_committed)
            continue;
        curl_multi_remove_handle(http->multi, request->easy);
        request->transfer.delivery->attempt.abort = ABORT_LEASE;
        release(http, request);
    }
}

static void sleep_until_something(struct http *http)
{
    struct curl_waitfd bell = {.fd = http->bell, .events = CURL_WAIT_POLLIN};
    eventfd_t rings;

    curl_multi_poll(http->multi, &bell, 1, TURN_MS, NULL);
    if (bell.revents != 0)
        (void)eventfd_read(http->bell, &rings);
}

static void turn(void *state)
{
    struct http *http = state;
    struct worker *worker = http->worker;
    int running = 0;

    curl_multi_perform(http->multi, &running);
    bool has_finished = collect(http);
    if (worker_is_hurried(worker))
        give_up_uncommitted(http);
    if (worker->running == 0 && worker->limit == 0)
        renew(http);
    if (has_finished || worker->running == 0)
        return;
    if (worker_may_sleep(worker)) {
        sleep_until_something(http);
        worker_woke(worker);
    }
}

static void wake(void *state)
{
    struct http *http = state;

    (void)eventfd_write(http->bell, 1); /* fails only when it has rung 2^64 times unheard */
}

static bool probe(void *state, struct err *err)
{
    struct http *http = state;

    return request_probe(&http->requests[0], err);
}

const struct driver driver_http = {
    .name = "http",
    .protocol = ATTEMPT_HTTP,
    .check = check,
    .shape = shape,
    .open = open_worker,
    .close = close_worker,
    .begin = begin,
    .turn = turn,
    .wake = wake,
    .probe = probe,
};
