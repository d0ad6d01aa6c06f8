/* log.c - the ring and the writer thread: who waits (nobody), what is lost (what is counted), what ends. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "herald/clock.h"
#include "log_capture.h"

#define MANY 20000 /* lines of more than 100 bytes: more than the ring and a pipe hold together */
#define SHORT_STOP_MS 50
#define PATIENCE_MS 10000 /* for what happens at once on an idle machine */

static void log_many(int count)
{
    for (int i = 0; i < count; i++)
        LOG(LOG_LEVEL_INFO, "delivery.sent", "a line with some words in it, to take its room",
            log_int(LOG_KEY_COUNT, i));
}

static int count_lines(const char *text, const char *with)
{
    int count = 0;

    for (const char *at = text; (at = strstr(at, with)) != NULL; at++)
        count++;
    return count;
}

static void log_one(const char *event)
{
    log_line(LOG_LEVEL_INFO, event, "m", NULL, 0);
}

Test(log, lines_come_out_in_order)
{
    start_capture(LOG_FORMAT_JSON);
    log_many(300);
    const char *at = stop_capture();
    for (int i = 0; i < 300; i++) {
        char expected[32];

        snprintf(expected, sizeof(expected), "\"count\":%d}\n", i);
        at = strstr(at, expected);
        cr_assert_not_null(at, "line %d", i);
    }
    cr_assert_eq(log_dropped(), 0);
}

Test(log, a_line_is_written_without_waiting_for_the_next_or_the_end)
{
    char bytes[512];

    start_capture(LOG_FORMAT_JSON);
    log_one("first");
    cr_assert_gt(read(capture_pipe[0], bytes, sizeof(bytes)), 0);
    log_one("second");
    cr_assert_gt(read(capture_pipe[0], bytes, sizeof(bytes)), 0);
    (void)stop_capture();
}

Test(log, less_urgent_lines_are_not_written)
{
    cr_assert_eq(pipe(capture_pipe), 0);
    start_on(capture_pipe[1], LOG_FORMAT_JSON, LOG_LEVEL_NOTICE);
    log_line(LOG_LEVEL_INFO, "first", "m", NULL, 0);
    log_line(LOG_LEVEL_NOTICE, "second", "m", NULL, 0);
    log_set_level(LOG_LEVEL_DEBUG);
    log_line(LOG_LEVEL_DEBUG, "third", "m", NULL, 0);
    log_set_level(LOG_LEVEL_ERROR);
    log_line(LOG_LEVEL_WARNING, "fourth", "m", NULL, 0);
    const char *lines = stop_capture();
    cr_assert_eq(count_lines(lines, "\n"), 2);
    cr_assert_not_null(strstr(lines, "second"));
    cr_assert_not_null(strstr(lines, "third"));
    cr_assert_eq(log_dropped(), 0);
}

Test(log, errno_is_left_as_it_was)
{
    start_capture(LOG_FORMAT_JSON);
    errno = ENOENT;
    log_one("while running");
    cr_assert_eq(errno, ENOENT);
    (void)stop_capture();
    errno = ENOENT;
    log_one("directly, and the descriptor is closed");
    cr_assert_eq(errno, ENOENT);
}

/* Reads the first line of /proc/self/task/TID/FILE that begins with `name`; true if there is one. */
static bool read_task(const char *task, const char *file, const char *name, char *ret, int ret_bytes)
{
    char path[300];

    snprintf(path, sizeof(path), "/proc/self/task/%s/%s", task, file);
    FILE *stream = fopen(path, "r");
    bool is_found = false;
    while (stream != NULL && !is_found && fgets(ret, ret_bytes, stream) != NULL)
        is_found = strncmp(ret, name, strlen(name)) == 0;
    if (stream != NULL)
        fclose(stream);
    return is_found;
}

/* Whether the writer thread is there, and which signals it blocks. */
static bool find_thread(unsigned long long *ret_blocked)
{
    DIR *tasks = opendir("/proc/self/task");
    bool is_found = false;
    char line[256];

    cr_assert_not_null(tasks);
    for (struct dirent *task; !is_found && (task = readdir(tasks)) != NULL;) {
        is_found = read_task(task->d_name, "comm", "herald-log\n", line, sizeof(line));
        if (is_found && read_task(task->d_name, "status", "SigBlk:", line, sizeof(line)))
            *ret_blocked = strtoull(line + strlen("SigBlk:"), NULL, 16);
    }
    closedir(tasks);
    return is_found;
}

