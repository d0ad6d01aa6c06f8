/* log_sink.h - where finished lines leave the process. */
#ifndef HERALD_BASE_LOG_SINK_H
#define HERALD_BASE_LOG_SINK_H

#include <stdbool.h>
#include <stddef.h>

#include "herald/log.h"

/* The form AUTO stands for on this descriptor: journal if JOURNAL_STREAM names it, text if it is a terminal,
 * else JSON; and JSON for a journal when there is no function to hand entries to. Reads the environment. */
enum log_format log_sink_format(const struct log_options *options);

/* Writes the bytes of whole lines. Waits at most `wait_ms` (-1: for ever) each time the descriptor takes no
 * more, and no longer than until `stop_fd` (-1: none) can be read. False when the descriptor did not take
 * them all. A reader that has gone raises SIGPIPE in the calling thread unless the descriptor is a socket;
 * the caller has it blocked. */
bool log_sink_write(int fd, const char *bytes, size_t len, int stop_fd, int wait_ms) MUST_CHECK;

/* Likewise, without the writer thread: waits a second at most, and takes back the signal of a reader that has
 * gone, which is this thread's, whatever the process does about SIGPIPE. */
bool log_sink_write_direct(int fd, const char *line, size_t len) MUST_CHECK;

/* Hands one entry (log_format's journal form) to the journal. May block, if the journal does. */
bool log_sink_journal(log_journal_fn *journal, char *entry, size_t len) MUST_CHECK;

#endif
