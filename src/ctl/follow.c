/* follow.c - see follow.h. */
#include "follow.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 200 /* a person sees no difference, and five looks a second cost nothing */

static volatile sig_atomic_t is_interrupted;

static void on_signal(int number)
{
    (void)number;
    is_interrupted = 1;
}

/* The line that is being put together, and what was there before the signals were ours. */
struct reading {
    struct follow *follow;
    char line[FOLLOW_LINE_BYTES];
    size_t len;
    bool is_overlong;
    bool is_enough;
    sigset_t old_mask;
};

/* Signals arrive while we wait and at no other time, so none falls between the look and the wait. */
static void begin(struct reading *reading, struct follow *follow)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t ours;
    reading->follow = follow;
    reading->len = 0;
    reading->is_overlong = reading->is_enough = false;
    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    sigprocmask(SIG_BLOCK, &ours, &reading->old_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static bool is_over(const struct reading *reading)
{
    return reading->is_enough || is_interrupted != 0;
}

static void end_line(struct reading *reading)
{
    if (reading->is_overlong)
        reading->follow->overlong++;
    else if (reading->len > 0 && !reading->follow->on_line(reading->follow->arg, reading->line, reading->len))
        reading->is_enough = true;
    reading->len = 0;
    reading->is_overlong = false;
}

static void take(struct reading *reading, const char *bytes, size_t len)
{
    const char *end = bytes + len;
    while (bytes < end && !reading->is_enough) {
        const char *stop = memchr(bytes, '\n', (size_t)(end - bytes));
        size_t piece = (size_t)((stop != NULL ? stop : end) - bytes);
        if (piece > sizeof reading->line - reading->len) {
            reading->is_overlong = true;
            reading->len = 0;
        } else if (!reading->is_overlong) {
            memcpy(reading->line + reading->len, bytes, piece);
            reading->len += piece;
        }
        if (stop != NULL)
            end_line(reading);
        bytes += piece + (stop != NULL);
    }
}

/* Until fd (-1: none) can be read, time is over (negative: never), a signal comes, or nobody reads us. */
static void wait_for_more(struct reading *reading, int fd, int timeout_ms)
{
    struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = STDOUT_FILENO}};
    struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
    fflush(stdout);
    if (ppoll(fds, 2, timeout_ms >= 0 ? &timeout : NULL, &reading->old_mask) > 0 &&
        (fds[1].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0)
        reading->is_enough = true;
}

/* What can be read at present. False: *err says why it can't. *ret_is_end: there is no more. */
static bool read_some(struct reading *reading, int fd, bool *ret_is_end, struct err *err)
{
    char block[16384];
    ssize_t got = read(fd, block, sizeof block);
    *ret_is_end = got == 0;
    if (got < 0)
        return errno == EINTR || err_set(err, ERR_INPUT, "%s", strerror(errno));
    take(reading, block, (size_t)got);
    return true;
}

static bool read_to_the_end(struct reading *reading, int fd, struct err *err)
{
    bool is_end = false;
    while (!is_end && !is_over(reading)) {
        wait_for_more(reading, fd, -1);
        if (!is_over(reading) && !read_some(reading, fd, &is_end, err))
            return false;
    }
    if (is_end)
        end_line(reading);
    return true;
}

/* ── a file ── */

/* Where the last `lines` lines begin. */
static off_t find_start(int fd, off_t size, int64_t lines)
{
    char block[16384];
    off_t at = size;
    int64_t seen = 0;
    while (at > 0) {
        size_t len = at < (off_t)sizeof block ? (size_t)at : sizeof block;
        off_t begin = at - (off_t)len;
        if (pread(fd, block, len, begin) != (ssize_t)len)
            return size;
        for (size_t i = len; i-- > 0;) {
            /* The end of the last line ends no other. */
            if (block[i] == '\n' && begin + (off_t)i + 1 < size && ++seen >= lines)
                return begin + (off_t)i + 1;
        }
        at = begin;
    }
    return 0;
}

