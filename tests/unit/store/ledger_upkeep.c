/* reap, replay, drop, cancel, trim, move, bury: what happens to what nobody holds. */
#include <criterion/criterion.h>
#include <inttypes.h>

#include "ledger_world.h"

#define E1 "aaaaaaaaaaaaaaaaaaaaaaa1"
#define E2 "aaaaaaaaaaaaaaaaaaaaaaa2"
#define E3 "aaaaaaaaaaaaaaaaaaaaaaa3"

TestSuite(ledger_upkeep, .init = world_start, .fini = world_stop, .timeout = 60);

static int64_t counts[3];

static void accept_order(struct order order)
{
    world_accept(world_ledger(), order);
    cr_assert_eq(world_err.kind, ERR_NONE, "%s", world_err.text);
}

static const char *eid_of(unsigned number)
{
    static char eid[EVENT_EID_CHARS + 1];
    snprintf(eid, sizeof eid, "%024x", number);
    return eid;
}

static struct ledger_item item_of(const char *eid, uint64_t fence)
{
    return (struct ledger_item){.eid = eid, .fence = fence, .attempts = 1, .text = "550 no"};
}

/* Leaves a delivery in the state, in the lane "other" unless a backlog there would
 * keep it from being leased. */
static void bring_to(const char *eid, char state)
{
    static unsigned lanes;
    char lane[CONFIG_MAX_NAME + 1];
    if (world_number("EXISTS herald:{0}:due:other") == 0)
        snprintf(lane, sizeof lane, "other");
    else
        snprintf(lane, sizeof lane, "other-%u", lanes++);
    accept_order((struct order){.eid = eid, .lane = lane, .capacity = state != 'A', .hold = true});
    struct ledger_item item = item_of(eid, 1);
    item.what = state == 'D' ? FAIL_DEFER : state == 'U' ? FAIL_UNKNOWN : FAIL_DEAD;
    item.delay_ms = 1000;
    if (strchr("DUXR", state) != NULL)
        cr_assert_eq(world_settle(ledger_fail, item), 1);
    if (state == 'R')
        cr_assert_eq(world_drop(eid, 0), 1);
    if (state == 'S')
        cr_assert_eq(world_settle(ledger_sent, item), 1);
    cr_assert_eq(world_record(eid, 0).state, state);
}

/* ── reap ── */

Test(ledger_upkeep, a_lease_that_is_over_comes_back_with_a_crash_and_a_new_fence)
{
    accept_order((struct order){.eid = E1, .capacity = 1});
    world_advance_ms(WORLD_LEASE_MS - 1);
    cr_assert_eq(world_reap(10, counts), 0);
    world_advance_ms(1);
    cr_assert_eq(world_reap(10, counts), 1);
    struct ledger_record record = world_record(E1, 0);
    cr_assert_eq(record.state, 'A');
    cr_assert_eq(record.fence, 2);
    cr_assert_eq(record.crashes, 1);
    cr_assert_eq(world_number("ZSCORE herald:{0}:due:mail " E1 ":0"), world_now_ms());
    cr_assert(world_history_has(E1, "0 reaped lease over"));
    cr_assert_eq(world_settle(ledger_fail, item_of(E1, 1)), 0,
                 "the owner that comes back too late has no say");
    cr_assert_eq(world_settle(ledger_sent, item_of(E1, 1)), 3, "but its success is believed");
}

Test(ledger_upkeep, a_retry_whose_lease_is_over_is_a_retry_again)
{
    bring_to(E1, 'D');
    world_advance_ms(1000);
    world_claim(world_ledger(), (struct claim_call){.lane = "other"});
    world_advance_ms(WORLD_LEASE_MS);
    cr_assert_eq(world_reap(10, counts), 1);
    cr_assert_eq(world_record(E1, 0).state, 'D');
}

