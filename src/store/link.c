/* link.c - one connection to Redis on the loop; see link.h.
 *
 * A state is a place in one line: WAITING (a timer runs) → DIALING (dial.c is at it) → HANDSHAKE → READY →
 * WAITING …, and CLOSING from anywhere; tear_down is the only way back. The struct is freed in the close
 * callback of its timer, a loop turn after link_close, so a callback that closes or resets the link leaves
 * valid memory behind; `generation` tells the code above that the connection is another one. Loop thread.
 */
#include "herald/link.h"

#include <assert.h>
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "dial.h"
#include "handshake.h"
#include "herald/backoff.h"
#include "herald/clock.h"
#include "pending.h"
#include "wire.h"

#define RECONNECT_STEP_MS 50
#define RECONNECT_MAX_MS 2000
#define STEADY_MS 2000 /* a connection that lasts less was no success as far as the next wait goes */
#define READ_CHUNK (32 * 1024)
#define READS_PER_TURN 8 /* then the loop's other work has its turn */
/* what hiredis keeps between replies: two chunks; by default it would allocate at every read */
#define IDLE_READER (64 * 1024)
/* a whole claim is 1 MiB, a stream read is smaller: more is a mistake, and memory is bounded */
#define MAX_REPLY (64 * 1024 * 1024)

enum state { WAITING, DIALING, HANDSHAKE, READY, CLOSING };

struct link {
    struct link_options options;
    uv_thread_t thread; /* the loop's */
    enum state state;
    unsigned generation; /* of the connection */

    uv_timer_t
        timer; /* WAITING: until the next attempt. HANDSHAKE, READY: when the oldest command may be late */
    struct dial *dial;   /* DIALING only; frees itself */
    struct wire *wire;   /* HANDSHAKE and READY only; frees itself */
    redisReader *reader; /* owned; lives with the wire */
    struct pending pending;

    const char *steps[HANDSHAKE_MAX_STEPS]; /* of the handshake, for the reason */
    size_t step_count, step;

    unsigned failures; /* since the last success, for the log */
    unsigned tries;    /* since the last steady connection, for the wait */
    int64_t ready_ms;  /* mono */

    link_readable_fn *on_readable; /* the socket is taken */
    void *readable_arg;

    void (*on_closed)(void *arg);
    void *closed_arg;
};

static void tear_down(struct link *link, const char *reason);
static void on_timer(uv_timer_t *handle);
static void on_event(void *arg, int status);

static void assert_on_loop(const struct link *link)
{
    uv_thread_t self = uv_thread_self();

    assert(uv_thread_equal(&self, &link->thread));
    (void)self;
    (void)link;
}

static void drop_wire(struct link *link)
{
    link->generation++;
    if (link->wire != NULL)
        wire_close(link->wire);
    link->wire = NULL;
    if (link->reader != NULL)
        redisReaderFree(link->reader);
    link->reader = NULL;
    link->on_readable = NULL;
}

/* ── commands ── */

/* Makes the timer look when the oldest command may be late. Left alone while it runs: one start per deadline,
 * not per command. */
static void watch_oldest(struct link *link)
{
    const struct pending_command *oldest = pending_oldest(&link->pending);

    if (oldest == NULL || uv_is_active((uv_handle_t *)&link->timer))
        return;
    int64_t left_ms = oldest->since_ms + link->options.redis->command_timeout_ms - clock_mono_ms();
    uv_timer_start(&link->timer, on_timer, left_ms > 1 ? (uint64_t)left_ms : 1, 0);
}

static bool queue(struct link *link, const char *bytes, size_t len, link_reply_fn *on_reply, void *arg,
                  struct err *err)
{
    if (!pending_reserve(&link->pending))
        return err_set(err, ERR_TRANSIENT, "%zu commands wait for Redis: no more are taken",
                       link->pending.count);
    if (!wire_write(link->wire, bytes, len, err))
        return false;
    pending_push(&link->pending,
                 (struct pending_command){.on_reply = on_reply, .arg = arg, .since_ms = clock_mono_ms()});
    watch_oldest(link);
    return true;
}

