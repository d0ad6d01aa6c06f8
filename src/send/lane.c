/* lane.c - a provider's threads and the one loop they all run; see lane.h for the loop thread's side,
 * worker.h for the drivers'. */
#include "herald/lane.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "herald/clock.h"
#include "herald/fault.h"
#include "mailbox.h"
#include "queue.h"

/* A buffer that one large message has swollen is given up above this; usual messages are a tenth of it. */
#define KEPT_BUFFER_BYTES (64 * 1024)

struct thread {
    struct worker worker;
    pthread_t id;
};

struct lane {
    struct config *config;                  /* a reference of ours */
    const struct config_provider *provider; /* borrowed from config */
    const struct driver *driver;
    struct mailbox *mailbox;        /* borrowed: see lane_options */
    const struct commit_gate *gate; /* borrowed: see lane_options */
    void (*note)(void *arg, struct delivery *delivery);
    void *note_arg;
    struct queue queue;
    size_t capacity, slots;
    _Atomic bool is_stopping;
    _Atomic size_t running_threads;
    size_t thread_count;     /* of those started, which have to be joined */
    struct thread threads[]; /* never move: each thread holds a pointer to its own */
};

/* ---- the threads -------------------------------------------------------------------------------------- */

void worker_is_alive(struct worker *worker)
{
    atomic_store_explicit(&worker->progress_ms, clock_mono_ms(), memory_order_relaxed);
}

bool worker_may_commit(const struct worker *worker, const struct delivery *delivery)
{
    const struct lane *lane = worker->lane;

    return commit_is_allowed(lane->gate, delivery, clock_mono_ms(), lane->config->lease_margin_ms);
}

bool worker_commit(struct worker *worker, struct delivery *delivery)
{
    if (!worker_may_commit(worker, delivery))
        return false;
    delivery->attempt.is_committed = true;
    return true;
}

bool worker_is_hurried(const struct worker *worker)
{
    return atomic_load(&worker->lane->gate->is_closed);
}

bool worker_is_stopping(const struct worker *worker)
{
    return atomic_load(&worker->lane->is_stopping);
}

bool worker_render(struct worker *worker, struct delivery *delivery, struct buffer *ret)
{
    struct err err = {0};

    (void)worker;
    buffer_reset(ret);
    if (render_delivery(delivery, ret, &err)) {
        FAULT("rendered");
        /* libcurl asks for no byte of an empty body, and so would never ask whether it may be sent. */
        if (ret->len > 0)
            return true;
        err_set(&err, ERR_PERMANENT, "the rendered body is empty");
    }
    if (err.kind == ERR_CONFIG)
        delivery->attempt.abort = ABORT_CONTENT;
    else if (err.kind == ERR_NOMEM)
        delivery->attempt.transport = TRANSPORT_INTERNAL;
    else
        delivery->attempt.abort = ABORT_RENDER;
    worker_note(&delivery->attempt, err.text, strlen(err.text));
    return false;
}

void worker_trim(struct buffer *buffer)
{
    if (buffer->cap > KEPT_BUFFER_BYTES)
        buffer_done(buffer);
}

static void count_running(struct worker *worker, size_t running)
{
    worker->running = running;
    atomic_store_explicit(&worker->running_seen, running, memory_order_relaxed);
}

void worker_finish(struct worker *worker, struct delivery *delivery)
{
    assert(worker->running > 0);
    count_running(worker, worker->running - 1);
    delivery->attempt.ended_mono_us = clock_mono_us();
    bool is_committed = delivery->attempt.is_committed;
    if (is_committed)
        FAULT("answered-not-noted");
    if (is_committed && worker->lane->note != NULL)
        worker->lane->note(worker->lane->note_arg, delivery);
    if (is_committed)
        FAULT("noted-not-posted");
    mailbox_put(worker->lane->mailbox, delivery);
    if (is_committed)
        FAULT("posted");
}

bool worker_may_sleep(struct worker *worker)
{
    if (worker->running >= worker->limit)
        return true; /* could take nothing anyway */
    /* In this order, and the push in the other: whoever comes second sees the first. */
    atomic_store(&worker->is_asleep, true);
    if (queue_is_empty(&worker->lane->queue))
        return true;
    atomic_store(&worker->is_asleep, false);
    return false;
}

void worker_woke(struct worker *worker)
{
    atomic_store(&worker->is_asleep, false);
}

/* How many of the first `len` bytes end at a character: a cut one at the end is left out. */
static size_t whole_characters(const char *text, size_t len)
{
    size_t end = len;

    while (end > 0 && len - end < 3 && ((unsigned char)text[end - 1] & 0xC0) == 0x80)
        end--;
    if (end == 0 || (unsigned char)text[end - 1] < 0xC0)
        return len;
    unsigned char lead = (unsigned char)text[end - 1];
    size_t wants = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    return len - (end - 1) < wants ? end - 1 : len;
}

