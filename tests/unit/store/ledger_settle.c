/* start, extend, release, sent, fail: what happens to leases, and who may say so. */
#include <criterion/criterion.h>

#include "ledger_world.h"

#define E1 "aaaaaaaaaaaaaaaaaaaaaaa1"
#define E2 "aaaaaaaaaaaaaaaaaaaaaaa2"

TestSuite(ledger_settle, .init = world_start, .fini = world_stop, .timeout = 60);

static void accept_order(struct order order)
{
    world_accept(world_ledger(), order);
    cr_assert_eq(world_err.kind, ERR_NONE, "%s", world_err.text);
}

static struct ledger_item item_of(const char *eid, unsigned ordinal, uint64_t fence)
{
    return (struct ledger_item){
        .eid = eid, .ordinal = ordinal, .fence = fence, .attempts = 1, .text = "250 ok"};
}

static int sent(const char *eid, unsigned ordinal, uint64_t fence)
{
    return world_settle(ledger_sent, item_of(eid, ordinal, fence));
}

static int fail_as(const char *eid, uint64_t fence, int what)
{
    struct ledger_item item = item_of(eid, 0, fence);
    item.what = what == 0 ? FAIL_DEFER : what == 1 ? FAIL_DEAD : FAIL_UNKNOWN;
    item.text = "550 no";
    item.delay_ms = 1000;
    return world_settle(ledger_fail, item);
}

static void claim_all(void)
{
    world_claim(world_ledger(), (struct claim_call){0});
    cr_assert_eq(world_err.kind, ERR_NONE, "%s", world_err.text);
}

static bool has_payload(const char *eid)
{
    return world_number("EXISTS herald:{0}:p:%s", eid) == 1;
}

Test(ledger_settle, sent_ends_a_delivery_and_with_the_last_one_the_payload_goes)
{
    accept_order((struct order){.eid = E1, .capacity = 2, .targets = 2});
    world_advance_ms(7);
    cr_assert_eq(sent(E1, 0, 1), 1);
    cr_assert_eq(world_record(E1, 0).state, 'S');
    cr_assert_eq(world_record(E1, 0).attempts, 1);
    cr_assert_eq(world_record(E1, 0).at_ms, 7);
    cr_assert(has_payload(E1), "the other is open");
    cr_assert_eq(world_number("PTTL herald:{0}:e:" E1), -1);
    cr_assert_eq(sent(E1, 1, 1), 1);
    cr_assert_not(has_payload(E1));
    cr_assert_eq(world_number("PTTL herald:{0}:e:" E1), WORLD_RETAIN_MS);
    cr_assert_eq(world_number("EXISTS herald:{0}:x:" E1), 0, "first-attempt successes have no history");
    cr_assert_eq(world_number("EXISTS herald:{0}:lease"), 0);
}

Test(ledger_settle, both_deliveries_of_an_event_may_be_sent_in_one_call)
{
    accept_order((struct order){.eid = E1, .capacity = 3, .targets = 3});
    struct ledger_item items[4] = {item_of(E1, 0, 1), item_of(E1, 1, 1), item_of(E1, 1, 1),
                                   item_of(E1, 2, 1)};
    int answers[4];
    cr_assert(world_settle_many(ledger_sent, items, 4, answers));
    cr_assert_eq(answers[0], 1);
    cr_assert_eq(answers[1], 1);
    cr_assert_eq(answers[2], 2);
    cr_assert_eq(answers[3], 1);
    cr_assert_not(has_payload(E1));
}

Test(ledger_settle, sent_is_believed_from_every_state_and_any_fence)
{
    static const char states[] = "ADLUXR";
    for (size_t i = 0; states[i] != '\0'; i++) {
        char eid[EVENT_EID_CHARS + 1];
        snprintf(eid, sizeof eid, "b%023zu", i);
        accept_order((struct order){.eid = eid, .lane = "other", .capacity = states[i] != 'A'});
        if (states[i] == 'D')
            cr_assert_eq(fail_as(eid, 1, 0), 1);
        if (states[i] == 'X' || states[i] == 'R')
            cr_assert_eq(fail_as(eid, 1, 1), 1);
        if (states[i] == 'U')
            cr_assert_eq(fail_as(eid, 1, 2), 1);
        if (states[i] == 'R')
            cr_assert_eq(world_drop(eid, 0), 1);
        cr_assert_eq(world_record(eid, 0).state, states[i]);
        world_advance_ms(10);
        cr_assert_eq(sent(eid, 0, 77), 3, "%c: noted, though it was not that lease", states[i]);
        cr_assert_eq(world_record(eid, 0).state, 'S');
        cr_assert_not(has_payload(eid));
        cr_assert(world_history_has(eid, "0 sent 250 ok"));
        cr_assert_eq(world_number("PTTL herald:{0}:e:%s", eid),
                     states[i] == 'R' ? WORLD_RETAIN_MS - 10 : WORLD_RETAIN_MS);
        cr_assert_eq(sent(eid, 0, 77), 2, "the answer was lost, so it is said again");
    }
}