static bool format_and_queue(struct link *link, int argc, const char *const *argv, const size_t *argv_len,
                             link_reply_fn *on_reply, void *arg, struct err *err)
{
    char *bytes = NULL;
    /* hiredis doesn't write to argv; its prototype only lacks a const. It answers int in 0.14, long long
     * in 1.x. */
    long long len = redisFormatCommandArgv(&bytes, argc, (const char **)argv, argv_len);

    if (len < 0)
        return err_set(err, ERR_NOMEM, "no memory for a command to Redis");
    bool is_queued = queue(link, bytes, (size_t)len, on_reply, arg, err);
    redisFreeCommand(bytes);
    return is_queued;
}

static void answer(struct pending_command command, const redisReply *reply)
{
    if (command.on_reply != NULL)
        command.on_reply(command.arg, reply);
}

/* ── the handshake ── */

static void on_handshake_reply(void *arg, const redisReply *reply)
{
    struct link *link = arg;

    if (reply == NULL) /* torn down: whoever did it says why */
        return;
    if (reply->type == REDIS_REPLY_ERROR) {
        char reason[256];
        handshake_complain(link->steps[link->step], reply->str, reason, sizeof(reason));
        tear_down(link, reason);
        return;
    }
    if (++link->step < link->step_count)
        return;
    link->state = READY;
    link->failures = 0;
    link->ready_ms = clock_mono_ms();
    if (link->options.callbacks.on_ready != NULL)
        link->options.callbacks.on_ready(link->options.callbacks.arg);
}

/* All steps leave at once: one round trip. */
static bool start_handshake(struct link *link, struct err *err)
{
    struct handshake_step steps[HANDSHAKE_MAX_STEPS];

    link->step = 0;
    link->step_count = handshake_plan(link->options.redis, link->options.client_name, steps);
    for (size_t i = 0; i < link->step_count; i++) {
        link->steps[i] = steps[i].name;
        if (!format_and_queue(link, steps[i].argc, steps[i].argv, NULL, on_handshake_reply, link, err))
            return false;
    }
    return true;
}

/* Takes fd. */
static bool open_wire(struct link *link, int fd, struct err *err)
{
    if (!wire_open(link->options.loop, fd, on_event, link, &link->wire, err))
        return false;
    link->reader = redisReaderCreate();
    if (link->reader == NULL)
        return err_set(err, ERR_NOMEM, "no memory to read from Redis"); /* the wire goes with the teardown */
    link->reader->maxbuf = IDLE_READER;
    return true;
}

static void on_dialed(void *arg, int fd, const char *reason)
{
    struct link *link = arg;
    struct err err = {0};

    link->dial = NULL;
    if (fd < 0)
        tear_down(link, reason);
    else {
        link->state = HANDSHAKE;
        if (!open_wire(link, fd, &err) || !start_handshake(link, &err))
            tear_down(link, err.text);
    }
}

static void start_dialing(struct link *link)
{
    struct err err = {0};
    struct dial_options options = {.loop = link->options.loop,
                                   .redis = link->options.redis,
                                   .is_patient = link->options.is_patient,
                                   .on_done = on_dialed,
                                   .arg = link};

    link->state = DIALING;
    if (!dial_start(&options, &link->dial, &err))
        tear_down(link, err.text);
}

/* ── the end of a connection ── */

/* Each callback may call anything: it finds a link that takes no commands, and one that is taken out is not
 * answered twice. */
static void fail_pending(struct link *link)
{
    struct pending_command command;

    while (pending_pop(&link->pending, &command))
        answer(command, NULL);
}

static void wait_to_reconnect(struct link *link, bool was_steady)
{
    link->tries = was_steady ? 1 : link->tries + 1;
    uint32_t random = 0;
    (void)uv_random(NULL, NULL, &random, sizeof(random), 0,
                    NULL); /* without it the jitter is lost, no more */
    int64_t wait_ms = backoff_reconnect_ms(link->tries, RECONNECT_STEP_MS, RECONNECT_MAX_MS, random);
    uv_timer_start(&link->timer, on_timer, wait_ms > 0 ? (uint64_t)wait_ms : 0, 0);
}

