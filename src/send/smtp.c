/* smtp.c - mail by SMTP: per thread one libcurl easy handle, which keeps one connection from mail to mail.
 *
 * Blocking on purpose: libcurl waits for the reply to the final dot inside one call (7.88.1, 8.14.1), so a
 * multi handle would make all its mails wait for the slowest. One recipient per transaction: no partial
 * success to tell apart. A handle that has seen any error is thrown away with its connection, for libcurl
 * would reuse one whose late reply is still to come, and take that for the next mail's. The lane's threads.
 */
#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dialogue.h"
#include "driver.h"
#include "herald/address.h"
#include "herald/clock.h"
#include "herald/fault.h"
#include "render.h"
#include "transfer.h"

#define GOODBYE_SECONDS 2L /* for the reply to QUIT: nothing depends on it */
#define HELLO_BYTES 255    /* a host's name */
#define URL_BYTES 2400     /* the longest that the configuration takes, and the EHLO name */

static const char *const schemes[] = {"smtp", "smtps", NULL};

struct smtp {
    struct worker *worker; /* borrowed: owns us */
    CURL *easy;            /* owned; NULL: the next mail makes one */
    struct buffer message;
    struct buffer sender, addressee; /* the envelope, its domains in ASCII */
    struct curl_slist recipient;     /* of one, borrowed by the handle; data points into addressee */
    struct dialogue dialogue;
    struct transfer transfer;
    char url[URL_BYTES];
};

static bool check(const struct config_provider *provider, struct err *err)
{
    if (!transfer_check_url(provider->url, schemes, false, err) ||
        !transfer_check_ca_file(provider->ca_file, err))
        return false;
    if (strlen(provider->url) + HELLO_BYTES + 2 > URL_BYTES)
        return err_set(err, ERR_CONFIG, "url: longer than %d bytes", URL_BYTES - HELLO_BYTES - 2);
    const char *hello = provider->hello != NULL ? provider->hello : "";
    if (strlen(hello) > HELLO_BYTES)
        return err_set(err, ERR_CONFIG, "hello: longer than %d bytes", HELLO_BYTES);
    for (const char *at = hello; *at != '\0'; at++) /* it becomes an SMTP argument and part of a URL */
        if (!isalnum((unsigned char)*at) && strchr(".-:[]", *at) == NULL)
            return err_set(err, ERR_CONFIG, "hello: '%s': expected a host name or an address in brackets",
                           hello);
    return true;
}

static void shape(const struct config_provider *provider, size_t *ret_threads, size_t *ret_transfers)
{
    *ret_threads = *ret_transfers = provider->connections;
}

static bool open_worker(struct worker *worker, void **ret, struct err *err)
{
    const char *url = worker->provider->url;
    const char *hello = worker->provider->hello;
    struct smtp *smtp;

    if (!check(worker->provider, err) || !transfer_library_init(err))
        return false;
    smtp = calloc(1, sizeof(*smtp));
    if (smtp == NULL)
        return err_set(err, ERR_NOMEM, "smtp: out of memory");
    size_t len = strlen(url);
    while (len > 0 && url[len - 1] == '/')
        len--;
    snprintf(smtp->url, sizeof(smtp->url), "%.*s/%s", (int)len, url,
             hello != NULL ? hello : ""); /* checked: it fits */
    smtp->worker = worker;
    smtp->transfer.worker = worker;
    buffer_init(&smtp->message, RENDER_MAX_BYTES);
    buffer_init(&smtp->sender, ADDRESS_ASCII_BYTES);
    buffer_init(&smtp->addressee, ADDRESS_ASCII_BYTES);
    *ret = smtp;
    return true;
}

/* Says QUIT on the kept connection, if there is one, and gives the server a moment to answer. libcurl waits
 * for that answer with the limits of the last transfer, here ten minutes; a transfer that can't even begin
 * passes it shorter ones. */
static void drop_handle(struct smtp *smtp)
{
    if (smtp->easy == NULL)
        return;
    curl_easy_setopt(smtp->easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, GOODBYE_SECONDS);
    curl_easy_setopt(smtp->easy, CURLOPT_TIMEOUT_MS, GOODBYE_SECONDS * 1000L);
    curl_easy_setopt(smtp->easy, CURLOPT_URL, "none:");
    (void)curl_easy_perform(smtp->easy); /* fails: that is its purpose */
    curl_easy_cleanup(smtp->easy);
    smtp->easy = NULL;
}

