/* transfer.c - the options and the borders of every libcurl transfer; see transfer.h.
 *
 * The read callback is the commit point: until libcurl has the last body byte, neither an SMTP server (no
 * final dot) nor an HTTP server (short of its Content-Length) may act on the message. The seek callback
 * refuses, so that libcurl never sends a body twice by itself: with a reused connection that dies it would
 * (7.88.1, and current sources). */
#include "transfer.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "herald/clock.h"
#include "herald/fault.h"

/* libcurl's least: most bodies fit, and each running transfer has one such buffer */
#define UPLOAD_BYTES (16 * 1024)
/* a mail server may take ten minutes to answer: tell a dead one from a slow one */
#define KEEPALIVE_SECONDS 60L

bool transfer_library_init(struct err *err)
{
    /* Counted and thread-safe since 7.84. Never undone: OpenSSL's own clean-up belongs to process exit. */
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ||
           err_set(err, ERR_NOMEM, "libcurl can't be initialised");
}

static size_t read_body(char *to, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;
    size_t left = transfer->len - transfer->handed_over;
    size_t now = size * count < left ? size * count : left;

    if (now == 0)
        return 0;
    if (now == left)
        FAULT("not-committed");
    if (now == left && !worker_commit(transfer->worker, transfer->delivery)) {
        transfer->is_refused_by_us = true;
        return CURL_READFUNC_ABORT;
    }
    if (now == left)
        FAULT("committed");
    if (transfer->handed_over == 0)
        transfer->delivery->attempt.first_byte_mono_us = clock_mono_us();
    memcpy(to, transfer->bytes + transfer->handed_over, now);
    transfer->handed_over += now;
    return now;
}

static int refuse_to_rewind(void *arg, curl_off_t offset, int origin)
{
    (void)arg;
    (void)offset;
    (void)origin;
    return CURL_SEEKFUNC_FAIL;
}

/* libcurl says "could not connect" for a missing descriptor too, which is our
 * trouble and not the provider's. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *transfer = arg;

    (void)purpose;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0) {
        transfer->has_no_descriptor =
            errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
        return CURL_SOCKET_BAD;
    }
    return fd;
}

bool transfer_configure(CURL *easy, struct transfer *transfer, const char *protocols)
{
    const struct config_provider *provider = transfer->worker->provider;
    bool is_set = true;

    is_set &= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, protocols) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK; /* not even from the environment */
    is_set &= curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error) == CURLE_OK;
    is_set &=
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)provider->connect_timeout_ms) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_SECONDS) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_SECONDS) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK;
    if (provider->ca_file != NULL)
        is_set &= curl_easy_setopt(easy, CURLOPT_CAINFO, provider->ca_file) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_READFUNCTION, read_body) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_READDATA, transfer) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, refuse_to_rewind) == CURLE_OK;
    is_set &= curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BYTES) == CURLE_OK;
    return is_set;
}

void transfer_begin(struct transfer *transfer, struct delivery *delivery, const char *bytes, size_t len)
{
    transfer->delivery = delivery;
    transfer->bytes = bytes;
    transfer->len = len;
    transfer->handed_over = 0;
    transfer->is_refused_by_us = false;
    transfer->has_no_descriptor = false;
    transfer->error[0] = '\0';
}

/* A connect timeout is a connect failure; later ones are not. */
static bool has_connected(CURL *easy)
{
    curl_off_t connected_us = 0;
    curl_off_t ready_us = 0;

    curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected_us);
    curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &ready_us); /* on a reused connection the only one */
    return connected_us > 0 || ready_us > 0;
}

enum attempt_transport transfer_result(CURL *easy, const struct transfer *transfer, CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return TRANSPORT_OK;
    case CURLE_COULDNT_RESOLVE_HOST:
        return TRANSPORT_RESOLVE;
    case CURLE_COULDNT_CONNECT:
        return transfer->has_no_descriptor ? TRANSPORT_INTERNAL : TRANSPORT_CONNECT;
    case CURLE_OPERATION_TIMEDOUT:
        return has_connected(easy) ? TRANSPORT_TIMEOUT : TRANSPORT_CONNECT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_USE_SSL_FAILED:
        return TRANSPORT_TLS;
    case CURLE_LOGIN_DENIED:
    case CURLE_AUTH_ERROR:
        return TRANSPORT_LOGIN;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_NOT_BUILT_IN:
    case CURLE_BAD_FUNCTION_ARGUMENT:
    case CURLE_UNKNOWN_OPTION:
    case CURLE_INTERFACE_FAILED:
        return TRANSPORT_INTERNAL;
    default: /* sending or receiving failed, no answer, a stream or a frame that is not the protocol */
        return TRANSPORT_BROKEN;
    }
}