/* What bears the name has changed: *fd is the new one, from its beginning. A name that nobody bears at
 * present will be given again. */
static void change_over(struct reading *reading, const char *path, int *fd)
{
    struct stat named, opened;
    if (stat(path, &named) != 0 || fstat(*fd, &opened) != 0 ||
        (named.st_ino == opened.st_ino && named.st_dev == opened.st_dev))
        return;
    int next = open(path, O_RDONLY | O_CLOEXEC);
    bool is_end = false;
    struct err ignored;
    if (next < 0)
        return;
    /* Its writer may have gone on with it until a moment ago. */
    while (!is_end && !is_over(reading) && read_some(reading, *fd, &is_end, &ignored))
        ;
    end_line(reading);
    close(*fd);
    *fd = next;
}

static bool follow_regular(struct reading *reading, const char *path, int *fd, off_t size, struct err *err)
{
    struct stat st;
    int64_t lines = reading->follow->lines;
    if (lseek(*fd, lines > 0 ? find_start(*fd, size, lines) : size, SEEK_SET) < 0)
        return err_set(err, ERR_INPUT, "%s", strerror(errno));
    while (!is_over(reading)) {
        bool is_end;
        if (!read_some(reading, *fd, &is_end, err))
            return false;
        if (!is_end || is_over(reading))
            continue;
        wait_for_more(reading, -1, LOOK_MS);
        off_t at = lseek(*fd, 0, SEEK_CUR);
        if (fstat(*fd, &st) != 0)
            return err_set(err, ERR_INPUT, "%s", strerror(errno));
        if (st.st_size < at) {
            end_line(reading);
            if (lseek(*fd, 0, SEEK_SET) < 0)
                return err_set(err, ERR_INPUT, "%s", strerror(errno));
        } else if (st.st_size == at) {
            change_over(reading, path, fd);
        }
    }
    return true;
}

bool follow_file(struct follow *follow, const char *path, struct err *err)
{
    static struct reading reading; /* too large for a stack */
    struct stat st;
    const bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        err_set(err, ERR_INPUT, "%s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    begin(&reading, follow);
    bool is_done = !is_stdin && S_ISREG(st.st_mode) ? follow_regular(&reading, path, &fd, st.st_size, err)
                                                    : read_to_the_end(&reading, fd, err);
    if (!is_stdin)
        close(fd);
    return is_done || err_wrap(err, "%s", path);
}

/* ── a program ── */

static int spawn(char *const *argv, int stdout_fd, const sigset_t *mask, pid_t *ret)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (error == 0) {
        posix_spawnattr_setsigmask(&attributes, mask);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
        error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        if (error == 0)
            error = posix_spawn_file_actions_adddup2(&actions, stdout_fd, STDOUT_FILENO);
        if (error == 0)
            error = posix_spawnp(ret, argv[0], &actions, &attributes, argv, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

bool follow_program(struct follow *follow, char *const *argv, struct err *err)
{
    static struct reading reading; /* too large for a stack */
    int ends[2], status = 0;
    pid_t pid = -1;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set(err, ERR_PERMANENT, "a pipe: %s", strerror(errno));
    begin(&reading, follow);
    int error = spawn(argv, ends[1], &reading.old_mask, &pid);
    close(ends[1]);
    if (error != 0) {
        close(ends[0]);
        return err_set(err, ERR_PERMANENT, "%s: %s", argv[0], strerror(error));
    }
    bool is_done = read_to_the_end(&reading, ends[0], err);
    bool is_ours = is_over(&reading) || !is_done; /* the end is our wish */
    close(ends[0]);
    if (is_ours)
        kill(pid, SIGTERM);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!is_done)
        return err_wrap(err, "%s", argv[0]);
    return is_ours || status == 0 ||
           err_set(err, ERR_PERMANENT, "%s ended with status %d", argv[0],
                   WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}
