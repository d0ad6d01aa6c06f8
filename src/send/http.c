/* http.c - push and webhooks by HTTP: one or two threads per lane, each with a libcurl multi handle and many transfers on few connections.
 *
 * Over TLS by HTTP/2, where the streams share a connection; a server that knows only HTTP/1.1, and cleartext, get one transfer per
 * connection. A thread begins with as many transfers as connections and opens up when the first answer shows HTTP/2: APNs
 * asks for that, and an HTTP/1.1 server's other transfers would spend their time waiting for a connection.
 *
 * libcurl repeats a POST by itself when a reused connection dies; it can't here, since the body won't be rewound (transfer.c). Only
 * where its error then says for certain that the server refused the stream is that reported as not processed.
 * The lane's threads; wake() is the loop's. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "driver.h"
#include "herald/clock.h"
#include "render.h"
#include "transfer.h"

#define MAX_THREADS 2              /* more would multiply the connections to one host and share out little work */
#define TURN_MS 1000               /* the watchdog's second */
#define KEPT_IDLE_SECONDS 3600L    /* push providers want connections kept, libcurl drops them after 118 s */
#define ANSWER_BYTES 4096          /* of an answer's body that could be of any interest */
#define DOWNLOAD_BYTES 4096L       /* libcurl's buffer per transfer: answers are short */
#define ERRORS_BEFORE_RENEWAL 3    /* HTTP/2 errors in a row after which the multi handle itself is doubted (7.88.1) */
#define RETRY_AFTER_MIN_MS 1000
#define RETRY_AFTER_MAX_MS 3600000

static const char *const schemes[] = {"https", "http", NULL};

/* One of the thread's transfers. */
struct slot {
    struct http *http; /* borrowed: owns us */
    CURL *easy;        /* owned; NULL until first used */
    struct slot *next; /* of the idle ones */
    bool is_running;
    struct transfer transfer;
    struct buffer body;
    size_t answer_bytes; /* seen */
    struct curl_slist key, trace; /* in front of the constant headers; borrowed by the handle */
    char key_header[sizeof("Idempotency-Key: \"\"") + DELIVERY_KEY_CHARS];
    char trace_header[sizeof("traceparent: ") + sizeof(((struct event *)NULL)->traceparent)];
    int local_port;  /* tells its connection from the others */
    bool is_alone;   /* it made its connection, and nobody else has used that */
};

struct http {
    struct worker *worker;      /* borrowed: owns us */
    CURLM *multi;               /* owned */
    int bell;                   /* owned: eventfd. Not curl_multi_wakeup, for the loop must not see a multi being renewed */
    struct curl_slist *headers; /* owned: the same for all requests */
    size_t connections;         /* this thread's share */
    unsigned errors_in_row;     /* HTTP/2's own */
    struct slot *idle;          /* borrowed from slots */
    struct slot slots[];        /* worker->transfers of them; they never move */
};

static bool check(const struct config_provider *provider, struct err *err)
{
    return transfer_check_url(provider->url, schemes, true, err) && transfer_check_ca_file(provider->ca_file, err);
}

static bool is_cleartext(const struct config_provider *provider)
{
    return strncmp(provider->url, "http:", 5) == 0;
}

static void shape(const struct config_provider *provider, size_t *ret_threads, size_t *ret_transfers)
{
    size_t streams = is_cleartext(provider) ? 1 : provider->streams;

    *ret_threads = provider->connections < MAX_THREADS ? provider->connections : MAX_THREADS;
    *ret_transfers = (size_t)provider->connections * streams;
}

/* ---- making and ending ------------------------------------------------------------------------------------------ */

static bool add_header(struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = curl_slist_append(*list, text);

    if (longer != NULL)
        *list = longer;
    return longer != NULL;
}