static void close_worker(void *state)
{
    struct smtp *smtp = state;

    if (smtp == NULL)
        return;
    drop_handle(smtp);
    buffer_done(&smtp->message);
    buffer_done(&smtp->sender);
    buffer_done(&smtp->addressee);
    free(smtp);
}

static void rest(void *state)
{
    drop_handle(state);
}

/* ---- libcurl's callbacks ------------------------------------------------------------------------------ */

static size_t on_reply_line(char *line, size_t size, size_t count, void *arg)
{
    struct smtp *smtp = arg;

    if (smtp->transfer.delivery != NULL)
        dialogue_line(&smtp->dialogue, line, size * count);
    return size * count;
}

static int on_ready(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
    struct smtp *smtp = arg;

    (void)remote_ip;
    (void)local_ip;
    (void)remote_port;
    (void)local_port;
    FAULT("connected");
    dialogue_ready(&smtp->dialogue);
    return CURL_PREREQFUNC_OK;
}

/* About once a second while libcurl waits. Other than 0 aborts. */
static int on_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    struct smtp *smtp = arg;
    const struct delivery *delivery = smtp->transfer.delivery;

    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    worker_is_alive(smtp->worker);
    if (delivery == NULL)
        return 0;
    /* The answer is known, and what is left is its reply to QUIT. */
    if (smtp->dialogue.is_refused && clock_mono_ms() - smtp->dialogue.refused_ms > GOODBYE_SECONDS * 1000)
        return 1;
    return !delivery->attempt.is_committed && worker_is_hurried(smtp->worker);
}

static size_t drop_bytes(char *bytes, size_t size, size_t count, void *arg)
{
    (void)bytes;
    (void)arg;
    return size * count;
}

/* ---- one mail ----------------------------------------------------------------------------------------- */

static long whole_seconds(int64_t ms)
{
    return (long)((ms + 999) / 1000);
}

static bool configure(struct smtp *smtp, CURL *easy)
{
    const struct config_provider *provider = smtp->worker->provider;
    long ssl = provider->starttls == STARTTLS_REQUIRED ? (long)CURLUSESSL_ALL : (long)CURLUSESSL_NONE;
    bool is_set = transfer_configure(easy, &smtp->transfer, "smtp,smtps");

    is_set &= curl_easy_setopt(easy, CURLOPT_URL, smtp->url) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_USE_SSL, ssl) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_MAXCONNECTS, 1L) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, whole_seconds(provider->timeout_ms)) ==
              CURLE_OK;
    /* Of the whole mail, should a server neither read nor close: more than the longest wait for its final
     * reply. */
    is_set &= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                               (long)(provider->connect_timeout_ms + 2 * provider->timeout_ms)) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_reply_line) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_HEADERDATA, smtp) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop_bytes) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_ready) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_PREREQDATA, smtp) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_XFERINFODATA, smtp) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L) == CURLE_OK;
    if (provider->user != NULL) {
        is_set &= curl_easy_setopt(easy, CURLOPT_USERNAME, provider->user) == CURLE_OK;
        is_set &= curl_easy_setopt(easy, CURLOPT_PASSWORD,
                                   provider->password != NULL ? provider->password : "") == CURLE_OK;
        is_set &= curl_easy_setopt(easy, CURLOPT_SASL_IR, 1L) == CURLE_OK;
    }
    return is_set;
}

static bool make_handle(struct smtp *smtp)
{
    smtp->easy = curl_easy_init();
    if (smtp->easy != NULL && configure(smtp, smtp->easy))
        return true;
    drop_handle(smtp);
    return false;
}

/* Makes the handle if there is none and addresses it to the delivery. */
static bool prepare(struct smtp *smtp, struct delivery *delivery)
{
    if (smtp->easy == NULL && !make_handle(smtp))
        return false;
    buffer_reset(&smtp->sender);
    buffer_reset(&smtp->addressee);
    if (!address_ascii(render_sender(delivery), &smtp->sender) || smtp->sender.failed ||
        !address_ascii(delivery->email, &smtp->addressee) || smtp->addressee.failed)
        return false; /* rendering refused such an address already: it is out of memory */
    smtp->recipient.data = smtp->addressee.data;
    return curl_easy_setopt(smtp->easy, CURLOPT_MAIL_FROM, smtp->sender.data) == CURLE_OK &&
           curl_easy_setopt(smtp->easy, CURLOPT_MAIL_RCPT, &smtp->recipient) == CURLE_OK &&
           curl_easy_setopt(smtp->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)smtp->message.len) == CURLE_OK;
}

