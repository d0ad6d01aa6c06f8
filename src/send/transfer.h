/* transfer.h - what all libcurl transfers have in common: the options, the body with its commit point, and
 * the border at which libcurl's error codes become ours. The thread that runs the handle. */
#ifndef HERALD_SEND_TRANSFER_H
#define HERALD_SEND_TRANSFER_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

#include "herald/config.h"
#include "herald/err.h"
#include "worker.h"

/* One body on its way. The options below hold a pointer to it, so it lives as long as its handle and doesn't
 * move. */
struct transfer {
    struct worker *worker;     /* borrowed: outlives its handles */
    struct delivery *delivery; /* being sent, ours until it is finished; NULL: none */
    const char *bytes;         /* borrowed: unchanged until the transfer ends */
    size_t len;
    size_t handed_over;          /* of them, to libcurl */
    bool is_refused_by_us;       /* the commit check said no */
    bool has_no_descriptor;      /* no socket could be had */
    char error[CURL_ERROR_SIZE]; /* libcurl's words for the last error */
};

/* libcurl's own state for the process; any number of times. Loop thread. ERR_NOMEM. */
bool transfer_library_init(struct err *err) MUST_CHECK;

/* The options common to all: TLS, time, no proxy, no netrc, no signals, body by callback. False: out of
 * memory. */
bool transfer_configure(CURL *easy, struct transfer *transfer, const char *protocols) MUST_CHECK;

/* Points the transfer at the next body; libcurl is to be told its length by the caller. */
void transfer_begin(struct transfer *transfer, struct delivery *delivery, const char *bytes, size_t len);

/* How it ended, apart from what the provider answered. */
enum attempt_transport transfer_result(CURL *easy, const struct transfer *transfer, CURLcode code);

/* Our own words for the failure, into attempt.reply where the provider left none. */
void transfer_explain(const struct transfer *transfer, CURLcode code, struct attempt *attempt);

/* Connects with a handle that is configured, and sends nothing. `delivery` only lends its attempt, for what
 * the provider says. Blocks. ERR_TRANSIENT. */
bool transfer_probe(CURL *easy, struct transfer *transfer, struct delivery *delivery,
                    struct err *err) MUST_CHECK;

/* A URL with one of the schemes ("smtp\0smtps\0"), a host, and no credentials; may it have a path?
 * ERR_CONFIG. */
bool transfer_check_url(const char *url, const char *const *schemes, bool may_have_path,
                        struct err *err) MUST_CHECK;
/* Readable, or NULL. ERR_CONFIG. */
bool transfer_check_ca_file(const char *ca_file, struct err *err) MUST_CHECK;

#endif