Test(ledger_upkeep, what_had_started_where_hold_was_asked_for_is_unknown)
{
    accept_order((struct order){.eid = E1, .capacity = 1, .hold = true});
    accept_order((struct order){.eid = E2, .capacity = 1, .hold = true});
    cr_assert_eq(world_settle(ledger_start, item_of(E1, 1)), 1);
    world_advance_ms(WORLD_LEASE_MS);
    cr_assert_eq(world_reap(10, counts), 1);
    cr_assert_eq(counts[1], 1);
    cr_assert_eq(world_record(E1, 0).state, 'U');
    cr_assert_eq(world_record(E1, 0).crashes, 1);
    cr_assert(world_history_has(E1, "0 unknown lease over"));
    cr_assert_eq(world_record(E2, 0).state, 'A', "it had not started");
}

Test(ledger_upkeep, what_takes_three_owners_down_is_poison)
{
    accept_order((struct order){.eid = E1, .capacity = 1});
    accept_order((struct order){.eid = E2, .capacity = 1});
    for (unsigned crash = 1; crash <= 3; crash++) {
        if (crash > 1)
            cr_assert_eq(world_claim(world_ledger(), (struct claim_call){0})->result.claimed_count, 2);
        cr_assert_eq(world_settle(ledger_start, item_of(E1, world_record(E1, 0).fence)), 1);
        world_advance_ms(WORLD_LEASE_MS);
        world_reap(10, counts);
        cr_assert_eq(counts[2], crash == 3);
    }
    cr_assert_eq(world_record(E1, 0).state, 'X');
    cr_assert_eq(world_record(E1, 0).crashes, 3);
    cr_assert(world_history_has(E1, "0 dead poison"));
    cr_assert_eq(world_record(E2, 0).state, 'A', "it never started, so it was not to blame");
    cr_assert_eq(world_record(E2, 0).crashes, 3);
}

Test(ledger_upkeep, reap_takes_a_few_at_a_time_and_removes_strays)
{
    for (unsigned i = 0; i < 5; i++)
        accept_order((struct order){.eid = eid_of(i), .capacity = 1});
    bring_to(E1, 'A');
    world_ask("ZADD herald:{0}:lease 1 nonsense 2 " E2 ":0 3 " E1 ":0");
    world_advance_ms(WORLD_LEASE_MS);
    cr_assert_eq(world_reap(4, counts), 1, "three strays and one");
    cr_assert_eq(world_reap(3, counts), 3);
    cr_assert_eq(world_reap(3, counts), 1);
    cr_assert_eq(world_record(E1, 0).state, 'A');
}

/* ── replay, drop, cancel ── */

Test(ledger_upkeep, each_command_of_an_operator_works_on_its_states_only)
{
    static const struct {
        char state;
        int replay, drop, cancel;
    } rows[] = {{'A', 0, 0, 1}, {'D', 0, 0, 1}, {'L', 0, 0, 0}, {'U', 1, 1, 0},
                {'X', 1, 1, 0}, {'S', 0, 0, 0}, {'R', 0, 0, 0}};
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        bring_to(eid_of(i * 3), rows[i].state);
        cr_assert_eq(world_settle(ledger_replay, (struct ledger_item){.eid = eid_of(i * 3)}), rows[i].replay,
                     "replay %c", rows[i].state);
        bring_to(eid_of(i * 3 + 1), rows[i].state);
        cr_assert_eq(world_drop(eid_of(i * 3 + 1), 0), rows[i].drop, "drop %c", rows[i].state);
        bring_to(eid_of(i * 3 + 2), rows[i].state);
        cr_assert_eq(world_settle(ledger_cancel, (struct ledger_item){.eid = eid_of(i * 3 + 2)}),
                     rows[i].cancel, "cancel %c", rows[i].state);
    }
    cr_assert_eq(world_settle(ledger_replay, (struct ledger_item){.eid = eid_of(99)}), 0);
    cr_assert_eq(world_drop(eid_of(99), 0), 0);
    cr_assert_eq(world_settle(ledger_cancel, (struct ledger_item){.eid = eid_of(99)}), 0);
}