Test(ledger_settle, sent_of_something_unknown_is_told_apart)
{
    accept_order((struct order){.eid = E1});
    cr_assert_eq(sent(E2, 0, 1), 0);
    cr_assert_eq(sent(E1, 5, 1), 0);
    cr_assert_eq(world_number("EXISTS herald:{0}:e:" E2), 0);
}

Test(ledger_settle, a_yes_that_comes_before_its_event_waits_for_it)
{
    cr_assert_eq(sent(E2, 1, 4), 0);
    cr_assert_eq(world_number("PTTL herald:{0}:early"), WORLD_RETAIN_MS);
    accept_order((struct order){.eid = E1, .capacity = 1});
    cr_assert_eq(world_record(E1, 0).state, 'L', "that is of another event");
    accept_order((struct order){.eid = E2, .capacity = 2, .targets = 2});
    cr_assert_eq(world_record(E2, 0).state, 'L');
    cr_assert_eq(world_record(E2, 1).state, 'S');
    cr_assert_eq(world_record(E2, 1).attempts, 1);
    cr_assert(has_payload(E2), "the other is open");
    cr_assert(world_history_has(E2, "1 sent before Redis lost the event"));
    cr_assert_eq(world_number("EXISTS herald:{0}:early"), 0);
    cr_assert_eq(sent(E2, 0, 1), 1);
    cr_assert_not(has_payload(E2));
    cr_assert_eq(world_number("PTTL herald:{0}:e:" E2), WORLD_RETAIN_MS);
    cr_assert_eq(world_number("ZCARD herald:{0}:due:mail"), 0);
}

Test(ledger_settle, what_may_have_been_sent_waits_for_its_event_too_and_other_failures_do_not)
{
    cr_assert_eq(fail_as(E1, 1, 2), 0);
    cr_assert_eq(fail_as(E2, 1, 1), 0);
    cr_assert_eq(fail_as(E2, 1, 0), 0);
    accept_order((struct order){.eid = E1, .capacity = 1});
    accept_order((struct order){.eid = E2, .capacity = 1});
    cr_assert_eq(world_record(E1, 0).state, 'U');
    cr_assert_eq(world_number("ZCARD herald:{0}:unknown"), 1);
    cr_assert_eq(world_record(E2, 0).state, 'L');
}

Test(ledger_settle, answers_without_an_event_are_bounded_and_harm_nothing_where_their_key_is_foreign)
{
    world_number("SET herald:{0}:early foreign");
    cr_assert_eq(sent(E1, 0, 1), 0);
    accept_order((struct order){.eid = E1, .capacity = 1});
    cr_assert_eq(world_record(E1, 0).state, 'L');
    world_number("DEL herald:{0}:early");
    cr_assert_eq(world_number("EVAL %s 1 herald:{0}:early",
                              "for i = 1, 300000 do redis.call('HSET', KEYS[1], i, '') end return 1"),
                 1);
    cr_assert_eq(sent(E2, 0, 1), 0);
    cr_assert_eq(world_number("HLEN herald:{0}:early"), 300000);
}

Test(ledger_settle, a_success_after_a_failure_is_told_with_the_providers_words)
{
    accept_order((struct order){.eid = E1, .capacity = 1});
    cr_assert_eq(fail_as(E1, 1, 0), 1);
    world_advance_ms(1000);
    claim_all();
    struct ledger_item item = item_of(E1, 0, 3);
    item.attempts = 2;
    cr_assert_eq(world_settle(ledger_sent, item), 1);
    cr_assert_eq(world_record(E1, 0).attempts, 2);
    cr_assert(world_history_has(E1, "retry "));
    cr_assert(world_history_has(E1, "0 sent 250 ok"));
    cr_assert_eq(world_number("PTTL herald:{0}:x:" E1), WORLD_RETAIN_MS);
}