static void tear_down(struct link *link, const char *reason)
{
    const struct link_callbacks *callbacks = &link->options.callbacks;
    bool was_ready = link->state == READY;
    bool was_steady = was_ready && clock_mono_ms() - link->ready_ms >= STEADY_MS;
    char text[256]; /* the reason may lie in what is freed here */

    snprintf(text, sizeof(text), "%s", reason);
    link->state = WAITING;
    uv_timer_stop(&link->timer);
    drop_wire(link);
    if (link->dial != NULL)
        dial_cancel(link->dial);
    link->dial = NULL;
    fail_pending(link);
    if (link->state == CLOSING) /* one of them closed it */
        return;

    wait_to_reconnect(link, was_steady);
    if (was_ready) {
        if (callbacks->on_lost != NULL)
            callbacks->on_lost(callbacks->arg, text);
    } else {
        link->failures++;
        if (callbacks->on_failed != NULL)
            callbacks->on_failed(callbacks->arg, link->failures, text);
    }
}

/* ── what the loop calls ── */

/* Hands one reply to whom it belongs. */
static void deliver(struct link *link, const redisReply *reply)
{
    struct pending_command command;
    char reason[256];

    if (pending_pop(&link->pending, &command)) {
        answer(command, reply);
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR)
        snprintf(reason, sizeof(reason), "%s", reply->str);
    else
        snprintf(reason, sizeof(reason), "Redis sent a reply that nothing had asked for");
    tear_down(link, reason);
}

/* Reads and delivers what has come; false when the connection ended or its socket
 * was taken while doing so. */
static bool read_replies(struct link *link)
{
    unsigned generation = link->generation;
    char chunk[READ_CHUNK];

    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t n = recv(wire_fd(link->wire), chunk, sizeof(chunk), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (n <= 0) {
            tear_down(link, n == 0 ? "Redis closed the connection" : strerror(errno));
            return false;
        }
        (void)redisReaderFeed(link->reader, chunk,
                              (size_t)n); /* its error stays in the reader and is seen below */

        for (;;) {
            void *reply = NULL;
            if (redisReaderGetReply(link->reader, &reply) != REDIS_OK) {
                char reason[160];
                snprintf(reason, sizeof(reason), "reading a reply: %s", link->reader->errstr);
                tear_down(link, reason);
                return false;
            }
            if (reply == NULL)
                break;
            deliver(link, reply);
            freeReplyObject(reply);
            if (generation != link->generation || link->on_readable != NULL)
                return false;
        }
        if (link->reader->len > MAX_REPLY) {
            tear_down(link, "a reply is larger than any that was asked for");
            return false;
        }
        if ((size_t)n < sizeof(chunk))
            return true;
    }
    return true;
}

static void on_event(void *arg, int status)
{
    struct link *link = arg;
    unsigned generation = link->generation;

    if (link->on_readable != NULL) {
        link->on_readable(link->readable_arg, status);
        return;
    }
    /* What Redis said before it hung up ("max number of clients reached") is the better reason: it is read
     * first. */
    (void)read_replies(link);
    if (status < 0 && generation == link->generation && link->on_readable == NULL)
        tear_down(link, "the connection broke");
}

static void on_timer(uv_timer_t *handle)
{
    struct link *link = handle->data;
    unsigned generation = link->generation;

    if (link->state == WAITING) {
        start_dialing(link);
        return;
    }
    /* If it was we who stood still (a stopped process, a suspended machine), the answers are there already
     * and only unread. */
    if (link_oldest_ms(link) >= link->options.redis->command_timeout_ms && link->on_readable == NULL)
        (void)read_replies(link);
    if (generation != link->generation)
        return;
    if (link_oldest_ms(link) >= link->options.redis->command_timeout_ms) {
        char reason[80];
        snprintf(reason, sizeof(reason), "no answer within %lld ms",
                 (long long)link->options.redis->command_timeout_ms);
        tear_down(link, reason);
        return;
    }
    watch_oldest(link);
}

/* ── the contract ── */

