/* subscriber.c - pub/sub by peek, accept, consume; see subscriber.h.
 *
 * A connection goes DOWN → SUBSCRIBING → SUBSCRIBED → DOWN. While connected, one of these is so, and `pump`
 * decides which:
 *   - a batch is with the owner: no polling; consume, retry or the end of everything goes on from there;
 *   - the reply at the head of the socket is not whole: wait_for_more (SO_RCVLOWAT, or a timer);
 *   - it can't be seen whole: `is_taking`, it is received before it is safe;
 *   - nothing is there: polling.
 * `ending` set means the connection is given up and what still waits in it is handed up first.
 * Each callback of the owner may close or reset us, so nothing is assumed after one. Loop thread.
 */
#include "herald/subscriber.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "batch.h"
#include "herald/buffer.h"
#include "herald/clock.h"
#include "herald/fault.h"
#include "herald/link.h"
#include "oversize.h"
#include "peek.h"

#define REARM_MAX_MS 50
/* An incomplete reply that has not grown for so long can't be seen whole: a unix socket is full, a TCP window
 * does not open. (If it is Redis that is slow, receiving it early costs its safety until it is whole, no
 * more.) */
#define STALL_MS 100
#define MAX_SUBSCRIBE (1024 * 1024) /* bytes of the SUBSCRIBE command: thousands of channels */

enum state { DOWN, SUBSCRIBING, SUBSCRIBED, CLOSING };

struct subscriber {
    struct subscriber_options options;
    enum state state;
    struct link *link;       /* owned; closed by subscriber_close */
    struct buffer subscribe; /* the command */
    struct peek peek;
    uv_timer_t timer;      /* looks again, or hands up again */
    uv_timer_t ack_timer;  /* SUBSCRIBING: the acknowledgements' deadline */
    unsigned open_handles; /* the link's is one */
    unsigned failures;     /* since it last was subscribed */
    bool is_paused;
    bool is_peer_gone; /* what waits in the socket is all that will ever come */

    char ending[256];   /* why the connection is given up; "" while it is not */
    uint64_t ending_at; /* peek.consumed at which all that waited then is handed up */

    struct batch batch; /* with the owner while is_batch_out */
    bool is_batch_out;
    bool is_taking; /* the batch's bytes, or those of the reply at the head, have left the socket already */
    bool is_taking_told;
    size_t seen;     /* of an incomplete reply, when we last looked */
    int64_t seen_ms; /* mono: since when it has not grown */
    uint64_t rearm_ms;

    void (*on_closed)(void *arg);
    void *closed_arg;
};

static void on_timer(uv_timer_t *handle);

static bool is_up(const struct subscriber *subscriber)
{
    return subscriber->state == SUBSCRIBING || subscriber->state == SUBSCRIBED;
}

static void arm(struct subscriber *subscriber, uint64_t delay_ms)
{
    uv_timer_start(&subscriber->timer, on_timer, delay_ms, 0);
}

/* The connection is over; on_link_lost tells the owner. */
static void finish(struct subscriber *subscriber, const char *reason)
{
    link_reset(subscriber->link, reason);
}

static void forget_incomplete(struct subscriber *subscriber)
{
    subscriber->seen = 0;
    subscriber->rearm_ms = 1;
}

/* ── batches ── */

/* The owner is told before the first byte leaves the socket early, and when what left is safe. False: it
 * closed or reset us. */
static bool tell_taking(struct subscriber *subscriber)
{
    if (subscriber->is_taking_told == subscriber->is_taking)
        return true;
    subscriber->is_taking_told = subscriber->is_taking;
    subscriber->options.callbacks.on_taking(subscriber->options.callbacks.arg, subscriber->is_taking);
    return is_up(subscriber);
}

static void hand_up(struct subscriber *subscriber)
{
    subscriber->is_batch_out = true;
    link_poll(subscriber->link, false);
    uv_timer_stop(&subscriber->timer);
    FAULT("peeked");
    subscriber->options.callbacks.on_batch(subscriber->options.callbacks.arg, subscriber->batch.messages,
                                           subscriber->batch.count);
}

