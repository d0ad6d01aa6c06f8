/* What becomes of a delivery that a lane handed back: the one place where an attempt's facts turn into a next
 * state. Lane threads report, this decides. Loop thread. */
#include <stddef.h>
#include <string.h>

#include "delivery_log.h"
#include "dispatch_private.h"
#include "herald/backoff.h"
#include "herald/clock.h"
#include "herald/hash.h"
#include "herald/log.h"

#define THROTTLED_DEFAULT_MS 15000 /* where the provider does not say how long */
/* Between two tries with a template that is missing or makes no JSON: an operator has to act. In time for one
 * who does at once, and rarer for one who sleeps. */
#define CONTENT_RETRY_MIN_MS INT64_C(60000)
#define CONTENT_RETRY_MAX_MS INT64_C(900000)

static void say_closed(struct station *station, const struct delivery *delivery)
{
    const struct attempt *attempt = &delivery->attempt;
    snprintf(station->trouble, sizeof station->trouble, "%s%s%s", delivery->outcome.reason,
             attempt->reply[0] != '\0' ? ": " : "", attempt->reply);
    const struct log_field none = {.type = LOG_NONE};
    LOG(LOG_LEVEL_WARNING, "lane.closed",
        "the provider fails: nothing is sent to it until it answers a probe",
        log_text(LOG_KEY_PROVIDER, station->provider->name),
        log_text(LOG_KEY_REASON, delivery->outcome.reason),
        delivery->attempt.code != 0 ? log_int(LOG_KEY_CODE, delivery->attempt.code) : none,
        log_text(LOG_KEY_REPLY, delivery->attempt.reply),
        log_int(LOG_KEY_WAIT_MS, station->breaker.until_mono_ms - clock_mono_ms()));
}

static void on_answer(struct station *station)
{
    if (breaker_on_success(&station->breaker)) {
        LOG(LOG_LEVEL_NOTICE, "lane.opened", "the provider answers again",
            log_text(LOG_KEY_PROVIDER, station->provider->name));
        station_wake(station);
    }
}

/* A refusal for policy (5.7.x) is about one recipient, until five different ones in a row say that it is
 * about us. */
static bool is_our_fault(struct station *station, const struct delivery *delivery)
{
    const char *enhanced = delivery->attempt.enhanced;
    if (enhanced[0] != '5' || enhanced[1] != '.' || enhanced[2] != '7')
        return false;
    uint8_t hash[HASH_BYTES];
    uint64_t recipient = 0;
    const struct hash_part part = {delivery->email, strlen(delivery->email)};
    hash_parts(&part, 1, hash);
    memcpy(&recipient, hash, sizeof recipient);
    for (unsigned i = 0; i < station->refused_count; i++)
        if (station->refused[i] == recipient)
            return station->refused_count == STATION_POLICY_REFUSALS;
    if (station->refused_count < STATION_POLICY_REFUSALS)
        station->refused[station->refused_count++] = recipient;
    return station->refused_count == STATION_POLICY_REFUSALS;
}

/* Why it is to be sent once more. One attempt, one verdict: each says its line. */
enum verdict { TRIED_AGAIN, WAITS /* no attempt spent */, SENT_AGAIN };

static void defer(struct dispatch *dispatch, struct delivery *delivery, enum verdict verdict,
                  int64_t delay_ms)
{
    unsigned attempts = delivery->attempt_number - (verdict == WAITS ? 1 : 0);
    if (verdict == SENT_AGAIN) {
        dispatch->options.counters->unknown++;
        delivery_log(LOG_LEVEL_WARNING, "delivery.unknown", "may have been sent: will be sent again",
                     delivery, delay_ms);
    } else {
        dispatch->options.counters->retried++;
        delivery_log(LOG_LEVEL_WARNING, "delivery.retry",
                     verdict == WAITS ? "not sent, waits without an attempt spent"
                                      : "not sent, will be tried again",
                     delivery, delay_ms);
    }
    settle_add(dispatch->settle, SETTLE_FAIL, delivery, FAIL_DEFER, attempts, delay_ms);
}

static void bury(struct dispatch *dispatch, struct delivery *delivery, const char *message)
{
    dispatch->options.counters->dead++;
    delivery_log(LOG_LEVEL_WARNING, "delivery.dead", message, delivery, -1);
    settle_add(dispatch->settle, SETTLE_FAIL, delivery, FAIL_DEAD, delivery->attempt_number, 0);
}

static void retry_later(struct dispatch *dispatch, const struct station *station, struct delivery *delivery,
                        enum verdict verdict)
{
    const struct config_provider *provider = station->provider;
    if (delivery->attempt_number >= provider->max_attempts) {
        bury(dispatch, delivery, "given up: too many attempts");
        return;
    }
    defer(dispatch, delivery, verdict,
          backoff_delay_ms(delivery->attempt_number, provider->backoff_base_ms, provider->backoff_max_ms,
                           dispatch_random()));
}

/* A quarter of its age: no attempt is counted that a backoff could count by. */
static int64_t content_delay_ms(const struct delivery *delivery)
{
    int64_t from_ms =
        delivery->send_at_ms > delivery->accepted_ms ? delivery->send_at_ms : delivery->accepted_ms;
    int64_t delay_ms = (clock_wall_ms() - from_ms) / 4;
    return delay_ms < CONTENT_RETRY_MIN_MS   ? CONTENT_RETRY_MIN_MS
           : delay_ms > CONTENT_RETRY_MAX_MS ? CONTENT_RETRY_MAX_MS
                                             : delay_ms;
}