Test(ledger_upkeep, a_replay_starts_anew_with_the_same_identity)
{
    bring_to(E1, 'X');
    world_advance_ms(20 * DAY_MS);
    cr_assert_eq(world_settle(ledger_replay, (struct ledger_item){.eid = E1}), 1);
    struct ledger_record record = world_record(E1, 0);
    cr_assert_eq(record.state, 'A');
    cr_assert_eq(record.fence, 2);
    cr_assert_eq(record.attempts, 0);
    cr_assert_eq(record.crashes, 0);
    cr_assert(world_history_has(E1, "0 replayed"));
    world_advance_ms(WORLD_MAX_AGE_MS);
    struct claimed *claimed = world_claim(world_ledger(), (struct claim_call){.lane = "other"});
    cr_assert_eq(claimed->result.claimed_count, 1, "its age counts from the replay");
    cr_assert_eq(claimed->claimed[0]->attempt_number, 1);
    cr_assert_eq(claimed->claimed[0]->accepted_ms, world_now_ms() - 20 * DAY_MS - WORLD_MAX_AGE_MS,
                 "its identity does not");
    cr_assert_eq(world_settle(ledger_sent, item_of(E1, 3)), 1);
}

Test(ledger_upkeep, a_replay_ages_too)
{
    bring_to(E1, 'U');
    cr_assert_eq(world_settle(ledger_replay, (struct ledger_item){.eid = E1}), 1);
    world_advance_ms(WORLD_MAX_AGE_MS + 1);
    struct claimed *claimed = world_claim(world_ledger(), (struct claim_call){.lane = "other"});
    cr_assert_eq(claimed->result.claimed_count, 0);
    cr_assert_eq(claimed->result.dead_count, 1);
}

Test(ledger_upkeep, dropping_the_last_open_delivery_takes_the_payload_along)
{
    accept_order((struct order){.eid = E1, .capacity = 2, .targets = 2});
    struct ledger_item item = item_of(E1, 1);
    item.what = FAIL_DEAD;
    cr_assert_eq(world_settle(ledger_fail, item), 1);
    cr_assert_eq(world_drop(E1, 0), 1);
    cr_assert_eq(world_record(E1, 0).state, 'R');
    cr_assert_eq(world_number("EXISTS herald:{0}:p:" E1), 1);
    item.ordinal = 1;
    cr_assert_eq(world_settle(ledger_fail, item), 1);
    cr_assert_eq(world_drop(E1, 1), 1);
    cr_assert_eq(world_number("EXISTS herald:{0}:p:" E1), 0);
    cr_assert(world_history_has(E1, "1 dropped by an operator"));
    cr_assert_eq(world_number("PTTL herald:{0}:x:" E1), WORLD_RETAIN_MS);
    cr_assert_eq(world_number("GET herald:{0}:dead-bytes"), 0);
}

Test(ledger_upkeep, cancelled_is_dead_with_its_reason_and_can_be_replayed)
{
    bring_to(E1, 'D');
    cr_assert_eq(world_settle(ledger_cancel, (struct ledger_item){.eid = E1}), 1);
    cr_assert_eq(world_record(E1, 0).state, 'X');
    cr_assert(world_history_has(E1, "0 dead cancelled"));
    cr_assert_eq(world_number("EXISTS herald:{0}:again:other"), 0);
    cr_assert_eq(world_settle(ledger_replay, (struct ledger_item){.eid = E1}), 1);
}

Test(ledger_upkeep, a_reserved_slot_can_be_cancelled)
{
    struct rate rate = {1, HOUR_MS, 1};
    accept_order((struct order){.eid = E1, .capacity = 9, .recipient = rate});
    accept_order((struct order){.eid = E2, .capacity = 9, .recipient = rate});
    cr_assert_eq(world_record(E2, 0).flags, 8);
    cr_assert_eq(world_settle(ledger_cancel, (struct ledger_item){.eid = E2}), 1);
    cr_assert_eq(world_record(E2, 0).flags, 0);
}