Test(ledger_settle, a_temporary_failure_defers_and_raises_the_fence)
{
    accept_order((struct order){.eid = E1, .capacity = 1});
    cr_assert_eq(fail_as(E1, 1, 0), 1);
    struct ledger_record record = world_record(E1, 0);
    cr_assert_eq(record.state, 'D');
    cr_assert_eq(record.fence, 2);
    cr_assert_eq(record.attempts, 1);
    cr_assert_eq(record.at_ms, 1000);
    cr_assert_eq(world_number("ZSCORE herald:{0}:again:mail " E1 ":0"), world_now_ms() + 1000);
    cr_assert(world_history_has(E1, "550 no"));
    cr_assert_eq(fail_as(E1, 1, 0), 0, "said again: nothing happens twice");
    cr_assert_eq(world_record(E1, 0).fence, 2);
}

Test(ledger_settle, a_permanent_failure_is_dead_and_keeps_its_payload_without_ttl)
{
    accept_order((struct order){.eid = E1, .capacity = 1});
    cr_assert_eq(fail_as(E1, 1, 1), 1);
    cr_assert_eq(world_record(E1, 0).state, 'X');
    cr_assert_eq(world_record(E1, 0).fence, 1);
    cr_assert_eq(world_number("ZSCORE herald:{0}:dead " E1 ":0"), world_now_ms());
    cr_assert(world_history_has(E1, "0 dead 550 no"));
    cr_assert(has_payload(E1));
    world_advance_ms(365 * DAY_MS);
    cr_assert_eq(world_record(E1, 0).state, 'X');
    cr_assert_eq(fail_as(E1, 1, 1), 0);
}

Test(ledger_settle, an_unknown_outcome_is_parked)
{
    accept_order((struct order){.eid = E1, .capacity = 1, .hold = true});
    cr_assert_eq(world_settle(ledger_start, item_of(E1, 0, 1)), 1);
    cr_assert_eq(world_record(E1, 0).flags, 3);
    cr_assert_eq(fail_as(E1, 1, 2), 1);
    cr_assert_eq(world_record(E1, 0).state, 'U');
    cr_assert_eq(world_record(E1, 0).flags, 2, "started belongs to a lease");
    cr_assert_eq(world_number("ZSCORE herald:{0}:unknown " E1 ":0"), world_now_ms());
    cr_assert(world_history_has(E1, "0 unknown 550 no"));
}

Test(ledger_settle, start_is_noted_again_and_again)
{
    accept_order((struct order){.eid = E1, .capacity = 1});
    cr_assert_eq(world_settle(ledger_start, item_of(E1, 0, 1)), 1);
    cr_assert_eq(world_settle(ledger_start, item_of(E1, 0, 1)), 1);
    cr_assert_eq(world_record(E1, 0).flags, 1);
}

Test(ledger_settle, extend_makes_it_a_lease_from_now)
{
    accept_order((struct order){.eid = E1, .capacity = 1});
    world_advance_ms(20000);
    cr_assert_eq(world_settle(ledger_extend, item_of(E1, 0, 1)), 1);
    cr_assert_eq(world_record(E1, 0).at_ms, 20000 + WORLD_LEASE_MS);
    world_advance_ms(WORLD_LEASE_MS - 1);
    int64_t counts[3];
    cr_assert_eq(world_reap(10, counts), 0);
    world_advance_ms(1);
    cr_assert_eq(world_reap(10, counts), 1);
}

Test(ledger_settle, release_puts_it_back_as_it_was)
{
    accept_order((struct order){.eid = E1, .targets = 2});
    int64_t accepted_ms = world_now_ms();
    world_advance_ms(5000);
    claim_all();
    cr_assert_eq(world_settle(ledger_start, item_of(E1, 0, 1)), 1);
    cr_assert_eq(world_settle(ledger_release, item_of(E1, 0, 1)), 1);
    struct ledger_record record = world_record(E1, 0);
    cr_assert_eq(record.state, 'A');
    cr_assert_eq(record.fence, 2);
    cr_assert_eq(record.attempts, 0);
    cr_assert_eq(record.crashes, 0);
    cr_assert_eq(record.flags, 0);
    cr_assert_eq(world_number("ZSCORE herald:{0}:due:mail " E1 ":0"), accepted_ms, "it keeps its place");
    cr_assert_eq(world_settle(ledger_release, item_of(E1, 0, 1)), 0);
}

