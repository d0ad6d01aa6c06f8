/* log.c - the ring of log lines and the thread that empties it; see log.h.
 *
 * Logging must never decide what the daemon does: a caller takes the mutex for one copy of a line and no
 * longer, the writer holds it for one copy out, and nothing is written, formatted or waited for under it. (So
 * the mutex lives here, as those of the lanes live in the queue.) The writer writes up to PIPE_BUF bytes of
 * whole lines at a time: several instances may share one pipe without mixing their lines, at a dozen lines a
 * call.
 */
#include "herald/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "herald/clock.h"
#include "log_format.h"
#include "log_report.h"
#include "log_ring.h"
#include "log_sample.h"
#include "log_sink.h"

#define STOP_GRACE_MS 1000   /* for a writer that only has to notice, on a machine that starves it */
#define LINGER_MS 3          /* the ring holds many times what comes in so long */
#define REPORT_EVERY_MS 1000 /* "log.dropped" counts for so long when the ring never empties */

static struct {
    /* Set by log_start, before other threads are there. */
    struct log_options options;
    enum log_format format;
    int stop_fd; /* owned, from log_start to log_stop: an eventfd that ends the writer's wait for the
                    descriptor */
    pthread_t thread;
    pthread_cond_t filled;   /* the writer waits for lines or the end */
    pthread_cond_t finished; /* log_stop waits for the writer */

    /* Under the mutex. */
    pthread_mutex_t mutex;
    struct log_ring ring; /* has its bytes from log_start to log_stop */
    size_t taken_lines;   /* lines in the writer's hands */
    struct log_sample sample;
    bool is_running;
    bool is_stopping;
    bool is_finished;
    bool is_deaf; /* log_stop ran out of time: what takes nothing is not waited for again */

    log_observer_fn *observer; /* set while no other thread logs */
    void *observer_arg;        /* borrowed */
    atomic_int level;
    atomic_uint rate;
    atomic_uint_fast64_t dropped;
    atomic_uint_fast64_t sampled;
} log_state = {
    .options = {.level = LOG_LEVEL_INFO, .format = LOG_FORMAT_AUTO, .fd = 2},
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .level = LOG_LEVEL_INFO,
};

/* Lines taken out of the ring, for one write. The writer thread's own. */
struct batch {
    char bytes[LOG_LINE_BYTES];
    size_t len;
    size_t lines;
};

static void count_dropped(size_t lines)
{
    atomic_fetch_add(&log_state.dropped, lines);
}

uint64_t log_dropped(void)
{
    return atomic_load(&log_state.dropped);
}

uint64_t log_sampled(void)
{
    return atomic_load(&log_state.sampled);
}

size_t log_ring_used(void)
{
    pthread_mutex_lock(&log_state.mutex);
    size_t used = log_state.ring.used;
    pthread_mutex_unlock(&log_state.mutex);
    return used;
}

void log_observe(log_observer_fn *observer, void *arg)
{
    log_state.observer = observer;
    log_state.observer_arg = arg;
}

bool log_is_worth_repeating(unsigned attempt)
{
    return (attempt & (attempt - 1)) == 0;
}

void log_set_level(enum log_level level)
{
    atomic_store(&log_state.level, (int)level);
}

void log_set_rate(unsigned rate)
{
    atomic_store(&log_state.rate, rate);
}

/* Under the mutex. Moves the oldest lines into the batch: as many as fit, but one entry at a time for a
 * journal. */
static void take(struct batch *batch)
{
    size_t len;

    while ((len = log_ring_take(&log_state.ring, batch->bytes + batch->len,
                                sizeof(batch->bytes) - batch->len)) > 0) {
        batch->len += len;
        batch->lines++;
        if (log_state.format == LOG_FORMAT_JOURNAL)
            return;
    }
}

static bool write_batch(struct batch *batch)
{
    if (log_state.format == LOG_FORMAT_JOURNAL)
        return log_sink_journal(log_state.options.journal, batch->bytes, batch->len);
    return log_sink_write(log_state.options.fd, batch->bytes, batch->len, log_state.stop_fd, -1);
}

/* Under the mutex, which is let go meanwhile. A line seldom comes alone: a moment's wait makes a dozen writes
 * one, and spares the callers the waking. */
static void linger(void)
{
    const struct timespec moment = {.tv_nsec = LINGER_MS * 1000000L};

    if (log_state.is_stopping)
        return;
    pthread_mutex_unlock(&log_state.mutex);
    nanosleep(&moment, NULL);
    pthread_mutex_lock(&log_state.mutex);
}

/* When a wait of so long is over, on the clock of our conditions, which is not that of clock.h. */
static struct timespec after(int64_t wait_ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += wait_ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    return until;
}

