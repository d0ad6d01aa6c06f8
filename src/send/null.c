/* null.c - sends nothing and answers as it is told: a dry run, and the double of a provider in tests.
 *
 * `behaviour` is a list, separated by commas: the n-th attempt of each delivery gets the n-th entry, and all
 * later ones the last. An entry is
 *
 *     ok           accepted (250)
 *     temporary    refused for now (450)
 *     throttled    refused with "rate limited" (421)
 *     permanent    refused for good (550)
 *     refused      no connection
 *     unknown      committed, and no answer came
 *     hang         no end, until the lane stops or the delivery may no longer be sent
 *
 * and may carry a delay before the answer: "ok:20ms", "temporary:1500ms". Everything is rendered first, as
 * for sending. The lane's threads. */
#include <ctype.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "herald/clock.h"
#include "render.h"

#define MAX_DELAY_MS 600000 /* as long as the longest real wait, for a mail server's final reply */
#define SLICE_MS 50         /* how soon a hanging attempt sees that it is over */

enum answer {
    ANSWER_OK,
    ANSWER_TEMPORARY,
    ANSWER_THROTTLED,
    ANSWER_PERMANENT,
    ANSWER_REFUSED,
    ANSWER_UNKNOWN,
    ANSWER_HANG
};

static const struct {
    const char *name;
    enum answer answer;
} answers[] = {
    {"ok", ANSWER_OK},
    {"temporary", ANSWER_TEMPORARY},
    {"throttled", ANSWER_THROTTLED},
    {"permanent", ANSWER_PERMANENT},
    {"refused", ANSWER_REFUSED},
    {"unknown", ANSWER_UNKNOWN},
    {"hang", ANSWER_HANG},
};

struct step {
    enum answer answer;
    int delay_ms;
};

struct null {
    struct worker *worker; /* borrowed: owns us */
    struct buffer message;
};

static const char *behaviour_of(const struct config_provider *provider)
{
    return provider->behaviour != NULL ? provider->behaviour : "ok";
}

/* ":20ms", or nothing at all. */
static bool parse_delay(const char *text, size_t len, int *ret)
{
    long delay_ms = 0;
    size_t at = 1;

    if (len == 0) {
        *ret = 0;
        return true;
    }
    if (text[0] != ':')
        return false;
    for (; at < len && isdigit((unsigned char)text[at]); at++) {
        delay_ms = delay_ms * 10 + (text[at] - '0');
        if (delay_ms > MAX_DELAY_MS)
            return false;
    }
    if (at == 1 || len - at != 2 || memcmp(text + at, "ms", 2) != 0)
        return false;
    *ret = (int)delay_ms;
    return true;
}

static bool parse_step(const char *text, size_t len, struct step *ret)
{
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        size_t name_len = strlen(answers[i].name);
        if (len < name_len || memcmp(text, answers[i].name, name_len) != 0 ||
            (len > name_len && text[name_len] != ':'))
            continue;
        ret->answer = answers[i].answer;
        return parse_delay(text + name_len, len - name_len, &ret->delay_ms);
    }
    return false;
}

/* The entry for the n-th attempt (from 1), or the last one. False if one on the way there is no entry. */
static bool find_step(const char *behaviour, unsigned attempt, struct step *ret)
{
    const char *at = behaviour;

    for (unsigned i = 1;; i++) {
        size_t len = strcspn(at, ",");
        if (!parse_step(at, len, ret))
            return false;
        if (i >= attempt || at[len] == '\0')
            return true;
        at += len + 1;
    }
}

static bool check(const struct config_provider *provider, struct err *err)
{
    struct step step;

    if (find_step(behaviour_of(provider), ~0U, &step))
        return true;
    return err_set(
        err, ERR_CONFIG,
        "behaviour: '%s': expected a list of ok, temporary, throttled, permanent, refused, unknown or hang, "
        "each with or without a delay as in ok:20ms (at most %dms)",
        behaviour_of(provider), MAX_DELAY_MS);
}

static void shape(const struct config_provider *provider, size_t *ret_threads, size_t *ret_transfers)
{
    *ret_threads = *ret_transfers = provider->connections;
}

static bool open_worker(struct worker *worker, void **ret, struct err *err)
{
    if (!check(worker->provider, err))
        return false;
    struct null *null = calloc(1, sizeof(*null));
    if (null == NULL)
        return err_set(err, ERR_NOMEM, "null: out of memory");
    null->worker = worker;
    buffer_init(&null->message, RENDER_MAX_BYTES);
    *ret = null;
    return true;
}

static void close_worker(void *state)
{
    struct null *null = state;

    if (null == NULL)
        return;
    buffer_done(&null->message);
    free(null);
}

/* False if the wait was cut short because the delivery may no longer be sent, or, for one without end,
 * because the lane stops. */
static bool wait_out(struct null *null, struct delivery *delivery, const struct step *step)
{
    bool is_endless = step->answer == ANSWER_HANG;
    int64_t until_us = clock_mono_us() + INT64_C(1000) * step->delay_ms;

    for (int64_t now_us; (now_us = clock_mono_us()) < until_us || is_endless;) {
        int64_t left_ms = is_endless ? SLICE_MS : (until_us - now_us + 999) / 1000;
        worker_is_alive(null->worker);
        if (!worker_may_commit(null->worker, delivery)) {
            delivery->attempt.abort = ABORT_LEASE;
            return false;
        }
        if (is_endless && worker_is_stopping(null->worker)) {
            delivery->attempt.abort = ABORT_STOPPED;
            return false;
        }
        poll(NULL, 0, left_ms < SLICE_MS ? (int)left_ms : SLICE_MS);
    }
    return true;
}

static void answer(struct attempt *attempt, int code, const char *reply)
{
    attempt->code = code;
    worker_note(attempt, reply, strlen(reply));
}

static void pretend(struct null *null, struct delivery *delivery)
{
    struct attempt *attempt = &delivery->attempt;
    struct step step = {.answer = ANSWER_OK};

    (void)find_step(behaviour_of(null->worker->provider), delivery->attempt_number,
                    &step); /* open has checked it */
    if (!wait_out(null, delivery, &step))
        return;
    if (step.answer == ANSWER_REFUSED) {
        attempt->transport = TRANSPORT_CONNECT;
        return;
    }
    if (!worker_commit(null->worker, delivery)) {
        attempt->abort = ABORT_LEASE;
        return;
    }
    attempt->first_byte_mono_us = clock_mono_us();
    switch (step.answer) {
    case ANSWER_OK:
        answer(attempt, 250, "ok");
        break;
    case ANSWER_TEMPORARY:
        answer(attempt, 450, "try again");
        break;
    case ANSWER_THROTTLED:
        answer(attempt, 421, "rate limited");
        break;
    case ANSWER_PERMANENT:
        answer(attempt, 550, "refused");
        break;
    case ANSWER_UNKNOWN:
        attempt->transport = TRANSPORT_TIMEOUT;
        break;
    case ANSWER_REFUSED:
    case ANSWER_HANG:
        break; /* dealt with above */
    }
}

static void begin(void *state, struct delivery *delivery)
{
    struct null *null = state;

    if (worker_render(null->worker, delivery, &null->message))
        pretend(null, delivery);
    worker_finish(null->worker, delivery);
    worker_trim(&null->message);
}

const struct driver driver_null = {
    .name = "null",
    .protocol = ATTEMPT_LOCAL,
    .check = check,
    .shape = shape,
    .open = open_worker,
    .close = close_worker,
    .begin = begin,
};