/* The facts of a perform that returned `code`. */
static void conclude(struct smtp *smtp, CURLcode code, struct attempt *attempt)
{
    attempt->transport = transfer_result(smtp->easy, &smtp->transfer, code);
    if (code == CURLE_OK)
        return;
    if (code == CURLE_ABORTED_BY_CALLBACK && !attempt->is_committed) {
        attempt->abort = ABORT_LEASE;
        return;
    }
    if (code == CURLE_LOGIN_DENIED)
        attempt->stage = STAGE_AUTH;
    if (code == CURLE_SEND_ERROR || code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_REMOTE_ACCESS_DENIED) {
        bool is_late_yes =
            attempt->stage == STAGE_FINAL && attempt->code / 100 == 2; /* libcurl knows only 250 */
        if (smtp->dialogue.is_refused || is_late_yes)
            attempt->transport = TRANSPORT_OK; /* a clear answer: the dialogue ran to its end */
    }
    if (attempt->transport != TRANSPORT_OK && attempt->stage < STAGE_FINAL && attempt->code < 400) {
        /* The last reply was a yes to what came before. Its code tells how far we got; past TLS that counts.
         */
        attempt->code = attempt->transport == TRANSPORT_TLS ? 0 : attempt->code;
        attempt->enhanced[0] = attempt->reply[0] = '\0';
    }
    transfer_explain(&smtp->transfer, code, attempt);
}

/* A kept connection that the server had closed, or was about to: no word about this mail. */
static bool was_stale(const struct smtp *smtp, CURLcode code, const struct attempt *attempt)
{
    long new_connections = 0;

    curl_easy_getinfo(smtp->easy, CURLINFO_NUM_CONNECTS, &new_connections);
    if (code == CURLE_OK || new_connections > 0 || attempt->is_committed || attempt->abort != ABORT_NONE)
        return false;
    return attempt->stage == STAGE_NONE || (attempt->stage == STAGE_MAIL && attempt->code == 421);
}

static void send_mail(struct smtp *smtp, struct delivery *delivery)
{
    struct attempt *attempt = &delivery->attempt;

    for (bool is_second = false;; is_second = true) {
        dialogue_begin(&smtp->dialogue, attempt);
        if (!prepare(smtp, delivery)) {
            attempt->transport = TRANSPORT_INTERNAL;
            drop_handle(smtp);
            return;
        }
        transfer_begin(&smtp->transfer, delivery, smtp->message.data, smtp->message.len);
        CURLcode code = curl_easy_perform(smtp->easy);
        conclude(smtp, code, attempt);
        smtp->transfer.delivery = NULL; /* what the server says from here on is not about it */
        if (code == CURLE_OK)
            return;
        bool is_stale = !is_second && was_stale(smtp, code, attempt);
        drop_handle(smtp);
        if (!is_stale)
            return;
    }
}

static void begin(void *state, struct delivery *delivery)
{
    struct smtp *smtp = state;
    struct worker *worker = smtp->worker;
    struct err err = {0};

    if (!address_check(delivery->email, strlen(delivery->email), &err)) {
        /* It was checked when it came in; libcurl would send a CR LF in it as a command. */
        delivery->attempt.abort = ABORT_RENDER;
        worker_note(&delivery->attempt, err.text, strlen(err.text));
    } else if (worker_render(worker, delivery, &smtp->message)) {
        send_mail(smtp, delivery);
    }
    worker_finish(worker, delivery);
    worker_trim(&smtp->message);
}

static bool probe(void *state, struct err *err)
{
    struct smtp *smtp = state;
    struct delivery nobody = {0};

    if (!make_handle(smtp))
        return err_set(err, ERR_NOMEM, "smtp: out of memory");
    dialogue_begin(&smtp->dialogue, &nobody.attempt);
    nobody.attempt.is_committed = true; /* there is no loop that could hurry it */
    return transfer_probe(smtp->easy, &smtp->transfer, &nobody, err);
}

const struct driver driver_smtp = {
    .name = "smtp",
    .protocol = ATTEMPT_SMTP,
    .check = check,
    .shape = shape,
    .open = open_worker,
    .close = close_worker,
    .begin = begin,
    .rest = rest,
    .probe = probe,
};