/* A joined thread is listed until the kernel has put it away. */
static bool is_thread_gone(void)
{
    int64_t deadline_ms = clock_mono_ms() + PATIENCE_MS;
    unsigned long long blocked;

    while (find_thread(&blocked))
        if (clock_mono_ms() > deadline_ms)
            return false;
    return true;
}

/* Nobody reads the pipe: a caller that waited would wait for ever, and the test's time would run out. */
Test(log, a_caller_never_waits_for_a_reader_that_has_stopped, .timeout = 60)
{
    start_capture(LOG_FORMAT_JSON);
    log_many(MANY);
    cr_assert_gt(log_dropped(), 0);

    int64_t before_ms = clock_mono_ms();
    log_stop(SHORT_STOP_MS);
    cr_assert_geq(clock_mono_ms() - before_ms, SHORT_STOP_MS);
    cr_assert_lt(clock_mono_ms() - before_ms, PATIENCE_MS);

    uint64_t dropped = log_dropped();
    before_ms = clock_mono_ms();
    log_many(100);
    cr_assert_lt(clock_mono_ms() - before_ms, 1000, "nobody waits after a stop that ran out of time");
    cr_assert_eq(log_dropped(), dropped + 100);

    const char *lines = read_captured();
    cr_assert_eq((uint64_t)count_lines(lines, "delivery.sent") + log_dropped(), MANY + 100);
    cr_assert_eq(lines[strlen(lines) - 1], '\n', "the last line is whole");
}

Test(log, a_caller_never_waits_for_a_socket_that_is_not_read, .timeout = 60)
{
    const int least = 1; /* the kernel rounds it up to what is less than a batch of lines */

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, capture_pipe), 0);
    cr_assert_eq(setsockopt(capture_pipe[1], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)), 0);
    start_on(capture_pipe[1], LOG_FORMAT_JSON, LOG_LEVEL_DEBUG);
    log_many(MANY);
    cr_assert_gt(log_dropped(), 0);
    log_stop(SHORT_STOP_MS);
    cr_assert(is_thread_gone(), "not even the thread is stuck");
}

static int stuck_journal(const struct iovec *iov, int count)
{
    char byte;

    (void)iov;
    (void)count;
    return (int)read(capture_pipe[0], &byte, 1); /* as a send to a stopped journald: no return */
}

Test(log, a_caller_never_waits_for_a_stopped_journal, .timeout = 60)
{
    const struct log_options options = {
        .format = LOG_FORMAT_JOURNAL, .journal = stuck_journal, .level = LOG_LEVEL_DEBUG};
    struct err err;

    cr_assert_eq(pipe(capture_pipe), 0);
    cr_assert(log_start(&options, &err), "%s", err.text);
    log_many(MANY);
    cr_assert_gt(log_dropped(), 0);
    log_stop(SHORT_STOP_MS);
    cr_assert_eq(log_dropped(), MANY);
    log_one("after");
}

Test(log, dropped_lines_are_counted_and_the_count_is_written, .timeout = 60)
{
    start_capture(LOG_FORMAT_JSON);
    log_many(MANY);
    uint64_t dropped = log_dropped();
    cr_assert_gt(dropped, 0);

    /* Reading has to begin for the ring to empty, and goes on while log_stop waits for that. */
    pid_t reader = fork();
    cr_assert_geq(reader, 0);
    if (reader == 0) {
        close(capture_pipe[1]);
        const char *lines = read_captured();
        uint64_t reported = 0; /* in one line or two, by when the writer saw the first loss */
        for (const char *at = lines; (at = strstr(at, "\"log.dropped\"")) != NULL; at++)
            reported += strtoull(strstr(at, "\"count\":") + strlen("\"count\":"), NULL, 10);
        bool is_right = reported == dropped && count_lines(lines, "\"log.dropped\"") <= 2 &&
                        (uint64_t)count_lines(lines, "delivery.sent") + dropped == MANY;
        _exit(is_right ? 0 : 1);
    }
    close(capture_pipe[0]);
    log_stop(PATIENCE_MS);
    cr_assert_eq(log_dropped(), dropped);
    close(capture_pipe[1]);
    int status;
    cr_assert_eq(waitpid(reader, &status, 0), reader);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

Test(log, a_reader_that_has_gone_kills_nobody)
{
    signal(SIGPIPE, SIG_DFL);
    start_capture(LOG_FORMAT_JSON);
    close(capture_pipe[0]);
    log_many(100);
    log_stop(PATIENCE_MS);
    cr_assert_eq(log_dropped(), 100);
    log_many(10); /* directly */
    cr_assert_eq(log_dropped(), 110);

    sigset_t pending;
    sigpending(&pending);
    cr_assert_eq(sigismember(&pending, SIGPIPE), 0);
}

/* Somebody else's SIGPIPE, blocked and waiting, is not ours to take. */
Test(log, a_pending_sigpipe_of_the_caller_stays)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    start_capture(LOG_FORMAT_JSON);
    log_stop(PATIENCE_MS);
    close(capture_pipe[0]);
    raise(SIGPIPE);
    log_one("lost");
    sigpending(&set);
    cr_assert_eq(sigismember(&set, SIGPIPE), 1);
}