bool link_open(const struct link_options *options, struct link **ret, struct err *err)
{
    struct link *link = calloc(1, sizeof(*link));

    if (link == NULL)
        return err_set(err, ERR_NOMEM, "no memory for a connection to Redis");
    link->options = *options;
    link->thread = uv_thread_self();
    link->state = WAITING;
    uv_timer_init(options->loop, &link->timer);
    link->timer.data = link;
    if (!options->is_idle)
        link_begin(link);
    *ret = link;
    return true;
}

void link_begin(struct link *link)
{
    assert_on_loop(link);
    assert(link->state == WAITING);
    uv_timer_start(&link->timer, on_timer, 0, 0);
}

bool link_adopt(struct link *link, int fd, struct err *err)
{
    assert_on_loop(link);
    assert(link->state == WAITING);
    if (!open_wire(link, fd, err)) {
        drop_wire(link);
        return false;
    }
    uv_timer_stop(&link->timer);
    link->state = READY;
    link->failures = 0;
    link->ready_ms = clock_mono_ms();
    return true;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct link *link = handle->data;
    void (*on_closed)(void *) = link->on_closed;
    void *arg = link->closed_arg;
    pending_done(&link->pending);
    free(link);
    if (on_closed != NULL)
        on_closed(arg);
}

void link_close(struct link *link, void (*on_closed)(void *arg), void *arg)
{
    assert_on_loop(link);
    assert(link->state != CLOSING);
    link->state = CLOSING;
    link->on_closed = on_closed;
    link->closed_arg = arg;
    drop_wire(link);
    if (link->dial != NULL)
        dial_cancel(link->dial);
    link->dial = NULL;
    uv_close((uv_handle_t *)&link->timer, on_timer_closed);
    fail_pending(link);
}

bool link_is_ready(const struct link *link)
{
    return link->state == READY;
}

static bool can_take_commands(const struct link *link, struct err *err)
{
    assert_on_loop(link);
    if (link->state != READY)
        return err_set(err, ERR_TRANSIENT, "not connected to Redis");
    assert(link->on_readable == NULL); /* nobody would read the reply */
    return true;
}

bool link_command(struct link *link, int argc, const char *const *argv, const size_t *argv_len,
                  link_reply_fn *on_reply, void *arg, struct err *err)
{
    return can_take_commands(link, err) && format_and_queue(link, argc, argv, argv_len, on_reply, arg, err);
}

bool link_command_raw(struct link *link, const char *bytes, size_t len, link_reply_fn *on_reply, void *arg,
                      struct err *err)
{
    return can_take_commands(link, err) && queue(link, bytes, len, on_reply, arg, err);
}

void link_reset(struct link *link, const char *reason)
{
    assert_on_loop(link);
    if (link->state != WAITING && link->state != CLOSING)
        tear_down(link, reason);
}

size_t link_pending(const struct link *link)
{
    return link->pending.count;
}

int64_t link_oldest_ms(const struct link *link)
{
    const struct pending_command *oldest = pending_oldest(&link->pending);

    return oldest == NULL ? 0 : clock_mono_ms() - oldest->since_ms;
}

int link_take_socket(struct link *link, link_readable_fn *on_readable, void *arg)
{
    assert_on_loop(link);
    assert(link->state == READY && link->on_readable == NULL && link->pending.count == 0);
    if (link->reader->pos < link->reader->len)
        return -1;
    link->on_readable = on_readable;
    link->readable_arg = arg;
    uv_timer_stop(&link->timer);
    wire_want_read(link->wire, false);
    return wire_fd(link->wire);
}

void link_poll(struct link *link, bool is_wanted)
{
    assert_on_loop(link);
    if (link->on_readable != NULL)
        wire_want_read(link->wire, is_wanted);
}

bool link_write_raw(struct link *link, const char *bytes, size_t len, struct err *err)
{
    assert_on_loop(link);
    if (link->state != READY)
        return err_set(err, ERR_TRANSIENT, "not connected to Redis");
    return wire_write(link->wire, bytes, len, err);
}

bool link_is_unix(const struct link *link)
{
    int domain = AF_UNSPEC;
    socklen_t len = sizeof(domain);

    /* An adopted socket may be of another kind than the configured one. */
    if (link->wire != NULL && getsockopt(wire_fd(link->wire), SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0)
        return domain == AF_UNIX;
    return link->options.redis->socket_path != NULL;
}