static void on_destination(struct dispatch *dispatch, struct station *station, struct delivery *delivery)
{
    if (delivery->attempt.abort == ABORT_CONTENT) {
        /* The notification is broken, not the provider: nobody else has to wait for it. */
        breaker_on_unused(&station->breaker);
        defer(dispatch, delivery, WAITS, content_delay_ms(delivery));
        return;
    }
    int64_t now = clock_mono_ms();
    if (breaker_on_failure(&station->breaker, now, dispatch_random()))
        say_closed(station, delivery);
    int64_t open_ms = station->breaker.state == BREAKER_OPEN ? station->breaker.until_mono_ms - now : 0;
    defer(dispatch, delivery, WAITS, open_ms > BREAKER_MIN_OPEN_MS ? open_ms : BREAKER_MIN_OPEN_MS);
    station_wake(station);
}

static void on_unknown(struct dispatch *dispatch, struct station *station, struct delivery *delivery)
{
    if (station->provider->on_unknown == ON_UNKNOWN_HOLD) {
        dispatch->options.counters->unknown++;
        delivery_log(LOG_LEVEL_WARNING, "delivery.unknown", "may have been sent: held for an operator",
                     delivery, -1);
        settle_add(dispatch->settle, SETTLE_FAIL, delivery, FAIL_UNKNOWN, delivery->attempt_number, 0);
        return;
    }
    retry_later(dispatch, station, delivery, SENT_AGAIN);
}

bool judge_note(const struct delivery *delivery, struct journal_note *ret)
{
    const struct station *station = delivery->lane;
    struct outcome outcome;
    outcome_classify(&delivery->attempt, &outcome);
    if (outcome.class != OUTCOME_SENT &&
        (outcome.class != OUTCOME_UNKNOWN || station->provider->on_unknown != ON_UNKNOWN_HOLD))
        return false;
    *ret = (struct journal_note){.ordinal = delivery->ordinal,
                                 .fence = delivery->fence,
                                 .attempts = delivery->attempt_number,
                                 .answer = outcome.class == OUTCOME_SENT ? JOURNAL_SENT : JOURNAL_UNKNOWN};
    memcpy(ret->eid, delivery->eid, sizeof ret->eid);
    return true;
}

static void remember(struct dispatch *dispatch, const struct delivery *delivery)
{
    struct journal_note note;
    if (judge_note(delivery, &note))
        recall_answer(dispatch->options.recall, &note, clock_mono_ms());
}

/* How long it took, of an attempt that was begun. */
static void measure(const struct dispatch *dispatch, struct station *station, const struct delivery *delivery)
{
    struct tally *tally = dispatch->options.tally;
    const struct attempt *attempt = &delivery->attempt;
    if (attempt->abort != ABORT_NONE)
        return;
    pace_add(&station->pace, clock_mono_ms(), attempt->ended_mono_us - attempt->started_mono_us);
    if (tally == NULL)
        return;
    tally_time(tally, TIMING_WAIT, delivery->provider,
               attempt->started_mono_us - delivery->leased_mono_ms * 1000);
    tally_time(tally, TIMING_ATTEMPT, delivery->provider, attempt->ended_mono_us - attempt->started_mono_us);
    if (delivery->outcome.class != OUTCOME_SENT)
        return;
    int64_t due_ms =
        delivery->send_at_ms > delivery->accepted_ms ? delivery->send_at_ms : delivery->accepted_ms;
    bool is_fresh = delivery->received_mono_us > 0 && delivery->send_at_ms == 0;
    tally_time(tally, TIMING_DELIVERY, delivery->provider,
               is_fresh ? attempt->ended_mono_us - delivery->received_mono_us
                        : (clock_wall_ms() - due_ms) * 1000);
}

void judge_delivery(struct dispatch *dispatch, struct delivery *delivery)
{
    struct station *station = delivery->lane;
    const struct attempt *attempt = &delivery->attempt;
    station->held--;
    station->held_bytes -= delivery->bytes_len;
    outcome_classify(attempt, &delivery->outcome);
    remember(dispatch, delivery);
    measure(dispatch, station, delivery);
    if (delivery->outcome.class == OUTCOME_PERMANENT && is_our_fault(station, delivery))
        delivery->outcome.class = OUTCOME_DESTINATION;
    switch (delivery->outcome.class) {
    case OUTCOME_SENT:
        station->refused_count = 0;
        on_answer(station);
        dispatch->options.counters->sent++;
        delivery_log(LOG_LEVEL_INFO, "delivery.sent", "sent", delivery, -1);
        settle_add(dispatch->settle, SETTLE_SENT, delivery, 0, delivery->attempt_number, 0);
        break;
    case OUTCOME_PERMANENT:
        if (attempt->abort == ABORT_NONE)
            on_answer(station);
        else
            breaker_on_unused(&station->breaker);
        bury(dispatch, delivery, "refused for good");
        break;
    case OUTCOME_TEMPORARY:
        on_answer(station);
        retry_later(dispatch, station, delivery, TRIED_AGAIN);
        break;
    case OUTCOME_THROTTLED:
        on_answer(station);
        defer(dispatch, delivery, WAITS,
              attempt->retry_after_ms > 0
                  ? attempt->retry_after_ms
                  : backoff_delay_ms(1, THROTTLED_DEFAULT_MS, THROTTLED_DEFAULT_MS, dispatch_random()));
        break;
    case OUTCOME_DESTINATION:
        on_destination(dispatch, station, delivery);
        break;
    case OUTCOME_UNKNOWN:
        breaker_on_unused(&station->breaker);
        on_unknown(dispatch, station, delivery);
        break;
    case OUTCOME_RELEASED:
        breaker_on_unused(&station->breaker);
        dispatch->options.counters->released++;
        settle_add(dispatch->settle, SETTLE_RELEASE, delivery, 0, 0, 0);
        break;
    }
}
