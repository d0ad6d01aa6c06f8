/* Every step of the ledger in no order at all: after each one, records and indexes agree, fences have not
 * fallen, what is sent stays sent. */
#include <criterion/criterion.h>

#include "ledger_world.h"

#define EVENTS 6
#define TARGETS 3
#define STEPS 2400
#define FRESH_EVERY 120

TestSuite(ledger_walk, .init = world_start, .fini = world_stop, .timeout = 120);

static uint32_t seed;

static unsigned pick(unsigned below)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
}

static const char *eid_of(unsigned number)
{
    static char eid[EVENT_EID_CHARS + 1];
    snprintf(eid, sizeof eid, "%024x", number);
    return eid;
}

static void accept_something(const char *eid, const char *lane)
{
    struct order order = {.eid = eid,
                          .lane = lane,
                          .content = pick(20) == 0 ? "other" : NULL,
                          .capacity = pick(2) * pick(4),
                          .targets = 1 + pick(TARGETS),
                          .hold = pick(2) != 0,
                          .send_at_ms = pick(4) == 0 ? world_now_ms() + pick(20000) : 0,
                          .expires_at_ms = pick(6) == 0 ? world_now_ms() + pick(100000) : 0,
                          .dead_reason = pick(10) == 0 ? "no recipient" : NULL,
                          .note = pick(6) == 0 ? "a channel was skipped" : NULL,
                          .event_bytes = pick(300)};
    if (pick(2) == 0)
        order.recipient = (struct rate){1 + pick(5), 10000, 1 + pick(3)};
    if (pick(2) == 0)
        order.rate = (struct rate){1 + pick(50), 10000, 1 + pick(3)};
    world_accept(world_ledger(), order);
}

static void claim_something(const char *lane)
{
    struct accept_notification notification = {.name = "note", .rate = {1 + pick(50), 10000, 1 + pick(3)}};
    struct claim_call call = {.lane = lane,
                              .max = 1 + pick(8),
                              .max_age_ms = 1 + pick(HOUR_MS),
                              .hold = pick(2) != 0,
                              .notifications = &notification,
                              .notification_count = pick(2)};
    if (pick(2) == 0)
        call.recipient = (struct rate){1 + pick(5), 10000, 1 + pick(3)};
    if (pick(3) == 0)
        call.provider = (struct rate){1 + pick(5), 1000, 1 + pick(3)};
    world_claim(world_ledger(), call);
}

static void settle_something(const char *eid, unsigned ordinal)
{
    static world_items_fn *const calls[] = {ledger_start, ledger_extend, ledger_release, ledger_fail,
                                            ledger_fail,  ledger_sent,   ledger_replay,  ledger_cancel};
    struct ledger_item item = {
        .eid = eid, .ordinal = ordinal, .attempts = pick(5), .text = "250", .delay_ms = pick(60000)};
    item.fence = world_record(eid, ordinal).fence - (pick(5) == 0);
    item.what = pick(6) == 0 ? FAIL_DEAD : pick(6) == 0 ? FAIL_UNKNOWN : FAIL_DEFER;
    world_settle(calls[pick(sizeof calls / sizeof *calls)], item);
}

static void step(void)
{
    static const char *const lanes[] = {"mail", "other"};
    unsigned chosen = pick(2);
    const char *lane = lanes[chosen];
    const char *eid = eid_of(pick(EVENTS));
    unsigned ordinal = pick(TARGETS);
    int64_t counts[3];
    switch (pick(16)) {
    case 0:
        accept_something(eid, lane);
        break;
    case 1:
    case 2:
        claim_something(lane);
        break;
    case 3:
        world_reap(1 + pick(5), counts);
        break;
    case 4:
        world_drop(eid, ordinal);
        break;
    case 5:
        world_trim(world_ledger(), pick(8) * DAY_MS, pick(6), 1 + pick(3), counts);
        break;
    case 6:
        world_move(lanes[1 - chosen], lane, 1 + pick(5), counts);
        break;
    case 7:
        world_bury(lane, (1 + pick(10)) * HOUR_MS, 1 + pick(5), counts);
        break;
    case 8:
        world_advance_ms(pick(20) == 0 ? pick(2000000000) : pick(20000));
        world_err.kind = ERR_NONE;
        break;
    default:
        settle_something(eid, ordinal);
    }
}

Test(ledger_walk, records_and_indexes_agree_after_every_step)
{
    struct ledger_record before[EVENTS][TARGETS] = {0};
    unsigned seen[128] = {0};
    seed = 4711;
    for (unsigned i = 0; i < STEPS; i++) {
        if (i % FRESH_EVERY == 0) { /* or all would soon have ended */
            world_ask("FLUSHALL");
            memset(before, 0, sizeof before);
        }
        step();
        cr_assert_eq(world_err.kind, ERR_NONE, "step %u: %s", i, world_err.text);
        cr_assert_str_empty(world_fsck(), "step %u: %s", i, world_fsck());
        for (unsigned j = 0; j < EVENTS * TARGETS; j++) {
            struct ledger_record *was = &before[j / TARGETS][j % TARGETS];
            struct ledger_record is = world_record(eid_of(j / TARGETS), j % TARGETS);
            seen[(unsigned char)is.state]++;
            if (is.state != 0 && was->state != 0 && is.fence != UINT64_MAX) {
                cr_assert_geq(is.fence, was->fence, "step %u", i);
                cr_assert(was->state != 'S' || is.state == 'S', "step %u", i);
            }
            *was = is;
        }
    }
    for (const char *state = "ADLUXSR"; *state != '\0'; state++)
        cr_assert_gt(seen[(unsigned char)*state], 50, "it has been everywhere: %c %u", *state,
                     seen[(unsigned char)*state]);
}