/* After acknowledgements. False: the owner closed us. */
static bool notice_subscribed(struct subscriber *subscriber)
{
    if (subscriber->state == SUBSCRIBING && subscriber->batch.acks >= subscriber->options.channel_count) {
        subscriber->state = SUBSCRIBED;
        subscriber->failures = 0;
        uv_timer_stop(&subscriber->ack_timer);
        subscriber->options.callbacks.on_subscribed(subscriber->options.callbacks.arg);
    }
    return is_up(subscriber);
}

/* ── replies that can't be seen whole ── */

/* The whole reply is a batch of its own, if it is a message of ours. */
static void take(struct subscriber *subscriber, const struct resp_reply *head)
{
    struct peek *peek = &subscriber->peek;
    struct resp_reply reply;
    struct err err = {0};

    switch (oversize_receive(peek, head, &reply, &err)) {
    case PEEK_OK:
        break;
    case PEEK_EMPTY:
        if (subscriber->is_peer_gone && peek_waiting(peek) == 0)
            finish(subscriber, "the connection broke within a message");
        else
            link_poll(subscriber->link, true);
        return;
    case PEEK_GONE:
        finish(subscriber, err.text);
        return;
    }
    if (!batch_note(&subscriber->batch, peek->bytes, &reply, peek->consumed - peek->taken, &err)) {
        finish(subscriber, err.text);
        return;
    }
    if (subscriber->batch.count > 0) {
        hand_up(subscriber);
        return;
    }
    subscriber->is_taking = false;
    peek_end_taking(peek);
    if (tell_taking(subscriber) && notice_subscribed(subscriber))
        link_poll(subscriber->link, true);
}

/* ── what comes next ── */

/* The reply at the head is incomplete, though we have just looked. */
static void wait_for_more(struct subscriber *subscriber, const struct resp_reply *head, bool is_polled)
{
    struct peek *peek = &subscriber->peek;
    size_t lowat = peek->lowat;
    int64_t now_ms = clock_mono_ms();
    bool can_grow = head->frame_len <= peek->cap;

    if (subscriber->ending[0] != '\0' || subscriber->is_peer_gone) {
        finish(subscriber,
               subscriber->ending[0] != '\0' ? subscriber->ending : "the connection broke within a message");
        return;
    }
    if (peek->end > subscriber->seen) {
        subscriber->seen = peek->end;
        subscriber->seen_ms = now_ms;
        subscriber->rearm_ms = 1;
    } else if (now_ms - subscriber->seen_ms >= STALL_MS) {
        can_grow = false;
    }
    if (!can_grow) {
        uv_timer_stop(&subscriber->timer);
        (void)peek_await(peek, 1);
        subscriber->is_taking = true;
        if (tell_taking(subscriber))
            take(subscriber, head);
        return;
    }

    /* TCP: poll keeps quiet until the reply is whole, and the timer only watches that it grows. If poll calls
     * all the same (the window is shut before the mark is reached), or on a unix socket, which knows no mark,
     * it would spin: then the timer looks. */
    bool is_quiet = peek_await(peek, head->frame_len) && !(is_polled && lowat == head->frame_len);
    link_poll(subscriber->link, is_quiet);
    arm(subscriber, is_quiet ? STALL_MS : subscriber->rearm_ms);
    if (!is_quiet && (subscriber->rearm_ms *= 2) > REARM_MAX_MS)
        subscriber->rearm_ms = REARM_MAX_MS;
}

static void wait_for_first(struct subscriber *subscriber)
{
    forget_incomplete(subscriber);
    uv_timer_stop(&subscriber->timer);
    if (subscriber->ending[0] != '\0') {
        finish(subscriber, subscriber->ending);
        return;
    }
    if (subscriber->is_peer_gone) {
        finish(subscriber, "the connection broke");
        return;
    }
    (void)peek_await(&subscriber->peek, 1);
    link_poll(subscriber->link, true);
}

