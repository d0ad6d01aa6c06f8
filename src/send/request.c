/* request.c - one POST of one delivery; see request.h.
 *
 * libcurl repeats a POST by itself when a reused connection dies; it can't here, since the body won't be
 * rewound (transfer.c). Only where its error then says for certain that the server refused the stream is that
 * reported as not processed. */
#include "request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "render.h"

#define KEPT_IDLE_SECONDS 3600L /* push providers want connections kept, libcurl drops them after 118 s */
#define ANSWER_BYTES 4096       /* of an answer's body that could be of any interest */
#define DOWNLOAD_BYTES 4096L    /* libcurl's buffer per transfer: answers are short */
#define RETRY_AFTER_MIN_MS 1000
#define RETRY_AFTER_MAX_MS 3600000

/* ---- headers ------------------------------------------------------------------------------------------ */

static bool add_header(struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = curl_slist_append(*list, text);

    if (longer != NULL)
        *list = longer;
    return longer != NULL;
}

bool request_headers(const struct config_provider *provider, struct curl_slist **ret)
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

/* ---- libcurl's callbacks ------------------------------------------------------------------------------ */

/* The first of an answer's bytes are the provider's words; a long answer is read and dropped, which harms
 * nobody. */
static size_t on_answer(char *bytes, size_t size, size_t count, void *arg)
{
    struct request *request = arg;
    size_t len = size * count;

    if (request->answer_bytes < ANSWER_BYTES &&
        strlen(request->transfer.delivery->attempt.reply) < ATTEMPT_REPLY_BYTES)
        worker_note(&request->transfer.delivery->attempt, bytes, len);
    request->answer_bytes += len;
    return len;
}

/* The request is about to send its request on the connection with this local port: for the first time, or
 * again by itself. */
static int on_request(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
    struct request *request = arg;
    long new_connections = 0;

    (void)remote_ip;
    (void)local_ip;
    (void)remote_port;
    /* libcurl would send what it has not yet read of the body, behind headers that promise all of it. */
    if (request->transfer.handed_over > 0)
        return CURL_PREREQFUNC_ABORT;
    curl_easy_getinfo(request->easy, CURLINFO_NUM_CONNECTS, &new_connections);
    request->is_alone = new_connections > 0;
    request->local_port = local_port;
    for (size_t i = 0; i < request->all_count; i++) {
        struct request *other = &request->all[i];
        if (other == request || !other->is_running || other->local_port != local_port)
            continue;
        other->is_alone = false;
        request->is_alone = false;
    }
    return CURL_PREREQFUNC_OK;
}

/* ---- the handle --------------------------------------------------------------------------------------- */

void request_init(struct request *request, struct worker *worker, struct curl_slist *headers,
                  struct request *all, size_t all_count)
{
    *request = (struct request){
        .transfer.worker = worker, .headers = headers, .all = all, .all_count = all_count, .local_port = -1};
    buffer_init(&request->body, RENDER_MAX_BYTES);
}

void request_done(struct request *request)
{
    curl_easy_cleanup(request->easy);
    buffer_done(&request->body);
}

static bool configure(struct request *request, CURL *easy)
{
    const struct config_provider *provider = request->transfer.worker->provider;
    const char *protocol = strncmp(provider->url, "http:", 5) == 0 ? "http" : "https";
    bool is_set = transfer_configure(easy, &request->transfer, protocol);

    is_set &= curl_easy_setopt(easy, CURLOPT_URL, provider->url) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, &request->key) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_USERAGENT, "herald/" HERALD_VERSION) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)provider->timeout_ms) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, KEPT_IDLE_SECONDS) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, DOWNLOAD_BYTES) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_WRITEDATA, request) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_PREREQDATA, request) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_PRIVATE, request) == CURLE_OK;
    return is_set;
}

static bool make_handle(struct request *request)
{
    CURL *easy = curl_easy_init();

    if (easy == NULL || !configure(request, easy)) {
        curl_easy_cleanup(easy);
        return false;
    }
    request->easy = easy;
    return true;
}

/* The handle knows the list by its first node, so only the nodes' text changes from request to request. */
static void write_headers(struct request *request, const struct delivery *delivery)
{
    snprintf(request->key_header, sizeof(request->key_header), "Idempotency-Key: \"%s\"", delivery->key);
    request->key.data = request->key_header;
    request->key.next = request->headers;
    if (delivery->traceparent != NULL && delivery->traceparent[0] != '\0') {
        snprintf(request->trace_header, sizeof(request->trace_header), "traceparent: %s",
                 delivery->traceparent);
        request->trace.data = request->trace_header;
        request->trace.next = request->headers;
        request->key.next = &request->trace;
    }
}

bool request_prepare(struct request *request, struct delivery *delivery)
{
    transfer_begin(&request->transfer, delivery, request->body.data, request->body.len);
    request->answer_bytes = 0;
    request->local_port = -1;
    request->is_alone = false;
    write_headers(request, delivery);
    return (request->easy != NULL || make_handle(request)) &&
           curl_easy_setopt(request->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len) ==
               CURLE_OK;
}

bool request_probe(struct request *request, struct err *err)
{
    struct delivery nobody = {0};

    if (!make_handle(request))
        return err_set(err, ERR_NOMEM, "http: out of memory");
    write_headers(request, &nobody);
    return transfer_probe(request->easy, &request->transfer, &nobody, err);
}

/* ---- the answer --------------------------------------------------------------------------------------- */

/* libcurl repeats an unanswered request in two cases: its connection was in use before (and may have died at
 * any moment), or the server refused the stream. Where the connection was this request's own, the first is
 * out of the question (seen with 7.88.1). A GOAWAY that leaves the connection without streams
 * reads like any other framing error, and stays unknown. */
static bool was_refused(const struct request *request, CURLcode code)
{
    return code == CURLE_SEND_FAIL_REWIND && request->is_alone;
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

void request_conclude(struct request *request, CURLcode code)
{
    struct attempt *attempt = &request->transfer.delivery->attempt;
    long status = 0;

    curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
    attempt->code = (int)status;
    attempt->retry_after_ms = retry_after_ms(request->easy);
    attempt->transport = transfer_result(request->easy, &request->transfer, code);
    if (code == CURLE_OK)
        return;
    if (request->transfer.is_refused_by_us)
        attempt->abort = ABORT_LEASE;
    else if (was_refused(request, code))
        attempt->transport = TRANSPORT_REFUSED_STREAM;
    transfer_explain(&request->transfer, code, attempt);
}