/* ── trim ── */

Test(ledger_upkeep, the_dead_are_dropped_past_their_age)
{
    bring_to(E1, 'X');
    world_advance_ms(DAY_MS);
    bring_to(E2, 'X');
    world_advance_ms(29 * DAY_MS);
    cr_assert_eq(world_trim(world_ledger(), 30 * DAY_MS, 100, 100, counts), 1);
    cr_assert_eq(world_record(E1, 0).state, 'R');
    cr_assert(world_history_has(E1, "0 dropped trimmed"));
    cr_assert_eq(world_number("EXISTS herald:{0}:p:" E1), 0);
    cr_assert_eq(world_record(E2, 0).state, 'X');
}

Test(ledger_upkeep, the_oldest_dead_are_dropped_past_their_number_a_few_at_a_time)
{
    for (unsigned i = 0; i < 10; i++) {
        bring_to(eid_of(i), 'X');
        world_advance_ms(1);
    }
    cr_assert_eq(world_trim(world_ledger(), 30 * DAY_MS, 4, 5, counts), 5);
    cr_assert_eq(world_trim(world_ledger(), 30 * DAY_MS, 4, 5, counts), 1);
    cr_assert_eq(world_trim(world_ledger(), 30 * DAY_MS, 4, 5, counts), 0);
    cr_assert_eq(world_record(eid_of(5), 0).state, 'R');
    cr_assert_eq(world_record(eid_of(6), 0).state, 'X');
}

Test(ledger_upkeep, the_oldest_dead_are_dropped_past_their_weight)
{
    struct ledger_options options = world_options();
    options.dead_max_bytes = 10000;
    struct ledger *ledger = world_other_ledger(&options);
    for (unsigned i = 0; i < 4; i++) {
        accept_order((struct order){.eid = eid_of(i),
                                    .event_bytes = 4000,
                                    .dead_reason = i % 2 ? "no recipient" : NULL,
                                    .capacity = 1});
        struct ledger_item item = item_of(eid_of(i), 1);
        item.what = FAIL_DEAD;
        if (i % 2 == 0)
            cr_assert_eq(world_settle(ledger_fail, item), 1);
        world_advance_ms(1);
    }
    cr_assert_gt(world_number("GET herald:{0}:dead-bytes"), 16000);
    cr_assert_eq(world_trim(ledger, 30 * DAY_MS, 100, 100, counts), 2);
    cr_assert_eq(world_record(eid_of(1), 0).state, 'R');
    cr_assert_eq(world_record(eid_of(2), 0).state, 'X');
    cr_assert_eq(world_settle(ledger_replay, (struct ledger_item){.eid = eid_of(2)}), 1);
    cr_assert_lt(world_number("GET herald:{0}:dead-bytes"), 5000);
}

Test(ledger_upkeep, the_weight_of_the_dead_is_right_again_after_damage)
{
    bring_to(E1, 'X');
    world_ask("SET herald:{0}:dead-bytes garbage");
    bring_to(E2, 'X');
    cr_assert_eq(world_trim(world_ledger(), 0, 100, 100, counts), 2);
    cr_assert_eq(world_number("EXISTS herald:{0}:dead-bytes"), 0, "an empty list weighs nothing");
    bring_to(E3, 'X');
    world_ask("DEL herald:{0}:dead-bytes");
    cr_assert_eq(world_settle(ledger_replay, (struct ledger_item){.eid = E3}), 1);
    cr_assert_eq(world_number("GET herald:{0}:dead-bytes"), 0, "and nothing weighs less");
}

