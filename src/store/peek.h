/* peek.h - what waits in the subscriber's socket: seen by peeking, taken out only when told to.
 *
 * The kernel's receive queue is the journal of what Redis holds no copy of, so looking and taking are two
 * steps here. Knows sockets, and nothing of replies, loops or batches. Loop thread only; nothing blocks.
 */
#ifndef HERALD_STORE_PEEK_H
#define HERALD_STORE_PEEK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/err.h"

struct peek {
    int fd; /* borrowed from the link while it is connected */
    bool is_unix;
    char *bytes; /* owned; `cap` of them */
    size_t cap;
    size_t start, end; /* bytes[start, end) was seen and still waits in the socket */
    size_t taken;      /* of the reply at the head: bytes that have left the socket */
    size_t kept;       /* so many of these are in bytes[0, kept) */
    size_t lowat;      /* SO_RCVLOWAT as it stands */
    uint64_t consumed; /* bytes that have left the socket since peek_open */
};

enum peek_status {
    PEEK_OK,
    PEEK_EMPTY, /* nothing there at the moment */
    PEEK_GONE,  /* the connection is over and nothing waits in it; *err says why */
};

bool peek_init(struct peek *peek, size_t cap, struct err *err) MUST_CHECK;
void peek_done(struct peek *peek);

/* A new connection: nothing seen, nothing taken. */
void peek_open(struct peek *peek, int fd, bool is_unix);

/* Looks again from the head of the queue: bytes[0, end) then holds as much of it as is visible and fits. */
enum peek_status peek_peek(struct peek *peek, struct err *err);

/* Takes the first `len` bytes of bytes[start, end) out of the socket; start moves behind them. The bytes in
 * memory stay as they are. */
enum peek_status peek_consume(struct peek *peek, size_t len, struct err *err);

/* Lets poll keep quiet until `len` bytes wait, and the receive window grow to hold them; 1 is the usual. A
 * unix socket knows no such mark: false, and poll will report every byte. */
bool peek_await(struct peek *peek, size_t len);

/* Takes the reply at the head out of the socket before it is safe elsewhere, because it can't be seen whole:
 * its first `keep` bytes into bytes[0, keep), the others up to `total` thrown away; `taken` and `kept` count.
 * OK: all `total` are taken, or so much that the loop should turn (then more is there). keep <= total and
 * keep <= cap, and where something is thrown away keep < cap. May be called again with more, until
 * peek_end_taking forgets the reply. */
enum peek_status peek_take(struct peek *peek, size_t keep, size_t total, struct err *err);

void peek_end_taking(struct peek *peek);

/* Bytes that wait in the socket. */
size_t peek_waiting(const struct peek *peek);

#endif