Test(ledger_settle, release_of_a_retry_is_a_retry_again)
{
    accept_order((struct order){.eid = E1, .capacity = 1});
    cr_assert_eq(fail_as(E1, 1, 0), 1);
    world_advance_ms(1000);
    claim_all();
    cr_assert_eq(world_settle(ledger_release, item_of(E1, 0, 3)), 1);
    cr_assert_eq(world_record(E1, 0).state, 'D');
    cr_assert_eq(world_record(E1, 0).attempts, 1);
    cr_assert_eq(world_number("ZSCORE herald:{0}:again:mail " E1 ":0"), world_now_ms());
}

Test(ledger_settle, a_stale_fence_changes_nothing)
{
    static world_items_fn *const calls[] = {ledger_start, ledger_extend, ledger_release, ledger_fail};
    accept_order((struct order){.eid = E1, .capacity = 1});
    cr_assert_eq(world_settle(ledger_release, item_of(E1, 0, 1)), 1);
    claim_all();
    cr_assert_eq(world_record(E1, 0).fence, 3);
    char before[80];
    snprintf(before, sizeof before, "%s", world_text("HGET herald:{0}:e:" E1 " 0"));
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        for (uint64_t fence = 0; fence < 6; fence++)
            cr_assert(fence == 3 || world_settle(calls[i], item_of(E1, 0, fence)) == 0, "call %zu, fence %d",
                      i, (int)fence);
        cr_assert_eq(world_settle(calls[i], item_of(E2, 0, 1)), 0, "unknown");
        cr_assert_str_eq(world_text("HGET herald:{0}:e:" E1 " 0"), before);
    }
}

Test(ledger_settle, no_lease_can_be_touched_where_there_is_none)
{
    static world_items_fn *const calls[] = {ledger_start, ledger_extend, ledger_release, ledger_fail};
    accept_order((struct order){.eid = E1});
    accept_order((struct order){.eid = E2, .lane = "other", .capacity = 1});
    cr_assert_eq(fail_as(E2, 1, 1), 1);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        cr_assert_eq(world_settle(calls[i], item_of(E1, 0, 0)), 0);
        cr_assert_eq(world_settle(calls[i], item_of(E2, 0, 1)), 0);
    }
    cr_assert_eq(world_record(E1, 0).state, 'A');
    cr_assert_eq(world_record(E2, 0).state, 'X');
}

Test(ledger_settle, outcomes_are_taken_by_a_redis_that_is_full)
{
    accept_order((struct order){.eid = E1, .capacity = 5, .targets = 5});
    accept_order((struct order){.eid = E2, .capacity = 5, .targets = 1});
    world_ask("CONFIG SET maxmemory 1");
    cr_assert_eq(world_settle(ledger_start, item_of(E1, 0, 1)), 1, "%s", world_err.text);
    cr_assert_eq(world_settle(ledger_extend, item_of(E1, 0, 1)), 1, "%s", world_err.text);
    cr_assert_eq(sent(E1, 0, 1), 1, "%s", world_err.text);
    cr_assert_eq(world_settle(ledger_release, item_of(E1, 1, 1)), 1, "%s", world_err.text);
    for (int what = 0; what < 3; what++) {
        struct ledger_item item = item_of(E1, 2 + (unsigned)what, 1);
        item.what = what == 0 ? FAIL_DEFER : what == 1 ? FAIL_DEAD : FAIL_UNKNOWN;
        cr_assert_eq(world_settle(ledger_fail, item), 1, "%s", world_err.text);
    }
    world_ask("SCRIPT FLUSH");
    cr_assert_eq(sent(E2, 0, 1), 1, "as EVAL too: %s", world_err.text);
    cr_assert_eq(world_settle(ledger_replay, (struct ledger_item){.eid = E1, .ordinal = 3}), -1);
    cr_assert_eq(world_err.kind, ERR_TRANSIENT, "%s", world_err.text);
    cr_assert_eq(world_settle(ledger_cancel, (struct ledger_item){.eid = E1, .ordinal = 1}), 1, "%s",
                 world_err.text);
    cr_assert_eq(world_drop(E1, 3), 1, "%s", world_err.text);
    world_ask("CONFIG SET maxmemory 0");
}