/* Goes on as far as it can without waiting: to a batch, to a wait, or to the end. is_polled: because poll
 * says there is something. */
static void pump(struct subscriber *subscriber, bool is_polled)
{
    struct peek *peek = &subscriber->peek;
    bool is_fresh = false;
    struct err err = {0};

    if (!is_up(subscriber) || subscriber->is_batch_out || !tell_taking(subscriber))
        return;
    if (subscriber->ending[0] != '\0' && (subscriber->is_paused || peek->consumed >= subscriber->ending_at)) {
        finish(subscriber, subscriber->ending);
        return;
    }
    if (subscriber->is_taking && !subscriber->is_paused) {
        take(subscriber, NULL);
        return;
    }

    for (;;) {
        struct resp_reply head;

        if (subscriber->is_paused && subscriber->state == SUBSCRIBED) {
            link_poll(subscriber->link, false);
            return;
        }
        if (!batch_frame(&subscriber->batch, peek->bytes + peek->start, peek->end - peek->start,
                         peek->consumed, &head, &err)) {
            finish(subscriber, err.text);
            return;
        }
        if (subscriber->batch.count > 0) {
            forget_incomplete(subscriber);
            /* The acknowledgements may stand right before the first messages. */
            if (!notice_subscribed(subscriber))
                return;
            if (!subscriber->is_paused)
                hand_up(subscriber);
            return;
        }
        if (subscriber->batch.frame_bytes > 0) { /* acknowledgements, and what is for nobody */
            forget_incomplete(subscriber);
            if (peek_consume(peek, subscriber->batch.frame_bytes, &err) != PEEK_OK) {
                finish(subscriber, err.text);
                return;
            }
            if (!notice_subscribed(subscriber))
                return;
            continue;
        }
        if (is_fresh) {
            wait_for_more(subscriber, &head, is_polled);
            return;
        }
        switch (peek_peek(peek, &err)) {
        case PEEK_OK:
            is_fresh = true;
            break;
        case PEEK_EMPTY:
            wait_for_first(subscriber);
            return;
        case PEEK_GONE:
            finish(subscriber, subscriber->ending[0] != '\0' ? subscriber->ending : err.text);
            return;
        }
    }
}

static void on_timer(uv_timer_t *handle)
{
    struct subscriber *subscriber = handle->data;

    if (subscriber->is_batch_out)
        hand_up(subscriber); /* the owner asked for the same batch again */
    else
        pump(subscriber, false);
}

static void on_readable(void *arg, int status)
{
    struct subscriber *subscriber = arg;

    if (status < 0)
        subscriber->is_peer_gone = true;
    pump(subscriber, true);
}

static void on_ack_deadline(uv_timer_t *handle)
{
    struct subscriber *subscriber = handle->data;
    int64_t timeout_ms = subscriber->options.redis->command_timeout_ms;
    char reason[80];

    pump(subscriber, false); /* if it was we who stood still, they are there and only unread */
    if (subscriber->state != SUBSCRIBING || subscriber->is_batch_out)
        return;
    snprintf(reason, sizeof(reason), "SUBSCRIBE was not answered within %lld ms", (long long)timeout_ms);
    finish(subscriber, reason);
}

/* ── the link's events ── */

static void begin_reading(struct subscriber *subscriber, int fd)
{
    peek_open(&subscriber->peek, fd, link_is_unix(subscriber->link));
    forget_incomplete(subscriber);
    subscriber->is_peer_gone = false;
}

static void on_link_ready(void *arg)
{
    struct subscriber *subscriber = arg;
    struct err err = {0};
    int fd = link_take_socket(subscriber->link, on_readable, subscriber);

    if (fd < 0) {
        finish(subscriber, "desynchronised: Redis said more than it was asked for");
        return;
    }
    begin_reading(subscriber, fd);
    subscriber->state = SUBSCRIBING;
    subscriber->batch.acks = 0;
    if (!link_write_raw(subscriber->link, subscriber->subscribe.data, subscriber->subscribe.len, &err)) {
        finish(subscriber, err.text);
        return;
    }
    uv_timer_start(&subscriber->ack_timer, on_ack_deadline,
                   (uint64_t)subscriber->options.redis->command_timeout_ms, 0);
    link_poll(subscriber->link, true);
}