Test(ledger_upkeep, unknown_becomes_dead_after_seven_days)
{
    bring_to(E1, 'U');
    world_advance_ms(7 * DAY_MS - 1);
    world_trim(world_ledger(), 30 * DAY_MS, 100, 100, counts);
    cr_assert_eq(counts[1], 0);
    world_advance_ms(1);
    world_trim(world_ledger(), 30 * DAY_MS, 100, 100, counts);
    cr_assert_eq(counts[1], 1);
    cr_assert_eq(counts[0], 0, "its time among the dead begins now");
    cr_assert_eq(world_record(E1, 0).state, 'X');
    cr_assert(world_history_has(E1, "0 dead unknown for seven days"));
}

Test(ledger_upkeep, trim_removes_strays)
{
    bring_to(E1, 'A');
    world_ask("ZADD herald:{0}:dead 1 nonsense 2 " E1 ":0");
    world_ask("ZADD herald:{0}:unknown 1 nonsense 2 " E1 ":0");
    cr_assert_eq(world_trim(world_ledger(), 30 * DAY_MS, 100, 100, counts), 0);
    cr_assert_eq(counts[1], 0);
    cr_assert_eq(world_number("EXISTS herald:{0}:dead herald:{0}:unknown"), 0);
}

/* ── move, bury ── */

Test(ledger_upkeep, a_lane_moves_with_its_order_times_and_slots)
{
    struct rate rate = {1, HOUR_MS, 1};
    bring_to(E1, 'D');
    for (unsigned i = 0; i < 3; i++) {
        accept_order((struct order){.eid = eid_of(i), .lane = "other"});
        world_advance_ms(1);
    }
    accept_order((struct order){.eid = E2, .lane = "third", .capacity = 9, .recipient = rate});
    accept_order((struct order){.eid = E3, .lane = "third", .capacity = 9, .recipient = rate});
    world_ask("ZADD herald:{0}:due:other 1 nonsense");
    cr_assert_eq(world_move("other", "mail", 3, counts), 2, "and one stray");
    cr_assert_eq(counts[1], 2);
    cr_assert_eq(world_number("HEXISTS herald:{0}:lanes other"), 1);
    cr_assert_eq(world_move("other", "mail", 3, counts), 2);
    cr_assert_eq(counts[1], 0);
    cr_assert_eq(world_number("HEXISTS herald:{0}:lanes other"), 0);
    cr_assert_eq(world_number("HEXISTS herald:{0}:lanes mail"), 1);
    cr_assert_eq(world_move("third", "mail", 100, counts), 1, "what is leased stays");
    cr_assert_eq(world_record(E3, 0).flags, 8);
    cr_assert_str_eq(world_record(E3, 0).lane, "mail");
    cr_assert_eq(world_number("ZCARD herald:{0}:again:mail"), 2);
    struct claimed *claimed = world_claim(world_ledger(), (struct claim_call){0});
    cr_assert_eq(claimed->result.claimed_count, 3);
    cr_assert_str_eq(claimed->claimed[0]->eid, eid_of(0));
}

Test(ledger_upkeep, nothing_moves_to_a_name_that_no_record_could_hold)
{
    static const char *const names[] = {"", "a b", "a\tb", "a-lane-of-21-chars-xx"};
    bring_to(E1, 'A');
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cr_assert_eq(world_move("other", names[i], 10, counts), -1, "%s", names[i]);
        cr_assert_eq(world_err.kind, ERR_INPUT);
    }
    cr_assert_str_eq(world_record(E1, 0).lane, "other");
}

Test(ledger_upkeep, a_lane_does_not_move_to_itself)
{
    bring_to(E1, 'A');
    cr_assert_eq(world_move("other", "other", 10, counts), -1);
    cr_assert_not_null(strstr(world_err.text, "can not be moved to itself"), "%s", world_err.text);
    cr_assert_str_eq(world_record(E1, 0).lane, "other");
    cr_assert_eq(world_number("ZCARD herald:{0}:due:other"), 1);
}