void worker_note(struct attempt *attempt, const char *text, size_t len)
{
    size_t at = strlen(attempt->reply);

    if (at > 0 && at < ATTEMPT_REPLY_BYTES)
        attempt->reply[at++] = ' ';
    size_t fits = len < ATTEMPT_REPLY_BYTES - at ? len : ATTEMPT_REPLY_BYTES - at;
    if (fits < len)
        fits = whole_characters(text, fits);
    for (size_t i = 0; i < fits; i++) {
        unsigned char c = (unsigned char)text[i];
        attempt->reply[at++] = c < 0x20 || c == 0x7F ? ' ' : text[i];
    }
    while (at > 0 && attempt->reply[at - 1] == ' ')
        at--;
    attempt->reply[at] = '\0';
}

static void begin(struct worker *worker, struct delivery *delivery)
{
    const struct driver *driver = worker->lane->driver;

    delivery->attempt = (struct attempt){.protocol = driver->protocol, .started_mono_us = clock_mono_us()};
    count_running(worker, worker->running + 1);
    FAULT("lane-dequeued");
    worker_is_alive(worker);
    if (!worker_may_commit(worker, delivery)) {
        delivery->attempt.abort = ABORT_LEASE; /* it waited too long in the queue: not worth a connection */
        worker_finish(worker, delivery);
        return;
    }
    driver->begin(worker->state, delivery);
}

/* A wait for work, in pieces: at each of them the thread says that it lives, and only waits. */
static enum queue_taken wait_idle(struct worker *worker, struct delivery **ret)
{
    struct lane *lane = worker->lane;
    _Static_assert(WORKER_REST_MS % LANE_IDLE_BEAT_MS == 0, "a rest begins at a beat");

    for (int beats = 0;; beats++) {
        if (beats == WORKER_REST_MS / LANE_IDLE_BEAT_MS && lane->driver->rest != NULL) {
            worker_is_alive(worker);
            lane->driver->rest(worker->state);
        }
        atomic_store(&worker->progress_ms, clock_mono_ms() + LANE_IDLE_BEAT_MS);
        enum queue_taken taken = queue_take(&lane->queue, LANE_IDLE_BEAT_MS, ret);
        if (taken != QUEUE_EMPTY)
            return taken;
    }
}

/* Waits only when nothing is running. */
static enum queue_taken take(struct worker *worker, struct delivery **ret)
{
    enum queue_taken taken = queue_take(&worker->lane->queue, 0, ret);

    return taken != QUEUE_EMPTY || worker->running > 0 ? taken : wait_idle(worker, ret);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct lane *lane = worker->lane;
    struct delivery *delivery = NULL;
    bool is_ended = false;

    while (!is_ended || worker->running > 0) {
        while (worker->running < worker->limit) {
            enum queue_taken taken = take(worker, &delivery);
            is_ended = taken == QUEUE_ENDED;
            if (taken != QUEUE_TAKEN)
                break;
            begin(worker, delivery);
        }
        if (worker->running > 0) {
            worker_is_alive(worker);
            lane->driver->turn(worker->state);
        }
    }
    worker_is_alive(worker); /* saying goodbye to the provider may take a moment */
    lane->driver->close(worker->state);
    atomic_store(&worker->progress_ms, INT64_MAX);
    atomic_fetch_sub(&lane->running_threads, 1); /* the last touch: lane_free may follow, and joins */
    return NULL;
}

/* ---- the loop thread ---------------------------------------------------------------------------------- */

static void share_out(struct lane *lane, size_t threads)
{
    for (size_t i = 0; i < threads; i++) {
        struct worker *worker = &lane->threads[i].worker;
        worker->lane = lane;
        worker->provider = lane->provider;
        worker->index = i;
        worker->count = threads;
        worker->transfers = lane->slots / threads + (i < lane->slots % threads ? 1 : 0);
        worker->limit = worker->transfers;
        worker_is_alive(worker); /* from here on: a thread that never begins is none that lives */
    }
}