Test(log, a_closed_descriptor_costs_the_lines_and_nothing_else)
{
    start_capture(LOG_FORMAT_JSON);
    close(capture_pipe[1]);
    log_many(100);
    log_stop(PATIENCE_MS);
    cr_assert_eq(log_dropped(), 100);
    log_many(10);
    cr_assert_eq(log_dropped(), 110);
}

Test(log, what_was_lost_to_the_descriptor_is_reported_when_it_is_back, .timeout = 60)
{
    int spare[2];

    start_capture(LOG_FORMAT_JSON);
    cr_assert_eq(pipe(spare), 0);
    close(spare[0]);
    int writing_end = dup(capture_pipe[1]);
    dup2(spare[1], capture_pipe[1]); /* its reader has gone */
    log_many(5);
    int64_t deadline_ms = clock_mono_ms() + PATIENCE_MS;
    while (log_dropped() < 5 && clock_mono_ms() < deadline_ms)
        sched_yield();
    dup2(writing_end, capture_pipe[1]);
    close(writing_end);
    log_one("back");
    const char *lines = stop_capture();
    cr_assert_eq(count_lines(lines, "\n"), 2);
    cr_assert_not_null(strstr(lines, "\"event\":\"back\""));
    cr_assert_not_null(strstr(lines, "\"event\":\"log.dropped\""));
    cr_assert_not_null(strstr(lines, "\"count\":5}"));
}

Test(log, before_start_lines_go_to_stderr_at_once)
{
    cr_assert_eq(pipe(capture_pipe), 0);
    int saved = dup(2);
    dup2(capture_pipe[1], 2);
    log_line(LOG_LEVEL_INFO, "early", "m", NULL, 0);
    log_line(LOG_LEVEL_DEBUG, "hidden", "m", NULL, 0);
    dup2(saved, 2);
    const char *lines = read_captured();
    cr_assert_eq(lines[0], '{');
    cr_assert_eq(count_lines(lines, "\n"), 1);
    cr_assert_not_null(strstr(lines, "\"event\":\"early\""));
}

Test(log, after_stop_lines_are_written_directly)
{
    start_capture(LOG_FORMAT_TEXT);
    log_one("running");
    log_stop(PATIENCE_MS);
    log_one("stopped");
    log_stop(PATIENCE_MS); /* and stopping again is nothing */
    const char *lines = read_captured();
    cr_assert_not_null(strstr(lines, "running"));
    cr_assert_not_null(strstr(lines, " info stopped  m\n"), "%s", lines);
}

Test(log, after_stop_a_stopped_reader_costs_a_second_and_the_line, .timeout = 60)
{
    char fill[4096];

    start_capture(LOG_FORMAT_TEXT);
    log_stop(PATIENCE_MS);
    memset(fill, 'x', sizeof(fill));
    int flags = fcntl(capture_pipe[1], F_GETFL);
    fcntl(capture_pipe[1], F_SETFL, flags | O_NONBLOCK);
    while (write(capture_pipe[1], fill, sizeof(fill)) > 0)
        continue;
    fcntl(capture_pipe[1], F_SETFL, flags);
    log_one("lost");
    cr_assert_eq(log_dropped(), 1);
}

static char first_byte_on(int fd, enum log_format format, log_journal_fn *journal)
{
    const struct log_options options = {
        .level = LOG_LEVEL_INFO, .format = format, .journal = journal, .fd = fd};
    struct err err;

    journal_entry[0] = '\0';
    cr_assert(log_start(&options, &err), "%s", err.text);
    log_one("e");
    log_stop(PATIENCE_MS);
    return journal_entry[0];
}