Test(ledger_upkeep, what_waits_too_long_in_a_lane_that_nobody_serves_is_dead)
{
    bring_to(E2, 'D');
    bring_to(E1, 'A');
    accept_order((struct order){.eid = eid_of(1), .lane = "other", .send_at_ms = world_now_ms() + HOUR_MS});
    world_ask("ZADD herald:{0}:due:other 1 nonsense");
    world_advance_ms(DAY_MS);
    cr_assert_eq(world_bury("other", DAY_MS, 100, counts), 0);
    cr_assert_eq(counts[1], 3);
    world_advance_ms(1);
    cr_assert_eq(world_bury("other", DAY_MS, 100, counts), 2);
    cr_assert_eq(counts[1], 1, "its age counts from its sendAt");
    cr_assert_eq(world_record(E2, 0).state, 'X');
    cr_assert(world_history_has(E1, "0 dead no lane"));
}

Test(ledger_upkeep, a_refused_upkeep_says_for_how_long)
{
    bring_to(E1, 'L');
    world_ask("CONFIG SET maxmemory 1");
    cr_assert_eq(world_reap(10, counts), -1);
    cr_assert_eq(world_err.kind, ERR_TRANSIENT, "%s", world_err.text);
    cr_assert_eq(world_trim(world_ledger(), DAY_MS, 1, 1, counts), 0, "what frees memory is allowed: %s",
                 world_err.text);
    world_ask("CONFIG SET maxmemory 0");
}

/* ── owned ── */

/* Our leases in several stretches, while `sent` takes out of the index what was read already, what is to
 * come, and the very lease at which the stretch ended. */
static void walk_owned(int64_t apart_ms)
{
    enum { LEASES = 3 * LEDGER_MAX_ITEMS };
    static char found[2 * LEASES][EVENT_EID_CHARS + 1];
    struct ledger_place place = {.last = ""};
    bool was_found[LEASES] = {false};
    for (unsigned i = 0; i < LEASES; i++) {
        accept_order((struct order){.eid = eid_of(i), .capacity = 1});
        world_advance_ms(apart_ms);
    }
    for (unsigned stretch = 0; stretch == 0 || place.last[0] != '\0'; stretch++) {
        cr_assert_lt(stretch, 10, "it has an end");
        size_t count = world_owned(&place, found);
        cr_assert_eq(world_err.kind, ERR_NONE, "%s", world_err.text);
        for (size_t i = 0; i < count; i++)
            was_found[strtoul(found[i], NULL, 16)] = true;
        if (stretch == 0)
            for (unsigned i = LEDGER_MAX_ITEMS - 50; i < LEDGER_MAX_ITEMS + 50; i++)
                cr_assert_eq(world_settle(ledger_sent, item_of(eid_of(i), 1)), 1);
    }
    for (unsigned i = 0; i < LEASES; i++)
        cr_expect(was_found[i] || (i >= LEDGER_MAX_ITEMS - 50 && i < LEDGER_MAX_ITEMS + 50), "%u", i);
}

Test(ledger_upkeep, every_lease_of_ours_is_found_while_others_leave_the_index)
{
    walk_owned(1);
}

Test(ledger_upkeep, leases_that_end_in_the_same_millisecond_are_all_found)
{
    walk_owned(0);
}

Test(ledger_upkeep, leases_of_others_are_not_ours)
{
    static char found[LEDGER_MAX_ITEMS][EVENT_EID_CHARS + 1];
    struct ledger_place place = {.last = ""};
    struct ledger_options options = world_options();
    options.incarnation = "fedc4321";
    accept_order((struct order){.eid = E1, .capacity = 1});
    world_accept(world_other_ledger(&options), (struct order){.eid = E2, .capacity = 1});
    cr_assert_eq(world_owned(&place, found), 1);
    cr_expect_str_eq(found[0], E1);
    cr_expect_eq(place.last[0], '\0');
}