/* Signals are the loop's: a thread is born with all of them blocked, SIGPIPE included. */
static int create_blocked(pthread_t *id, void *(*run)(void *), void *arg)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(id, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

static bool start_thread(struct lane *lane, struct thread *thread, struct err *err)
{
    char name[16]; /* the kernel's bound */

    if (!lane->driver->open(&thread->worker, &thread->worker.state, err))
        return false;
    atomic_fetch_add(&lane->running_threads, 1);
    int failed = create_blocked(&thread->id, work, &thread->worker);
    if (failed != 0) {
        atomic_fetch_sub(&lane->running_threads, 1);
        lane->driver->close(thread->worker.state);
        return err_set(err, ERR_NOMEM, "thread: %s", strerror(failed));
    }
    lane->thread_count++;
    snprintf(name, sizeof(name), "lane-%s", lane->provider->name);
    pthread_setname_np(thread->id, name);
    return true;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

bool lane_start(const struct lane_options *options, struct lane **ret, struct err *err)
{
    const struct driver *driver = driver_of(options->provider->type);
    size_t threads, transfers;

    driver->shape(options->provider, &threads, &transfers);
    transfers = smaller(transfers, LANE_MAX_QUEUE);
    threads = smaller(threads, transfers);
    assert(threads > 0);
    struct lane *lane = calloc(1, sizeof(*lane) + threads * sizeof(lane->threads[0]));
    if (lane == NULL)
        return err_set(err, ERR_NOMEM, "lane %s: out of memory", options->provider->name);
    if (!queue_init(&lane->queue, err)) {
        free(lane);
        return err_wrap(err, "lane %s", options->provider->name);
    }
    lane->config = config_ref(options->config);
    lane->provider = options->provider;
    lane->driver = driver;
    lane->mailbox = options->mailbox;
    lane->gate = options->gate;
    lane->note = options->note;
    lane->note_arg = options->note_arg;
    lane->slots = transfers;
    lane->capacity = smaller(LANE_QUEUE_PER_CONNECTION * transfers, LANE_MAX_QUEUE);
    share_out(lane, threads);
    for (size_t i = 0; i < threads; i++) {
        if (!start_thread(lane, &lane->threads[i], err)) {
            lane_stop(lane); /* those that started have nothing to do and end at once */
            lane_free(lane);
            return err_wrap(err, "lane %s", options->provider->name);
        }
    }
    *ret = lane;
    return true;
}

size_t lane_capacity(const struct lane *lane)
{
    return lane->capacity;
}

size_t lane_slots(const struct lane *lane)
{
    return lane->slots;
}

/* Wakes one thread that waits inside its driver and has room for one more. */
static void wake_one(struct lane *lane)
{
    for (size_t i = 0; i < lane->thread_count; i++) {
        struct worker *worker = &lane->threads[i].worker;
        if (atomic_exchange(&worker->is_asleep, false)) {
            lane->driver->wake(worker->state);
            return;
        }
    }
}

void lane_push(struct lane *lane, struct delivery *delivery)
{
    assert(!atomic_load(&lane->is_stopping)); /* nobody might be left to take it */
    struct queue_pushed pushed = queue_push(&lane->queue, delivery);
    if (!pushed.woke_a_taker && lane->driver->wake != NULL)
        wake_one(lane);
}

void lane_give_back(struct lane *lane)
{
    struct delivery *delivery = queue_take_all(&lane->queue);

    while (delivery != NULL) {
        struct delivery *next = delivery->next;
        int64_t now_us = clock_mono_us();
        delivery->attempt = (struct attempt){.protocol = lane->driver->protocol,
                                             .abort = ABORT_STOPPED,
                                             .started_mono_us = now_us,
                                             .ended_mono_us = now_us};
        mailbox_put(lane->mailbox, delivery);
        delivery = next;
    }
}

void lane_stop(struct lane *lane)
{
    atomic_store(&lane->is_stopping, true);
    queue_close(&lane->queue);
}

bool lane_is_stopped(const struct lane *lane)
{
    return atomic_load(&lane->running_threads) == 0;
}

void lane_free(struct lane *lane)
{
    if (lane == NULL)
        return;
    for (size_t i = 0; i < lane->thread_count; i++)
        pthread_join(lane->threads[i].id, NULL);
    queue_done(&lane->queue);
    config_unref(lane->config);
    free(lane);
}

int64_t lane_oldest_progress_ms(const struct lane *lane)
{
    int64_t oldest = INT64_MAX;

    for (size_t i = 0; i < lane->thread_count; i++) {
        int64_t at = atomic_load_explicit(&lane->threads[i].worker.progress_ms, memory_order_relaxed);
        if (at < oldest)
            oldest = at;
    }
    return oldest;
}

size_t lane_running(const struct lane *lane)
{
    size_t running = 0;

    for (size_t i = 0; i < lane->thread_count; i++)
        running += atomic_load_explicit(&lane->threads[i].worker.running_seen, memory_order_relaxed);
    return running;
}

bool lane_check(const struct config_provider *provider, struct err *err)
{
    return driver_of(provider->type)->check(provider, err) || err_wrap(err, "provider %s", provider->name);
}

bool lane_probe(const struct config_provider *provider, struct err *err)
{
    const struct driver *driver = driver_of(provider->type);
    struct worker worker = {.provider = provider, .count = 1, .transfers = 1, .limit = 1};

    if (driver->probe == NULL)
        return true;
    bool is_reached = driver->open(&worker, &worker.state, err);
    if (is_reached) {
        is_reached = driver->probe(worker.state, err);
        driver->close(worker.state);
    }
    return is_reached || err_wrap(err, "provider %s", provider->name);
}