static bool make_headers(const struct config_provider *provider, struct curl_slist **ret)
{
    bool is_made = add_header(ret, "Content-Type: application/json") && add_header(ret, "Expect:");

    for (char *const *header = provider->headers; is_made && *header != NULL; header++)
        is_made = add_header(ret, *header);
    if (is_made && provider->token != NULL) {
        size_t size = sizeof("Authorization: Bearer ") + strlen(provider->token);
        char *text = malloc(size);
        is_made = text != NULL && snprintf(text, size, "Authorization: Bearer %s", provider->token) > 0 &&
                  add_header(ret, text);
        free(text);
    }
    return is_made;
}

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
    for (size_t i = 0; i < http->worker->transfers; i++) {
        curl_easy_cleanup(http->slots[i].easy);
        buffer_done(&http->slots[i].body);
    }
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
    struct http *http = calloc(1, sizeof(*http) + worker->transfers * sizeof(http->slots[0]));
    if (http == NULL)
        return err_set(err, ERR_NOMEM, "http: out of memory");
    http->worker = worker;
    http->connections = provider->connections / worker->count +
                        (worker->index < provider->connections % worker->count ? 1 : 0);
    if (http->connections > worker->transfers)
        http->connections = worker->transfers;
    worker->limit = http->connections;
    for (size_t i = worker->transfers; i-- > 0;) {
        struct slot *slot = &http->slots[i];
        slot->http = http;
        slot->transfer.worker = worker;
        buffer_init(&slot->body, RENDER_MAX_BYTES);
        slot->next = http->idle;
        http->idle = slot;
    }
    http->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    http->multi = make_multi(http);
    if (http->bell < 0 || http->multi == NULL || !make_headers(provider, &http->headers)) {
        close_worker(http);
        return err_set(err, ERR_NOMEM, "http: out of memory or descriptors");
    }
    *ret = http;
    return true;
}

/* ---- libcurl's callbacks ---------------------------------------------------------------------------------------- */

/* The first of an answer's bytes are the provider's words; a long answer is read and dropped, which harms nobody. */
static size_t on_answer(char *bytes, size_t size, size_t count, void *arg)
{
    struct slot *slot = arg;
    size_t len = size * count;

    if (slot->answer_bytes < ANSWER_BYTES && strlen(slot->transfer.delivery->attempt.reply) < ATTEMPT_REPLY_BYTES)
        worker_note(&slot->transfer.delivery->attempt, bytes, len);
    slot->answer_bytes += len;
    return len;
}

/* The slot is about to send its request on the connection with this local port: for the first time, or again by itself. */
static int on_request(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
    struct slot *slot = arg;
    struct http *http = slot->http;
    long new_connections = 0;

    (void)remote_ip;
    (void)local_ip;
    (void)remote_port;
    /* libcurl would send what it has not yet read of the body, behind headers that promise all of it. */
    if (slot->transfer.handed_over > 0)
        return CURL_PREREQFUNC_ABORT;
    curl_easy_getinfo(slot->easy, CURLINFO_NUM_CONNECTS, &new_connections);
    slot->is_alone = new_connections > 0;
    slot->local_port = local_port;
    for (size_t i = 0; i < http->worker->transfers; i++) {
        struct slot *other = &http->slots[i];
        if (other == slot || !other->is_running || other->local_port != local_port)
            continue;
        other->is_alone = false;
        slot->is_alone = false;
    }
    return CURL_PREREQFUNC_OK;
}

/* ---- one request ------------------------------------------------------------------------------------------------ */

static bool configure(struct slot *slot, CURL *easy)
{
    const struct config_provider *provider = slot->http->worker->provider;
    const char *protocol = is_cleartext(provider) ? "http" : "https";
    bool is_set = transfer_configure(easy, &slot->transfer, protocol);

    is_set &= curl_easy_setopt(easy, CURLOPT_URL, provider->url) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, &slot->key) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_USERAGENT, "herald/" HERALD_VERSION) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)provider->timeout_ms) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, KEPT_IDLE_SECONDS) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, DOWNLOAD_BYTES) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_WRITEDATA, slot) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_PREREQDATA, slot) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_PRIVATE, slot) == CURLE_OK;
    return is_set;
}

static bool make_handle(struct slot *slot)
{
    CURL *easy = curl_easy_init();

    if (easy == NULL || !configure(slot, easy)) {
        curl_easy_cleanup(easy);
        return false;
    }
    slot->easy = easy;
    return true;
}

