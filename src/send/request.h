/* request.h - one POST of one delivery, and the libcurl handle it goes through. The thread of its worker. */
#ifndef HERALD_SEND_REQUEST_H
#define HERALD_SEND_REQUEST_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

#include "herald/buffer.h"
#include "herald/delivery.h"
#include "transfer.h"

/* A worker has as many as it has transfers, in an array; each is used again and again with its handle. They
 * never move. */
struct request {
    CURL *easy;           /* owned; NULL until first used. Its CURLINFO_PRIVATE is the request */
    struct request *next; /* of the idle ones; http.c's */
    bool is_running;      /* added to the multi handle; http.c's */
    struct transfer transfer;
    struct buffer body;
    size_t answer_bytes;          /* of the answer's body, seen */
    struct curl_slist *headers;   /* borrowed from the worker: the same for all requests */
    struct curl_slist key, trace; /* in front of those; the handle knows the list by `key` */
    char key_header[sizeof("Idempotency-Key: \"\"") + DELIVERY_KEY_CHARS];
    char trace_header[sizeof("traceparent: ") + sizeof(((struct event *)NULL)->traceparent)];
    struct request *all; /* borrowed: the array it stands in */
    size_t all_count;
    int local_port; /* tells its connection from the others'; -1: none yet */
    bool is_alone;  /* it made its connection, and nobody else has used that */
};

/* The headers that are the same for all of a provider's requests; free with curl_slist_free_all. False: out
 * of memory. */
bool request_headers(const struct config_provider *provider, struct curl_slist **ret) MUST_CHECK;

void request_init(struct request *request, struct worker *worker, struct curl_slist *headers,
                  struct request *all, size_t all_count);
void request_done(struct request *request);

/* Makes the handle ready for the delivery, whose body has been rendered into `body`. False: out of memory. */
bool request_prepare(struct request *request, struct delivery *delivery) MUST_CHECK;

/* Connects and sends nothing. Blocks. ERR_TRANSIENT. */
bool request_probe(struct request *request, struct err *err) MUST_CHECK;

/* Fills in the delivery's attempt: the transfer has ended with `code`. */
void request_conclude(struct request *request, CURLcode code);

#endif
