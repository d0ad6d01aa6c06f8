/* handover.c - the subscription's socket in the service manager's store; see handover.h. Loop thread.
 *
 * The store hears of a change by a datagram. One that left before we died is read before our death is (the
 * manager gives notifications the precedence, to know whose they are), so what we said last holds even for a
 * kill -9 in the next instant, and nothing waits for an answer.
 */
#include "handover.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "herald/clock.h"
#include "herald/encode.h"
#include "herald/fault.h"
#include "herald/hash.h"
#include "herald/log.h"
#include "service.h"

#define NAME_PREFIX "subscription-"
#define NAME_HASH_BYTES 16
#define NAME_BYTES (sizeof NAME_PREFIX + 2 * (size_t)NAME_HASH_BYTES)
#define MAX_HEIRS 4 /* as many as the unit lets the store hold */
#define DRAIN_TICK_MS 100
/* An heir that our canary can't reach is drained when it has been silent so long: what Redis still holds for
 * it follows within a round trip. */
#define DRAIN_QUIET_MS 1000
/* One that never is silent (its Redis lives, at another address) may hold up the new subscription so long. */
#define DRAIN_MAX_MS 30000

struct heir {
    int fd; /* owned; -1 once a subscriber owns it */
    char name[NAME_BYTES];
};

struct handover {
    struct handover_options options;
    struct subscriber *subscriber; /* borrowed from the daemon, which closes it after us */
    struct heir heirs[MAX_HEIRS];  /* the first is being drained when `old` is set */
    size_t heir_count;
    struct subscriber *old; /* owned; NULL: none is being drained */
    int64_t old_since_ms, old_heard_ms;
    bool was_proved;
    bool is_waiting; /* for the run id: the subscriber is idle */
    bool is_paused;
    char run_id[64];
    char stored[NAME_BYTES]; /* the subscriber's socket is in the store under this name; "": it is not */
    uv_timer_t timer;        /* runs while an heir is drained */
    void (*on_closed)(void *arg);
    void *closed_arg;
};

static void drain_next(struct handover *handover);

/* What the subscription is. A socket with the same name gives exactly what a new one would. */
static void name_it(const struct handover *handover, char ret[NAME_BYTES])
{
    const struct subscriber_options *options = &handover->options.subscriber;
    const struct config_redis *redis = options->redis;
    const char *host = redis->socket_path != NULL ? redis->socket_path : redis->host;
    const int port = redis->socket_path != NULL ? 0 : redis->port;
    const struct hash_part server[] = {
        {handover->run_id, strlen(handover->run_id)}, {host, strlen(host)}, {&port, sizeof port}};
    uint8_t hash[HASH_BYTES];

    hash_parts(server, sizeof server / sizeof *server, hash);
    for (size_t i = 0; i < options->channel_count; i++) {
        const struct hash_part more[] = {{hash, sizeof hash},
                                         {options->channels[i], strlen(options->channels[i])}};
        hash_parts(more, sizeof more / sizeof *more, hash);
    }
    memcpy(ret, NAME_PREFIX, strlen(NAME_PREFIX));
    encode_hex(hash, NAME_HASH_BYTES, ret + strlen(NAME_PREFIX));
}

/* ── the store ── */

static void withdraw(struct handover *handover)
{
    if (handover->stored[0] != '\0')
        service_unstore(handover->stored);
    handover->stored[0] = '\0';
}

/* Brings the store to what is so. */
static void keep(struct handover *handover)
{
    char name[NAME_BYTES];
    int fd = subscriber_descriptor(handover->subscriber);
    if (fd < 0 || handover->run_id[0] == '\0')
        return;
    name_it(handover, name);
    if (strcmp(name, handover->stored) == 0)
        return;
    withdraw(handover); /* first: the store takes no socket twice, under whatever name */
    service_store(name, fd);
    memcpy(handover->stored, name, sizeof name);
    FAULT("subscription-stored");
}

