/* endpoint.h - /metrics, /healthz and /readyz over HTTP, on a thread of its own ("herald-http").
 *
 * It answers from the board alone, so nobody who asks costs the loop anything. At most ENDPOINT_CONNECTIONS
 * at a time; others wait to be let in. A connection has ENDPOINT_DEADLINE_MS for all of it, however busily it
 * dawdles, and one answer. GET and HEAD only. */
#ifndef HERALD_APP_ENDPOINT_H
#define HERALD_APP_ENDPOINT_H

#include <stdbool.h>

#include "herald/err.h"
#include "herald/listen.h"
#include "tally.h"
#include "vitals.h"

#define ENDPOINT_CONNECTIONS 16 /* a few scrapers and probes */
#define ENDPOINT_DEADLINE_MS 5000
#define ENDPOINT_CONNECTION_BYTES 8192 /* of request line and headers; more is refused */

struct endpoint;

/* `where` is the option's text. A unix socket is made for its owner and group, in place of one that nobody
 * listens at any more. Borrows board and tally until endpoint_stop. ERR_CONFIG: the place can't be had. Loop
 * thread; does not block. */
bool endpoint_start(const char *where, struct board *board, const struct tally *tally, struct endpoint **ret,
                    struct err *err) MUST_CHECK;
/* Ends the thread, closes every connection and removes the socket's file. Waits for the thread, which does no
 * I/O that blocks. NULL is fine. */
void endpoint_stop(struct endpoint *endpoint);

#endif
