/* err.h - what went wrong, and what the caller may do about it.
 *
 * A function that can fail returns bool, is marked MUST_CHECK and takes a caller-owned struct err last. On
 * false the outputs are untouched and *err is filled; on true *err is untouched. No function both logs and
 * returns an error. Any thread; nothing here blocks or allocates.
 */
#ifndef HERALD_ERR_H
#define HERALD_ERR_H

#include <stdbool.h>

#define MUST_CHECK __attribute__((warn_unused_result))

enum err_kind {
    ERR_NONE,
    ERR_INPUT,     /* the event or the user's data is wrong: refuse it, go on with the next */
    ERR_TRANSIENT, /* the world is not ready: try again later */
    ERR_PERMANENT, /* this delivery will never work: give it up */
    ERR_UNKNOWN,   /* it may have happened */
    ERR_CONFIG,    /* an operator has to change something */
    ERR_NOMEM,
};

struct err {
    enum err_kind kind;
    char text[480]; /* one line, no newline; cut with an ellipsis if longer */
};

/* Fills *err and returns false, so that a failing path reads `return err_set(err, ...)`. */
bool err_set(struct err *err, enum err_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "<formatted>: " in front of the text, keeping the kind; returns false. The line reads from the outside
 * in. */
bool err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* An analyzer sees one file at a time and does not know that these return false; err.c defines them in
 * parentheses. */
#ifdef __clang_analyzer__
#define err_set(...) ((err_set)(__VA_ARGS__), false)
#define err_wrap(...) ((err_wrap)(__VA_ARGS__), false)
#endif

#endif
