/* oversize.h - a reply that can't be seen whole: received before it is safe, its end thrown away where there
 * is no room. Knows the socket's queue and the protocol, and no loop. Loop thread only; nothing blocks. */
#ifndef HERALD_STORE_OVERSIZE_H
#define HERALD_STORE_OVERSIZE_H

#include "herald/err.h"
#include "peek.h"
#include "resp.h"

/* Receives the reply at the head as far as it has come. `head`: what is known of it by peeking; NULL in every
 * call for it but the first. OK: it is whole, *ret says what it is, and peek->bytes holds what was kept.
 * EMPTY: more is to come, or is there and left for the loop's next turn. GONE: the connection is over, or
 * goes on with what is no reply; *err says. */
enum peek_status oversize_receive(struct peek *peek, const struct resp_reply *head, struct resp_reply *ret,
                                  struct err *err) MUST_CHECK;

#endif