/* The handle knows the list by its first node, so only the nodes' text changes from request to request. */
static void write_headers(struct slot *slot, const struct delivery *delivery)
{
    snprintf(slot->key_header, sizeof(slot->key_header), "Idempotency-Key: \"%s\"", delivery->key);
    slot->key.data = slot->key_header;
    slot->key.next = slot->http->headers;
    if (delivery->traceparent != NULL && delivery->traceparent[0] != '\0') {
        snprintf(slot->trace_header, sizeof(slot->trace_header), "traceparent: %s", delivery->traceparent);
        slot->trace.data = slot->trace_header;
        slot->trace.next = slot->http->headers;
        slot->key.next = &slot->trace;
    }
}

static void release(struct slot *slot)
{
    struct http *http = slot->http;
    struct delivery *delivery = slot->transfer.delivery;

    slot->transfer.delivery = NULL;
    slot->is_running = false;
    slot->next = http->idle;
    http->idle = slot;
    worker_trim(&slot->body);
    worker_finish(http->worker, delivery);
}

static void begin(void *state, struct delivery *delivery)
{
    struct http *http = state;
    struct slot *slot = http->idle;

    assert(slot != NULL); /* the lane counts them */
    http->idle = slot->next;
    slot->transfer.delivery = delivery;
    if (!worker_render(http->worker, delivery, &slot->body)) {
        release(slot);
        return;
    }
    write_headers(slot, delivery);
    transfer_begin(&slot->transfer, delivery, slot->body.data, slot->body.len);
    slot->answer_bytes = 0;
    slot->local_port = -1;
    slot->is_alone = false;
    if ((slot->easy == NULL && !make_handle(slot)) ||
        curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)slot->body.len) != CURLE_OK ||
        curl_multi_add_handle(http->multi, slot->easy) != CURLM_OK) {
        delivery->attempt.transport = TRANSPORT_INTERNAL;
        release(slot);
        return;
    }
    slot->is_running = true;
}

/* libcurl repeats an unanswered request in two cases: its connection was in use before (and may have died at any moment), or the
 * server refused the stream. Where the connection was this request's own, the first is out of the question (7.88.1; 8.14.1 by its
 * source). A GOAWAY that leaves the connection without streams reads like any other framing error, and stays unknown. */
static bool was_refused(const struct slot *slot, CURLcode code)
{
    return code == CURLE_SEND_FAIL_REWIND && slot->is_alone;
}

static int64_t retry_after_ms(CURL *easy)
{
    curl_off_t seconds = 0;

    /* libcurl reads both forms, a number and a date; a date that is over gives less than 0. */
    if (curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds) != CURLE_OK || seconds == 0)
        return 0;
    if (seconds > RETRY_AFTER_MAX_MS / 1000)
        return RETRY_AFTER_MAX_MS;
    return seconds < RETRY_AFTER_MIN_MS / 1000 ? RETRY_AFTER_MIN_MS : (int64_t)seconds * 1000;
}

static void conclude(struct slot *slot, CURLcode code)
{
    struct attempt *attempt = &slot->transfer.delivery->attempt;
    long status = 0;

    curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
    attempt->code = (int)status;
    attempt->retry_after_ms = retry_after_ms(slot->easy);
    attempt->transport = transfer_result(slot->easy, &slot->transfer, code);
    if (code == CURLE_OK)
        return;
    if (slot->transfer.is_refused_by_us)
        attempt->abort = ABORT_LEASE;
    else if (was_refused(slot, code))
        attempt->transport = TRANSPORT_REFUSED_STREAM;
    transfer_explain(&slot->transfer, code, attempt);
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

static void finish(struct slot *slot, CURLcode code)
{
    curl_multi_remove_handle(slot->http->multi, slot->easy);
    conclude(slot, code);
    learn_limit(slot->http, slot->easy, code);
    release(slot);
}

/* With nothing running: a multi handle with fresh connections. If there is no memory the old one has to do. */
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
        struct slot *slot = NULL;
        CURLcode code = message->data.result; /* the message dies with the handle's removal */
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&slot);
        finish(slot, code);
        has_finished = true;
    }
    return has_finished;
}

/* A hurried shutdown: what is not committed is given up. */
static void give_up_uncommitted(struct http *http)
{
    for (size_t i = 0; i < http->worker->transfers; i++) {
        struct slot *slot = &http->slots[i];
        if (!slot->is_running || slot->transfer.delivery->attempt.is_committed)
            continue;
        curl_multi_remove_handle(http->multi, slot->easy);
        slot->transfer.delivery->attempt.abort = ABORT_LEASE;
        release(slot);
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
};