static void name_journal_stream(int fd, unsigned long long inode_off)
{
    struct stat st;
    char text[64];

    fstat(fd, &st);
    snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino + inode_off);
    setenv("JOURNAL_STREAM", text, 1);
}

Test(log, auto_is_the_journal_only_when_the_descriptor_is_its_stream)
{
    cr_assert_eq(pipe(capture_pipe), 0);
    name_journal_stream(capture_pipe[1], 0);
    cr_assert_eq(first_byte_on(capture_pipe[1], LOG_FORMAT_AUTO, to_journal), 'P');
    name_journal_stream(capture_pipe[1], 1); /* of a parent; this descriptor was redirected */
    cr_assert_eq(first_byte_on(capture_pipe[1], LOG_FORMAT_AUTO, to_journal), '\0');
    unsetenv("JOURNAL_STREAM");
    cr_assert_eq(first_byte_on(capture_pipe[1], LOG_FORMAT_AUTO, to_journal), '\0');
    cr_assert_eq(count_lines(read_captured(), "{\"ts\":"), 2);
}

Test(log, without_a_journal_function_the_journal_gets_json)
{
    cr_assert_eq(pipe(capture_pipe), 0);
    name_journal_stream(capture_pipe[1], 0);
    (void)first_byte_on(capture_pipe[1], LOG_FORMAT_AUTO, NULL);
    (void)first_byte_on(capture_pipe[1], LOG_FORMAT_JOURNAL, NULL);
    cr_assert_eq(count_lines(read_captured(), "{\"ts\":"), 2);
}

Test(log, auto_is_text_on_a_terminal)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    char bytes[512] = "";

    cr_assert_geq(master, 0);
    cr_assert_eq(grantpt(master), 0);
    cr_assert_eq(unlockpt(master), 0);
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
    cr_assert_geq(terminal, 0);
    (void)first_byte_on(terminal, LOG_FORMAT_AUTO, to_journal);
    cr_assert_gt(read(master, bytes, sizeof(bytes) - 1), 0);
    cr_assert_not_null(strstr(bytes, " info e  m"), "%s", bytes);
    close(terminal);
    close(master);
}

static int refusing_journal(const struct iovec *iov, int count)
{
    (void)iov;
    (void)count;
    return -ENOBUFS;
}

Test(log, an_entry_the_journal_refuses_is_counted)
{
    const struct log_options options = {
        .format = LOG_FORMAT_JOURNAL, .journal = refusing_journal, .level = LOG_LEVEL_INFO};
    struct err err;

    cr_assert(log_start(&options, &err), "%s", err.text);
    log_one("e");
    log_stop(PATIENCE_MS);
    cr_assert_eq(log_dropped(), 1);
}

Test(log, the_thread_has_its_name_and_takes_no_signals)
{
    sigset_t before;
    sigset_t after;

    pthread_sigmask(SIG_SETMASK, NULL, &before);
    start_capture(LOG_FORMAT_JSON);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int signal = 1; signal < 32; signal++)
        cr_assert_eq(sigismember(&before, signal), sigismember(&after, signal), "the caller keeps its mask");

    unsigned long long blocked = 0;
    cr_assert(find_thread(&blocked));
    for (int signal = 1; signal < 32; signal++)
        if (signal != SIGKILL && signal != SIGSTOP)
            cr_assert(blocked >> (signal - 1) & 1, "signal %d", signal);
    (void)stop_capture();
    cr_assert(is_thread_gone());
}

Test(log, stop_writes_what_is_waiting)
{
    start_capture(LOG_FORMAT_JSON);
    log_many(400); /* fits the pipe */
    cr_assert_eq(count_lines(stop_capture(), "delivery.sent"), 400);
}

Test(log, it_can_be_started_again_and_counts_anew)
{
    start_capture(LOG_FORMAT_JSON);
    log_many(MANY);
    log_stop(0);
    cr_assert_gt(log_dropped(), 0);
    start_capture(LOG_FORMAT_JSON);
    log_one("again");
    const char *lines = stop_capture();
    cr_assert_eq(log_dropped(), 0);
    cr_assert_eq(count_lines(lines, "\n"), 1);
    cr_assert_not_null(strstr(lines, "again"));
}
