/* endpoint.h - /metrics, /healthz and /readyz over HTTP, on 127.0.0.1 and on a thread of its own.
 *
 * At most ENDPOINT_CONNECTIONS at a time; one that is silent for ENDPOINT_IDLE_S is closed. GET and HEAD
 * only. */
#ifndef HERALD_APP_ENDPOINT_H
#define HERALD_APP_ENDPOINT_H

#include <stdbool.h>

#include "herald/err.h"
#include "vitals.h"

#define ENDPOINT_CONNECTIONS 16 /* a few scrapers and probes */
#define ENDPOINT_IDLE_S 5
#define ENDPOINT_CONNECTION_BYTES 8192 /* of request line and headers; more is refused */

struct endpoint;

/* Borrows the vitals until endpoint_stop. ERR_CONFIG: the port can't be had. Loop thread; does not block. */
bool endpoint_start(unsigned port, const struct vitals *vitals, struct endpoint **ret,
                    struct err *err) MUST_CHECK;
/* Ends the thread and closes every connection; waits for an answer that is being written, which takes no I/O
 * that blocks. NULL is fine. */
void endpoint_stop(struct endpoint *endpoint);

#endif