/* Of an attempt without a reply that says more. libcurl asks for STARTTLS only where EHLO offers it. */
static const char *words_for(const struct transfer *transfer, CURLcode code)
{
    if (code == CURLE_USE_SSL_FAILED)
        return "STARTTLS not offered";
    return transfer->error[0] != '\0' ? transfer->error : curl_easy_strerror(code);
}

void transfer_explain(const struct transfer *transfer, CURLcode code, struct attempt *attempt)
{
    if (attempt->reply[0] != '\0')
        return;
    const char *words = words_for(transfer, code);
    worker_note(attempt, words, strlen(words));
}

bool transfer_probe(CURL *easy, struct transfer *transfer, struct delivery *delivery, struct err *err)
{
    struct attempt *attempt = &delivery->attempt;
    CURLcode code = curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);

    transfer_begin(transfer, delivery, "", 0);
    if (code == CURLE_OK)
        code = curl_easy_perform(easy);
    transfer->delivery = NULL;
    if (code == CURLE_OK)
        return true;
    const char *words = words_for(transfer, code);
    if (attempt->code < 400)
        return err_set(err, ERR_TRANSIENT, "%s%s",
                       transfer_result(easy, transfer, code) == TRANSPORT_TLS ? "tls: " : "", words);
    return err_set(err, ERR_TRANSIENT, "%s: %d %s", words, attempt->code, attempt->reply);
}

static bool is_one_of(const char *scheme, const char *const *schemes)
{
    for (; *schemes != NULL; schemes++)
        if (strcmp(scheme, *schemes) == 0)
            return true;
    return false;
}

bool transfer_check_url(const char *url, const char *const *schemes, bool may_have_path, struct err *err)
{
    char *scheme = NULL;
    char *host = NULL;
    char *path = NULL;
    char *user = NULL;
    bool is_good = false;
    CURLU *parts = NULL;

    if (url == NULL || url[0] == '\0')
        return err_set(err, ERR_CONFIG, "url: missing");
    parts = curl_url();
    if (parts == NULL)
        return err_set(err, ERR_NOMEM, "url: out of memory");
    CURLUcode code = curl_url_set(parts, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME);
    if (code != CURLUE_OK) {
        err_set(err, ERR_CONFIG, "url: %s",
                curl_url_strerror(code)); /* without the URL: a password may be in it */
        goto out;
    }
    if (curl_url_get(parts, CURLUPART_USER, &user, 0) != CURLUE_NO_USER) {
        err_set(err, ERR_CONFIG, "url: credentials don't belong there, see user and password_file");
        goto out;
    }
    if (curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK || !is_one_of(scheme, schemes)) {
        err_set(err, ERR_CONFIG, "url: '%s': expected %s:// or %s://", url, schemes[0], schemes[1]);
        goto out;
    }
    if (curl_url_get(parts, CURLUPART_HOST, &host, 0) != CURLUE_OK || host[0] == '\0') {
        err_set(err, ERR_CONFIG, "url: '%s': no host", url);
        goto out;
    }
    if (!may_have_path && curl_url_get(parts, CURLUPART_PATH, &path, 0) == CURLUE_OK &&
        strcmp(path, "/") != 0) {
        err_set(err, ERR_CONFIG, "url: '%s': a mail server's has no path (the EHLO name is the option hello)",
                url);
        goto out;
    }
    is_good = true;
out:
    curl_free(user);
    curl_free(path);
    curl_free(host);
    curl_free(scheme);
    curl_url_cleanup(parts);
    return is_good;
}

bool transfer_check_ca_file(const char *ca_file, struct err *err)
{
    if (ca_file != NULL && access(ca_file, R_OK) != 0)
        return err_set(err, ERR_CONFIG, "ca_file: %s: %s", ca_file, strerror(errno));
    return true;
}