static void tell_failure(struct subscriber *subscriber, const char *reason)
{
    subscriber->failures++;
    subscriber->options.callbacks.on_failed(subscriber->options.callbacks.arg, subscriber->failures, reason);
}

static void on_link_lost(void *arg, const char *reason)
{
    struct subscriber *subscriber = arg;
    bool was_subscribed = subscriber->state == SUBSCRIBED;

    subscriber->state = DOWN;
    uv_timer_stop(&subscriber->timer);
    uv_timer_stop(&subscriber->ack_timer);
    subscriber->is_batch_out = false;
    subscriber->is_taking = subscriber->is_taking_told = false;
    subscriber->ending[0] = '\0';
    peek_open(&subscriber->peek, -1, false);
    if (was_subscribed)
        subscriber->options.callbacks.on_lost(subscriber->options.callbacks.arg, reason);
    else
        tell_failure(subscriber, reason);
}

static void on_link_failed(void *arg, unsigned attempt, const char *reason)
{
    (void)attempt; /* counts connections; ours counts subscriptions */
    tell_failure(arg, reason);
}

/* ── the contract ── */

static void append_bulk(struct buffer *buffer, const char *text)
{
    buffer_printf(buffer, "$%zu\r\n%s\r\n", strlen(text), text);
}

bool subscriber_open(const struct subscriber_options *options, struct subscriber **ret, struct err *err)
{
    struct subscriber *subscriber = calloc(1, sizeof(*subscriber));

    if (subscriber == NULL)
        return err_set(err, ERR_NOMEM, "no memory to subscribe");
    assert(options->channel_count > 0);
    subscriber->options = *options;
    buffer_init(&subscriber->subscribe, MAX_SUBSCRIBE);
    buffer_printf(&subscriber->subscribe, "*%zu\r\n", options->channel_count + 1);
    append_bulk(&subscriber->subscribe, "SUBSCRIBE");
    for (size_t i = 0; i < options->channel_count; i++)
        append_bulk(&subscriber->subscribe, options->channels[i]);

    struct link_options link_options = {
        .loop = options->loop,
        .redis = options->redis,
        .client_name = options->client_name,
        .is_patient = true,
        .is_idle = options->is_idle,
        .callbacks = {.on_ready = on_link_ready,
                      .on_lost = on_link_lost,
                      .on_failed = on_link_failed,
                      .arg = subscriber},
    };
    if (subscriber->subscribe.failed) {
        err_set(err, ERR_NOMEM, "no memory to subscribe to %zu channels", options->channel_count);
        goto fail;
    }
    if (!peek_init(&subscriber->peek, SUBSCRIBER_PEEK_BYTES, err) ||
        !link_open(&link_options, &subscriber->link, err))
        goto fail;

    uv_timer_init(options->loop, &subscriber->timer);
    uv_timer_init(options->loop, &subscriber->ack_timer);
    subscriber->timer.data = subscriber->ack_timer.data = subscriber;
    subscriber->batch.channels = options->channels;
    subscriber->batch.channel_count = options->channel_count;
    *ret = subscriber;
    return true;

fail:
    peek_done(&subscriber->peek);
    buffer_done(&subscriber->subscribe);
    free(subscriber);
    return false;
}

void subscriber_begin(struct subscriber *subscriber)
{
    link_begin(subscriber->link);
}

bool subscriber_adopt(struct subscriber *subscriber, int fd, struct err *err)
{
    if (!link_adopt(subscriber->link, fd, err))
        return false;
    begin_reading(subscriber, link_take_socket(subscriber->link, on_readable, subscriber));
    subscriber->state = SUBSCRIBED;
    subscriber->failures = 0;
    if (!subscriber->is_paused)
        arm(subscriber, 0);
    return true;
}

