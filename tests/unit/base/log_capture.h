/* log_capture.h - what the log wrote: a pipe read to its end, or the entries handed to a journal. One per
 * test, since each Criterion test is a process of its own. */
#ifndef HERALD_TEST_LOG_CAPTURE_H
#define HERALD_TEST_LOG_CAPTURE_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "herald/log.h"

static int capture_pipe[2];
static char captured[4 * 1024 * 1024]; /* what a full ring and a full pipe can hold, twice */
static char journal_entry[8192];       /* the last entry's fields, a newline behind each */

__attribute__((unused)) static int to_journal(const struct iovec *iov, int count)
{
    size_t len = 0;

    for (int i = 0; i < count; i++) {
        memcpy(journal_entry + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
        journal_entry[len++] = '\n';
    }
    journal_entry[len] = '\0';
    return 0;
}

__attribute__((unused)) static void start_on(int fd, enum log_format format, enum log_level level)
{
    const struct log_options options = {.level = level, .format = format, .journal = to_journal, .fd = fd};
    struct err err;

    cr_assert(log_start(&options, &err), "%s", err.text);
}

__attribute__((unused)) static void start_capture(enum log_format format)
{
    cr_assert_eq(pipe(capture_pipe), 0);
    start_on(capture_pipe[1], format, LOG_LEVEL_DEBUG);
}

/* Closes our writing end and reads all there is. */
__attribute__((unused)) static const char *read_captured(void)
{
    size_t len = 0;
    ssize_t got;

    close(capture_pipe[1]);
    while ((got = read(capture_pipe[0], captured + len, sizeof(captured) - len - 1)) > 0)
        len += (size_t)got;
    captured[len] = '\0';
    return captured;
}

__attribute__((unused)) static const char *stop_capture(void)
{
    log_stop(10000);
    return read_captured();
}

#endif