/* Under the mutex. For lines, for the end, or for the time to say what was left out. */
static void wait_for_work(void)
{
    if (log_state.sample.due_ms == 0) {
        pthread_cond_wait(&log_state.filled, &log_state.mutex);
    } else {
        int64_t wait_ms = log_state.sample.due_ms - clock_mono_ms();
        struct timespec until = after(wait_ms > 0 ? wait_ms : 0);

        pthread_cond_timedwait(&log_state.filled, &log_state.mutex, &until);
    }
    linger();
}

/* What the writer still has to say itself. */
struct report {
    uint64_t lost_before; /* of log_dropped: said already */
    int64_t lost_at_ms;   /* when */
    bool is_working;      /* the last write was taken: a report is worth writing */
};

/* Under the mutex. */
static bool is_dropped_due(const struct report *report)
{
    return report->is_working && log_dropped() > report->lost_before &&
           (log_state.ring.used == 0 || clock_mono_ms() - report->lost_at_ms >= REPORT_EVERY_MS);
}

/* Under the mutex. The end does not wait for it, and does not try it for ever. */
static bool is_sampled_due(const struct report *report)
{
    int64_t due_ms = log_state.sample.due_ms;

    return due_ms != 0 && (log_state.is_stopping ? report->is_working : clock_mono_ms() >= due_ms);
}

/* Under the mutex, which is let go meanwhile. */
static void say_dropped(struct report *report, struct batch *batch)
{
    uint64_t lost = log_dropped() - report->lost_before;

    pthread_mutex_unlock(&log_state.mutex);
    batch->len = log_report_dropped(log_state.format, lost, batch->bytes);
    report->is_working = write_batch(batch);
    if (report->is_working) {
        report->lost_before += lost;
        report->lost_at_ms = clock_mono_ms();
    }
    pthread_mutex_lock(&log_state.mutex);
}

/* Likewise; one event's. */
static void say_sampled(struct report *report, struct batch *batch)
{
    const char *event;
    uint64_t lines;

    if (!log_sample_report(&log_state.sample, &event, &lines))
        return;
    pthread_mutex_unlock(&log_state.mutex);
    batch->len = log_report_sampled(log_state.format, event, lines, batch->bytes);
    report->is_working = write_batch(batch);
    pthread_mutex_lock(&log_state.mutex);
    if (!report->is_working)
        log_sample_put_back(&log_state.sample, event, lines, clock_mono_ms());
}

/* Likewise. */
static void write_lines(struct report *report, struct batch *batch)
{
    batch->len = 0;
    batch->lines = 0;
    take(batch);
    log_state.taken_lines = batch->lines;
    pthread_mutex_unlock(&log_state.mutex);
    report->is_working = write_batch(batch);
    if (!report->is_working)
        count_dropped(batch->lines);
    pthread_mutex_lock(&log_state.mutex);
    log_state.taken_lines = 0;
}

/* The writer thread: all signals blocked. */
static void *run(void *unused)
{
    struct batch batch;
    struct report report = {.lost_at_ms = clock_mono_ms() - REPORT_EVERY_MS, .is_working = true};

    (void)unused;
    pthread_mutex_lock(&log_state.mutex);
    while (!log_state.is_deaf) {
        if (is_dropped_due(&report))
            say_dropped(&report, &batch);
        else if (is_sampled_due(&report))
            say_sampled(&report, &batch);
        else if (log_state.ring.used > 0)
            write_lines(&report, &batch);
        else if (log_state.is_stopping)
            break;
        else
            wait_for_work();
    }
    log_state.is_finished = true;
    pthread_cond_signal(&log_state.finished);
    pthread_mutex_unlock(&log_state.mutex);
    return NULL;
}

static bool deliver(const struct log_entry *entry)
{
    char line[LOG_LINE_BYTES];

    /* Before log_start nothing is known but stderr; what AUTO means there can change until then. */
    enum log_format format =
        log_state.format == LOG_FORMAT_AUTO ? log_sink_format(&log_state.options) : log_state.format;
    size_t len = log_format(format, entry, line);

    pthread_mutex_lock(&log_state.mutex);
    bool is_running = log_state.is_running;
    bool is_deaf = log_state.is_deaf;
    bool is_pushed = is_running && log_ring_push(&log_state.ring, line, len);
    if (is_pushed)
        pthread_cond_signal(&log_state.filled);
    pthread_mutex_unlock(&log_state.mutex);

    if (is_running || is_deaf)
        return is_pushed;
    if (format == LOG_FORMAT_JOURNAL)
        return log_sink_journal(log_state.options.journal, line, len);
    return log_sink_write_direct(log_state.options.fd, line, len);
}