/* Takes the first heir off the list, and out of the store. */
static void forget_first(struct handover *handover)
{
    struct heir heir = handover->heirs[0];
    handover->heir_count--;
    memmove(handover->heirs, handover->heirs + 1, handover->heir_count * sizeof *handover->heirs);
    if (heir.fd >= 0)
        close(heir.fd);
    service_unstore(heir.name);
    if (strcmp(heir.name, handover->stored) != 0)
        return;
    handover->stored[0] = '\0'; /* a name is removed with all that bear it */
    keep(handover);
}

/* ── what was passed to us ── */

static bool is_stream_socket(int fd)
{
    int type = 0;
    socklen_t len = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

static void on_passed(void *arg, int fd, const char *name)
{
    struct handover *handover = arg;
    if (strncmp(name, NAME_PREFIX, strlen(NAME_PREFIX)) != 0 || strlen(name) >= NAME_BYTES ||
        handover->heir_count == MAX_HEIRS || !is_stream_socket(fd)) {
        LOG(LOG_LEVEL_WARNING, "service.descriptor",
            "a descriptor that is not ours was passed, and is closed", log_text(LOG_KEY_REASON, name));
        close(fd);
        return;
    }
    struct heir *heir = &handover->heirs[handover->heir_count++];
    heir->fd = fd;
    snprintf(heir->name, sizeof heir->name, "%s", name);
}

/* The heir whose name is right becomes the daemon's subscription. */
static bool inherit(struct handover *handover)
{
    char name[NAME_BYTES];
    struct err err;
    name_it(handover, name);
    for (size_t i = 0; i < handover->heir_count; i++) {
        struct heir right = handover->heirs[i];
        if (strcmp(right.name, name) != 0)
            continue;
        handover->heir_count--;
        memmove(handover->heirs + i, handover->heirs + i + 1,
                (handover->heir_count - i) * sizeof *handover->heirs);
        if (subscriber_adopt(handover->subscriber, right.fd, &err)) {
            memcpy(handover->stored, name, sizeof name); /* a copy stays there when one is passed */
            FAULT("subscription-inherited");
            return true;
        }
        LOG(LOG_LEVEL_WARNING, "service.descriptor", "the stored subscription can't be taken over",
            log_text(LOG_KEY_REASON, err.text));
        service_unstore(right.name);
        return false;
    }
    return false;
}

void handover_on_server(struct handover *handover, const char *run_id)
{
    snprintf(handover->run_id, sizeof handover->run_id, "%s", run_id);
    if (!handover->is_waiting) {
        keep(handover);
        return;
    }
    handover->is_waiting = false;
    if (!inherit(handover)) {
        subscriber_begin(handover->subscriber);
        return;
    }
    if (handover->heir_count > 0)
        subscriber_pause(handover->subscriber);
    handover->options.on_inherited(handover->options.arg);
}

/* ── heirs ── */

static void on_old_batch(void *arg, const struct incoming *messages, size_t count)
{
    struct handover *handover = arg;
    handover->old_heard_ms = clock_mono_ms();
    handover->options.on_batch(handover->options.arg, handover->old, messages, count);
}

static void on_old_taking(void *arg, bool is_taking)
{
    struct handover *handover = arg;
    int fd = subscriber_descriptor(handover->old);
    if (is_taking)
        service_unstore(handover->heirs[0].name);
    else if (fd >= 0)
        service_store(handover->heirs[0].name, fd);
}

static void on_old_lost(void *arg, const char *reason)
{
    struct handover *handover = arg;
    uv_timer_stop(&handover->timer);
    subscriber_close(handover->old, NULL, NULL);
    handover->old = NULL;
    forget_first(handover);
    LOG(LOG_LEVEL_NOTICE, "redis.drained", "what waited in an earlier subscription's socket is safe",
        log_text(LOG_KEY_REASON, reason));
    drain_next(handover);
}

static void on_tick(uv_timer_t *timer)
{
    struct handover *handover = timer->data;
    int64_t now_ms = clock_mono_ms();
    if (now_ms - handover->old_heard_ms >= DRAIN_QUIET_MS)
        subscriber_reset(handover->old, "nothing more came");
    else if (now_ms - handover->old_since_ms >= DRAIN_MAX_MS)
        subscriber_reset(handover->old, "it did not end");
}

/* A subscriber on the heir's socket that never makes a connection of its own: it is closed when it loses this
 * one. */
static bool open_old(struct handover *handover, struct err *err)
{
    struct heir *heir = &handover->heirs[0];
    struct subscriber_options options = handover->options.subscriber;
    options.is_idle = true;
    options.callbacks = (struct subscriber_callbacks){
        .on_lost = on_old_lost, .on_batch = on_old_batch, .on_taking = on_old_taking, .arg = handover};
    if (!subscriber_open(&options, &handover->old, err))
        return false;
    int fd = heir->fd;
    heir->fd = -1;
    if (subscriber_adopt(handover->old, fd, err))
        return true;
    subscriber_close(handover->old, NULL, NULL);
    handover->old = NULL;
    return false;
}

static void drain_next(struct handover *handover)
{
    struct err err;
    while (handover->heir_count > 0) {
        handover->old_since_ms = handover->old_heard_ms = clock_mono_ms();
        if (open_old(handover, &err)) {
            uv_timer_start(&handover->timer, on_tick, DRAIN_TICK_MS, DRAIN_TICK_MS);
            return;
        }
        LOG(LOG_LEVEL_WARNING, "service.descriptor", "an earlier subscription's socket can't be read",
            log_text(LOG_KEY_REASON, err.text));
        forget_first(handover);
    }
    subscriber_resume(handover->subscriber);
    handover->options.on_drained(handover->options.arg, handover->was_proved);
}

bool handover_has_heirs(const struct handover *handover)
{
    return handover->heir_count > 0;
}

void handover_drain(struct handover *handover)
{
    if (handover->heir_count > 0 && handover->old == NULL && !handover->is_paused)
        drain_next(handover);
}

void handover_on_canary(struct handover *handover, const char *bytes, size_t len)
{
    size_t own = strlen(handover->options.incarnation);
    if (handover->old == NULL || len < own || memcmp(bytes, handover->options.incarnation, own) != 0)
        return;
    /* We publish canaries once the new subscription stands: what was published before is seen. */
    handover->was_proved = true;
    subscriber_reset(handover->old, "the new subscription stands");
}

/* ── the subscription ── */

void handover_on_subscribed(struct handover *handover)
{
    keep(handover);
    if (handover->heir_count > 0)
        subscriber_pause(handover->subscriber);
}

void handover_on_lost(struct handover *handover)
{
    withdraw(handover);
}

void handover_on_taking(struct handover *handover, bool is_taking)
{
    if (is_taking) {
        withdraw(handover);
        FAULT("subscription-withdrawn");
    } else {
        keep(handover);
    }
}

void handover_pause(struct handover *handover)
{
    handover->is_paused = true;
    uv_timer_stop(&handover->timer);
    if (handover->old != NULL)
        subscriber_pause(handover->old);
}

bool handover_open(const struct handover_options *options, struct handover **ret,
                   struct subscriber **ret_subscriber, struct err *err)
{
    struct handover *handover = calloc(1, sizeof *handover);
    if (handover == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    handover->options = *options;
    service_each_passed(on_passed, handover);
    handover->is_waiting = handover->heir_count > 0;
    handover->options.subscriber.is_idle = handover->is_waiting;
    if (!subscriber_open(&handover->options.subscriber, &handover->subscriber, err)) {
        free(handover);
        return false;
    }
    uv_timer_init(options->subscriber.loop, &handover->timer);
    handover->timer.data = handover;
    *ret_subscriber = handover->subscriber;
    *ret = handover;
    return true;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct handover *handover = handle->data;
    void (*on_closed)(void *arg) = handover->on_closed;
    void *arg = handover->closed_arg;
    free(handover);
    on_closed(arg);
}

void handover_close(struct handover *handover, void (*on_closed)(void *arg), void *arg)
{
    handover->on_closed = on_closed;
    handover->closed_arg = arg;
    if (handover->old != NULL)
        subscriber_close(handover->old, NULL, NULL);
    for (size_t i = 0; i < handover->heir_count; i++)
        if (handover->heirs[i].fd >= 0)
            close(handover->heirs[i].fd);
    uv_close((uv_handle_t *)&handover->timer, on_timer_closed);
}