Test(ledger_settle, the_most_items_of_one_call)
{
    static struct ledger_item items[LEDGER_MAX_ITEMS];
    static char eids[LEDGER_MAX_ITEMS][EVENT_EID_CHARS + 1];
    static int answers[LEDGER_MAX_ITEMS];
    for (unsigned i = 0; i < LEDGER_MAX_ITEMS; i++) {
        snprintf(eids[i], sizeof eids[i], "%024x", i);
        accept_order((struct order){.eid = eids[i], .capacity = 1});
        items[i] = item_of(eids[i], 0, 1);
    }
    cr_assert(world_settle_many(ledger_extend, items, LEDGER_MAX_ITEMS, answers));
    cr_assert(world_settle_many(ledger_sent, items, LEDGER_MAX_ITEMS, answers));
    for (size_t i = 0; i < LEDGER_MAX_ITEMS; i++)
        cr_assert_eq(answers[i], 1);
}

Test(ledger_settle, absurd_numbers_stay_packed)
{
    accept_order((struct order){.eid = E1, .lane = "a-lane-of-20-chars-x", .capacity = 1, .hold = true});
    world_ask("HSET herald:{0}:e:" E1 " 0 %s",
              "L 99999998 998 5000 60000 2 a-lane-of-20-chars-x " WORLD_OWNER);
    struct ledger_item item = item_of(E1, 0, 99999998);
    item.attempts = 4000000000u;
    item.delay_ms = 366 * DAY_MS;
    world_advance_ms(366 * DAY_MS);
    cr_assert_eq(world_settle(ledger_fail, item), 1);
    cr_assert_eq(world_record(E1, 0).attempts, 999);
    cr_assert_eq(world_record(E1, 0).crashes, 999);
    cr_assert_eq(world_record(E1, 0).fence, 99999999);
}

Test(ledger_settle, no_text_is_empty_text)
{
    accept_order((struct order){.eid = E1, .capacity = 1});
    struct ledger_item item = {.eid = E1, .fence = 1, .attempts = 1};
    item.what = FAIL_DEAD;
    cr_assert_eq(world_settle(ledger_fail, item), 1);
}

Test(ledger_settle, a_foreign_history_key_does_not_stop_an_outcome)
{
    accept_order((struct order){.eid = E1, .capacity = 1});
    world_ask("SET herald:{0}:x:" E1 " foreign");
    cr_assert_eq(fail_as(E1, 1, 1), 1);
    cr_assert_eq(world_record(E1, 0).state, 'X');
    world_ask("DEL herald:{0}:x:" E1);
}

Test(ledger_settle, a_foreign_event_key_harms_no_other_item_of_the_call)
{
    accept_order((struct order){.eid = E1, .capacity = 1});
    world_ask("SET herald:{0}:e:" E2 " foreign");
    struct ledger_item items[2] = {item_of(E2, 0, 1), item_of(E1, 0, 1)};
    int answers[2];
    static world_items_fn *const calls[] = {ledger_start, ledger_extend, ledger_sent};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        cr_assert(world_settle_many(calls[i], items, 2, answers), "%s", world_err.text);
        cr_assert_eq(answers[0], 0);
        cr_assert_eq(answers[1], 1);
    }
    world_ask("DEL herald:{0}:e:" E2);
}

static void on_lost_sent(void *arg, const int *answers, size_t count, const struct err *err)
{
    (void)answers, (void)count;
    *(enum err_kind *)arg = err != NULL ? err->kind : ERR_NONE;
}

Test(ledger_settle, an_outcome_whose_answer_was_lost_is_said_again)
{
    accept_order((struct order){.eid = E1, .capacity = 1});
    struct ledger_item item = item_of(E1, 0, 1);
    enum err_kind kind = ERR_NONE;
    struct err err;
    world_cut();
    cr_assert(ledger_sent(world_ledger(), &item, 1, on_lost_sent, &kind, &err));
    cr_assert(world_await());
    cr_assert_eq(kind, ERR_TRANSIENT);
    world_reconnect();
    cr_assert_geq(sent(E1, 0, 1), 1);
    cr_assert_eq(world_record(E1, 0).state, 'S');
}