/* Before log_start and after log_stop there are few lines, and nobody to say what was left out. */
static bool is_admitted(const char *event)
{
    unsigned rate = atomic_load_explicit(&log_state.rate, memory_order_relaxed);

    if (rate == 0)
        return true;
    pthread_mutex_lock(&log_state.mutex);
    bool was_due = log_state.sample.due_ms != 0;
    bool is_admitted =
        !log_state.is_running || log_sample_admits(&log_state.sample, event, rate, clock_mono_ms());
    if (!is_admitted && !was_due)
        pthread_cond_signal(&log_state.filled); /* the writer has a time to wait for */
    pthread_mutex_unlock(&log_state.mutex);
    return is_admitted;
}

void log_line(enum log_level level, const char *event, const char *message, const struct log_field *fields,
              size_t count)
{
    if (log_state.observer != NULL)
        log_state.observer(log_state.observer_arg, event, fields, count);
    if ((int)level > atomic_load_explicit(&log_state.level, memory_order_relaxed))
        return;
    if (level > LOG_LEVEL_WARNING && !is_admitted(event)) {
        atomic_fetch_add(&log_state.sampled, 1);
        return;
    }

    int previous_errno = errno; /* a caller may log first and look at errno then */
    const struct log_entry entry = {
        .level = level,
        .wall_ms = clock_wall_ms(),
        .event = event,
        .message = message,
        .fields = fields,
        .count = count,
    };
    if (!deliver(&entry))
        count_dropped(1);
    errno = previous_errno;
}

static bool start_thread(void)
{
    pthread_condattr_t attr;
    sigset_t all;
    sigset_t previous;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* the wall may step meanwhile */
    pthread_cond_init(&log_state.filled, &attr);
    pthread_cond_init(&log_state.finished, &attr);
    pthread_condattr_destroy(&attr);

    /* Signals are the loop's. A new thread starts with its creator's mask, so
     * there is no moment without it. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous);
    int result = pthread_create(&log_state.thread, NULL, run, NULL);
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    if (result != 0) {
        pthread_cond_destroy(&log_state.filled);
        pthread_cond_destroy(&log_state.finished);
        return false;
    }
    pthread_setname_np(log_state.thread, "herald-log");
    return true;
}

static void free_all(void)
{
    free(log_state.ring.bytes);
    log_state.ring.bytes = NULL;
    close(log_state.stop_fd);
}

bool log_start(const struct log_options *options, struct err *err)
{
    char *ring = malloc(LOG_RING_BYTES);
    int stop_fd = ring == NULL ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (stop_fd < 0) {
        free(ring);
        return err_set(err, ERR_NOMEM, "log: no memory or no descriptor for the ring");
    }
    log_state.options = *options;
    log_state.format = log_sink_format(options);
    log_state.ring = (struct log_ring){.bytes = ring};
    log_state.stop_fd = stop_fd;
    log_state.taken_lines = 0;
    log_state.sample = (struct log_sample){0};
    log_state.is_stopping = log_state.is_finished = log_state.is_deaf = false;
    log_set_level(options->level);
    log_set_rate(options->rate);
    atomic_store(&log_state.dropped, 0);
    atomic_store(&log_state.sampled, 0);
    if (!start_thread()) {
        free_all();
        return err_set(err, ERR_NOMEM, "log: no memory for the writer thread");
    }
    log_state.is_running = true;
    return true;
}

/* Under the mutex. */
static void wait_until_finished(int timeout_ms)
{
    struct timespec until = after(timeout_ms);

    while (!log_state.is_finished)
        if (pthread_cond_timedwait(&log_state.finished, &log_state.mutex, &until) != 0)
            return;
}

void log_stop(int timeout_ms)
{
    pthread_mutex_lock(&log_state.mutex);
    if (!log_state.is_running) {
        pthread_mutex_unlock(&log_state.mutex);
        return;
    }
    log_state.is_stopping = true;
    pthread_cond_signal(&log_state.filled);
    wait_until_finished(timeout_ms);
    if (!log_state.is_finished) {
        log_state.is_deaf = true;
        eventfd_write(log_state.stop_fd, 1);
        wait_until_finished(STOP_GRACE_MS);
    }
    log_state.is_running =
        false; /* lines of other threads are written directly from here on, or lost if deaf */
    count_dropped(log_state.taken_lines + log_ring_clear(&log_state.ring)); /* nobody will write them */
    bool is_finished = log_state.is_finished;
    pthread_mutex_unlock(&log_state.mutex);

    if (!is_finished) { /* in a call that does not return; if it ever does, the thread finds itself deaf and
                           ends */
        pthread_detach(log_state.thread);
        return;
    }
    pthread_join(log_state.thread, NULL);
    pthread_cond_destroy(&log_state.filled);
    pthread_cond_destroy(&log_state.finished);
    free_all();
}