static void release_one(struct subscriber *subscriber)
{
    if (--subscriber->open_handles > 0)
        return;
    void (*on_closed)(void *) = subscriber->on_closed;
    void *arg = subscriber->closed_arg;
    peek_done(&subscriber->peek);
    buffer_done(&subscriber->subscribe);
    free(subscriber);
    if (on_closed != NULL)
        on_closed(arg);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release_one(handle->data);
}

static void on_link_closed(void *arg)
{
    release_one(arg);
}

void subscriber_close(struct subscriber *subscriber, void (*on_closed)(void *arg), void *arg)
{
    assert(subscriber->state != CLOSING);
    subscriber->state = CLOSING;
    subscriber->is_batch_out = false;
    subscriber->on_closed = on_closed;
    subscriber->closed_arg = arg;
    subscriber->open_handles = 3; /* two timers and the link */
    link_close(subscriber->link, on_link_closed, subscriber);
    uv_close((uv_handle_t *)&subscriber->timer, on_timer_closed);
    uv_close((uv_handle_t *)&subscriber->ack_timer, on_timer_closed);
}

void subscriber_consume(struct subscriber *subscriber)
{
    struct peek *peek = &subscriber->peek;
    struct err err = {0};

    if (!is_up(subscriber) || !subscriber->is_batch_out) /* the batch was of a connection that is over */
        return;
    subscriber->is_batch_out = false;
    uv_timer_stop(&subscriber->timer);
    FAULT("accepted-not-consumed");
    if (subscriber->is_taking) {
        subscriber->is_taking = false;
        peek_end_taking(peek);
    } else if (peek_consume(peek, subscriber->batch.frame_bytes, &err) != PEEK_OK) {
        snprintf(subscriber->ending, sizeof(subscriber->ending), "%.*s", (int)sizeof(subscriber->ending) - 1,
                 err.text);
        subscriber->ending_at = 0; /* what was seen beyond it is in doubt: nothing more is handed up */
    }

    FAULT("consumed");
    /* The owner is never called from inside its own call: poll, or the timer, does it in the next turn. */
    if (subscriber->ending[0] != '\0' || subscriber->is_taking_told) {
        arm(subscriber, 0);
    } else if (!subscriber->is_paused) {
        (void)peek_await(peek, 1);
        link_poll(subscriber->link, true);
    }
}

void subscriber_retry(struct subscriber *subscriber, int64_t delay_ms)
{
    if (is_up(subscriber) && subscriber->is_batch_out)
        arm(subscriber, delay_ms > 0 ? (uint64_t)delay_ms : 0);
}

void subscriber_pause(struct subscriber *subscriber)
{
    subscriber->is_paused = true;
    if (subscriber->state == SUBSCRIBED) {
        link_poll(subscriber->link, false);
        /* Unless it has something to tell: that the connection ends, or that it can be kept again. */
        if (!subscriber->is_batch_out && subscriber->ending[0] == '\0' &&
            subscriber->is_taking == subscriber->is_taking_told)
            uv_timer_stop(&subscriber->timer);
    }
}

void subscriber_resume(struct subscriber *subscriber)
{
    if (!subscriber->is_paused)
        return;
    subscriber->is_paused = false;
    if (subscriber->state == SUBSCRIBED && !subscriber->is_batch_out)
        arm(subscriber, 0);
}

void subscriber_reset(struct subscriber *subscriber, const char *reason)
{
    if (!is_up(subscriber) || subscriber->ending[0] != '\0')
        return;
    snprintf(subscriber->ending, sizeof(subscriber->ending), "%s", reason);
    subscriber->ending_at = subscriber->peek.consumed + peek_waiting(&subscriber->peek);
    if (!subscriber->is_batch_out)
        arm(subscriber, 0);
}

bool subscriber_is_subscribed(const struct subscriber *subscriber)
{
    return subscriber->state == SUBSCRIBED;
}

int subscriber_descriptor(const struct subscriber *subscriber)
{
    return subscriber->state == SUBSCRIBED && !subscriber->is_taking ? subscriber->peek.fd : -1;
}
