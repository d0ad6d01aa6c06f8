/* log_sink.c - where finished lines leave the process; see log_sink.h. The writer thread, or whoever logs
 * before it runs. */
#include "log_sink.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* without a thread: a slow terminal is worth a second, a stopped one is not */
#define DIRECT_WAIT_MS 1000
/* the head's, one of each key, and the mark of a cut line */
#define MAX_FIELDS (4 + LOG_KEY_COUNT_OF_KEYS + 1)

/* systemd sets JOURNAL_STREAM to DEVICE:INODE of the stream it made. A child that redirects stderr inherits
 * the variable all the same, so only the comparison tells. */
static bool is_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    char expected[64];

    if (stream == NULL || fstat(fd, &st) != 0)
        return false;
    snprintf(expected, sizeof(expected), "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    return strcmp(stream, expected) == 0;
}

enum log_format log_sink_format(const struct log_options *options)
{
    enum log_format format = options->format;

    if (format == LOG_FORMAT_AUTO) {
        if (is_journal(options->fd))
            format = LOG_FORMAT_JOURNAL;
        else
            format = isatty(options->fd) ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
    }
    if (format == LOG_FORMAT_JOURNAL && options->journal == NULL)
        format = LOG_FORMAT_JSON;
    return format;
}

/* stderr is shared with whoever started us, so it is not made non-blocking. A socket is asked not to block
 * for this call, and a pipe that polls writable takes PIPE_BUF bytes at once. A terminal stopped in the
 * middle of a line, and a pipe that somebody else filled since the poll, do block; log_stop leaves the thread
 * behind then. */
static ssize_t write_some(int fd, const char *bytes, size_t len)
{
    ssize_t wrote = send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);

    return wrote < 0 && errno == ENOTSOCK ? write(fd, bytes, len) : wrote;
}

bool log_sink_write(int fd, const char *bytes, size_t len, int stop_fd, int wait_ms)
{
    while (len > 0) {
        struct pollfd ready[] = {{.fd = fd, .events = POLLOUT}, {.fd = stop_fd, .events = POLLIN}};
        int count = poll(ready, 2, wait_ms);

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0 || ready[0].revents == 0) /* what can still be written is, even when stopping */
            return false;

        /* This also says what POLLERR, POLLHUP and POLLNVAL mean. */
        ssize_t wrote = write_some(fd, bytes, len);
        if (wrote < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (wrote <= 0)
            return false;
        bytes += wrote;
        len -= (size_t)wrote;
    }
    return true;
}

bool log_sink_write_direct(int fd, const char *line, size_t len)
{
    const struct timespec no_wait = {0};
    sigset_t pipe_only;
    sigset_t pending;
    sigset_t previous;

    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &previous);
    bool written = log_sink_write(fd, line, len, -1, DIRECT_WAIT_MS);
    if (!written && sigismember(&pending, SIGPIPE) == 0)
        while (sigtimedwait(&pipe_only, NULL, &no_wait) < 0 && errno == EINTR)
            continue;
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    return written;
}

bool log_sink_journal(log_journal_fn *journal, char *entry, size_t len)
{
    struct iovec fields[MAX_FIELDS];
    int count = 0;

    for (size_t at = 0; at < len && count < MAX_FIELDS; count++) {
        fields[count] = (struct iovec){.iov_base = entry + at, .iov_len = strlen(entry + at)};
        at += fields[count].iov_len + 1;
    }
    return journal(fields, count) >= 0;
}