/* ── a Redis that was emptied ── */

static void count_one(void *arg)
{
    ++*(unsigned *)arg;
}

Test(ledger_upkeep, nothing_is_accepted_or_claimed_for_an_instance_that_redis_has_forgotten)
{
    unsigned forgotten = 0;
    struct ledger_options options = world_options();
    options.instance = "shop-1";
    options.on_forgotten = count_one;
    options.on_forgotten_arg = &forgotten;
    struct ledger *ledger = world_other_ledger(&options);
    const struct order order = {.eid = E1, .capacity = 1}, waiting = {.eid = E2};
    world_ask("HSET herald:{0}:status another {}");
    world_accept(ledger, order);
    cr_assert_eq(world_err.kind, ERR_TRANSIENT, "%s", world_err.text);
    cr_assert_eq(forgotten, 1);
    cr_assert_eq(world_record(E1, 0).state, 0);
    world_accept(world_ledger(), waiting);
    world_claim(ledger, (struct claim_call){.max = 1});
    cr_assert_eq(world_err.kind, ERR_TRANSIENT, "%s", world_err.text);
    cr_assert_eq(forgotten, 2);
    cr_assert_eq(world_record(E2, 0).state, 'A');

    world_ask("HSET herald:{0}:status shop-1 {}");
    cr_assert_eq(world_claim(ledger, (struct claim_call){.max = 1})->result.claimed_count, 1);
    world_accept(ledger, order);
    cr_assert_eq(world_record(E1, 0).state, 'L');

    /* Damage is no forgetting. */
    world_ask("SET herald:{0}:status foreign");
    cr_assert_eq(world_accept(ledger, (struct order){.eid = E3, .capacity = 1}).verdict, ACCEPT_NEW);
    world_ask("DEL herald:{0}:status");
    cr_assert_eq(forgotten, 2);
}

/* ── pause ── */

/* What stands there afterwards; the reply is what stood there before. */
static const char *say(const char *word, const char *at)
{
    const char *script = ledger_script("pause", NULL);
    world_ask("EVAL %s 1 herald:{0} mail %s %s", script, word, at);
    return world_text("HGET herald:{0}:paused mail");
}

Test(ledger_upkeep, a_word_on_a_lane_keeps_its_time_and_another_replaces_it)
{
    char expected[48];
    cr_assert_null(say("resumed", ""), "nothing was ever said of it");
    snprintf(expected, sizeof expected, "paused %" PRId64, world_now_ms());
    cr_assert_str_eq(say("paused", ""), expected);
    world_advance_ms(10);
    cr_assert_str_eq(say("paused", ""), expected);
    const redisReply *before =
        world_ask("EVAL %s 1 herald:{0} mail resumed %s", ledger_script("pause", NULL), "");
    cr_assert_str_eq(before->element[0]->str, "paused");
    cr_assert_eq(before->element[1]->integer, world_now_ms() - 10);
    snprintf(expected, sizeof expected, "resumed %" PRId64, world_now_ms());
    cr_assert_str_eq(world_text("HGET herald:{0}:paused mail"), expected);
}

Test(ledger_upkeep, what_is_told_again_undoes_no_newer_word)
{
    cr_assert_str_eq(say("paused", "1000"), "paused 1000");
    cr_assert_str_eq(say("resumed", "999"), "paused 1000");
    cr_assert_str_eq(say("resumed", "1000"), "paused 1000");
    cr_assert_str_eq(say("resumed", "1001"), "resumed 1001");
}

Test(ledger_upkeep, a_renamed_lane_that_is_paused_keeps_what_it_has)
{
    accept_order((struct order){.eid = E1});
    say("paused", "");
    cr_assert_eq(world_move("mail", "post", 10, counts), 0);
    cr_assert_eq(counts[1], 1);
    say("resumed", "");
    cr_assert_eq(world_move("mail", "post", 10, counts), 1);
}
