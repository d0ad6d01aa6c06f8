/* claim: from what waits to leases; in which order, and what it refuses to hand out. */
#include <criterion/criterion.h>

#include "ledger_world.h"

#define E1 "aaaaaaaaaaaaaaaaaaaaaaa1"
#define E2 "aaaaaaaaaaaaaaaaaaaaaaa2"

TestSuite(ledger_claim, .init = world_start, .fini = world_stop, .timeout = 60);

static void accept_order(struct order order)
{
    world_accept(world_ledger(), order);
    cr_assert_eq(world_err.kind, ERR_NONE, "%s", world_err.text);
}

static struct claimed *claim(struct claim_call call)
{
    struct claimed *claimed = world_claim(world_ledger(), call);
    cr_assert_eq(world_err.kind, ERR_NONE, "%s", world_err.text);
    return claimed;
}

static const char *eid_of(char letter, unsigned number)
{
    static char eid[EVENT_EID_CHARS + 1];
    snprintf(eid, sizeof eid, "%c%023x", letter, number);
    return eid;
}

/* `count` new ones and `count` that wait again, all due. */
static void fill_both(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        accept_order((struct order){.eid = eid_of('d', i), .capacity = 1, .targets = 1});
        struct ledger_item item = {
            .eid = eid_of('d', i), .fence = 1, .attempts = 1, .text = "4xx", .delay_ms = 5000};
        cr_assert_eq(world_settle(ledger_fail, item), 1);
    }
    for (unsigned i = 0; i < count; i++)
        accept_order((struct order){.eid = eid_of('a', i)});
    world_advance_ms(5000);
}

static unsigned count_letter(const struct claimed *claimed, char letter)
{
    unsigned count = 0;
    for (unsigned i = 0; i < claimed->result.claimed_count; i++)
        count += claimed->claimed[i]->eid[0] == letter;
    return count;
}

Test(ledger_claim, what_is_due_is_handed_out_with_a_lease_and_a_new_fence)
{
    int64_t accepted_ms = world_now_ms();
    accept_order((struct order){.eid = E1, .targets = 2});
    world_advance_ms(10);
    struct claimed *claimed = claim((struct claim_call){.hold = true});
    cr_assert_eq(claimed->result.now_ms, accepted_ms + 10);
    cr_assert_eq(claimed->result.claimed_count, 2);
    const struct delivery *delivery = claimed->claimed[1];
    cr_assert_str_eq(delivery->eid, E1);
    cr_assert_eq(delivery->ordinal, 1);
    cr_assert_eq(delivery->fence, 1);
    cr_assert_eq(delivery->attempt_number, 1);
    cr_assert_eq(delivery->crashes, 0);
    cr_assert_eq(delivery->accepted_ms, accepted_ms);
    cr_assert_str_eq(delivery->id, "id-" E1);
    struct ledger_record record = world_record(E1, 1);
    cr_assert_eq(record.state, 'L');
    cr_assert_eq(record.flags, 2, "hold");
    cr_assert_str_eq(record.owner, WORLD_OWNER);
    cr_assert_eq(record.at_ms, 10 + WORLD_LEASE_MS);
    cr_assert_eq(claimed->result.next_due_ms, 0);
    cr_assert_eq(claimed->result.wait_ms, 0);
    cr_assert_eq(claim((struct claim_call){0})->result.claimed_count, 0, "nobody gets it twice");
}

Test(ledger_claim, a_retry_comes_with_its_attempts_crashes_and_fence)
{
    accept_order((struct order){.eid = E1, .capacity = 1});
    cr_assert_eq(world_settle(ledger_fail,
                              (struct ledger_item){
                                  .eid = E1, .fence = 1, .attempts = 3, .text = "4xx", .delay_ms = 100}),
                 1);
    struct claimed *claimed = claim((struct claim_call){0});
    cr_assert_eq(claimed->result.claimed_count, 0, "not due");
    cr_assert_eq(claimed->result.next_due_ms, world_now_ms() + 100);
    world_advance_ms(100);
    claimed = claim((struct claim_call){0});
    cr_assert_eq(claimed->result.claimed_count, 1);
    cr_assert_eq(claimed->claimed[0]->attempt_number, 4);
    cr_assert_eq(claimed->claimed[0]->fence, 3);
    world_advance_ms(WORLD_LEASE_MS);
    int64_t counts[3];
    cr_assert_eq(world_reap(10, counts), 1);
    claimed = claim((struct claim_call){0});
    cr_assert_eq(claimed->claimed[0]->crashes, 1);
    cr_assert_eq(claimed->claimed[0]->fence, 5);
}

Test(ledger_claim, it_takes_what_was_asked_for_oldest_first)
{
    for (unsigned i = 0; i < 5; i++) {
        accept_order((struct order){.eid = eid_of('a', 4 - i)});
        world_advance_ms(1);
    }
    struct claimed *claimed = claim((struct claim_call){.max = 2});
    cr_assert_eq(claimed->result.claimed_count, 2);
    cr_assert_str_eq(claimed->claimed[0]->eid, eid_of('a', 4));
    cr_assert_str_eq(claimed->claimed[1]->eid, eid_of('a', 3));
    cr_assert_eq(claimed->result.next_due_ms, world_now_ms() - 3);
}

Test(ledger_claim, it_stops_after_its_share_of_bytes)
{
    for (unsigned i = 0; i < 5; i++)
        accept_order((struct order){.eid = eid_of('a', i), .event_bytes = 1000});
    cr_assert_eq(claim((struct claim_call){.max_bytes = 2500})->result.claimed_count, 3,
                 "the one that passes the bound is taken");
    cr_assert_eq(claim((struct claim_call){.max_bytes = 1})->result.claimed_count, 1, "one always goes");
    cr_assert_eq(world_number("ZCARD herald:{0}:due:mail"), 1);
}

Test(ledger_claim, of_a_paused_lane_it_takes_nothing_and_says_that_nothing_is_to_be_waited_for)
{
    accept_order((struct order){.eid = E1});
    world_ask("HSET herald:{0}:paused mail %s other %s", "paused 1", "resumed 1");
    struct claimed *claimed = claim((struct claim_call){0});
    cr_assert_eq(claimed->result.claimed_count, 0);
    cr_assert_eq(claimed->result.next_due_ms, 0, "else the daemon would ask again at once, for ever");
    cr_assert_eq(claimed->result.wait_ms, 0);
    world_ask("HSET herald:{0}:paused mail %s", "resumed 2");
    cr_assert_eq(claim((struct claim_call){0})->result.claimed_count, 1);
}

Test(ledger_claim, what_expired_in_a_paused_lane_is_dead_when_it_is_resumed)
{
    accept_order((struct order){.eid = E1, .expires_at_ms = world_now_ms() + 1000});
    world_ask("HSET herald:{0}:paused mail %s", "paused 1");
    world_advance_ms(2000);
    cr_assert_eq(claim((struct claim_call){0})->result.dead_count, 0);
    world_ask("HSET herald:{0}:paused mail %s", "resumed 2");
    struct claimed *claimed = claim((struct claim_call){0});
    cr_assert_eq(claimed->result.claimed_count, 0);
    cr_assert_eq(claimed->result.dead_count, 1);
}

Test(ledger_claim, other_lanes_are_left_alone)
{
    accept_order((struct order){.eid = E1, .lane = "other"});
    cr_assert_eq(claim((struct claim_call){0})->result.claimed_count, 0);
    cr_assert_eq(claim((struct claim_call){.lane = "other"})->result.claimed_count, 1);
}

Test(ledger_claim, retries_take_at_most_half_while_new_ones_wait_and_no_less)
{
    fill_both(40);
    struct claimed *claimed = claim((struct claim_call){.max = 20});
    cr_assert_eq(count_letter(claimed, 'a'), 10);
    cr_assert_eq(count_letter(claimed, 'd'), 10);
    unsigned retries = 0;
    for (unsigned i = 0; i < 4; i++) {
        world_advance_us(1);
        claimed = claim((struct claim_call){.max = 5});
        cr_assert_eq(claimed->result.claimed_count, 5);
        retries += count_letter(claimed, 'd');
    }
    cr_assert_eq(retries, 10, "the odd one goes now here, now there");
}

Test(ledger_claim, what_one_side_leaves_the_other_takes)
{
    fill_both(2);
    for (unsigned i = 2; i < 12; i++)
        accept_order((struct order){.eid = eid_of('a', i)});
    struct claimed *claimed = claim((struct claim_call){.max = 10});
    cr_assert_eq(count_letter(claimed, 'd'), 2);
    cr_assert_eq(count_letter(claimed, 'a'), 8);
    cr_assert_eq(claim((struct claim_call){.max = 10})->result.claimed_count, 4);
}

Test(ledger_claim, one_at_a_time_starves_nobody)
{
    fill_both(20);
    unsigned retries = 0;
    for (unsigned i = 0; i < 20; i++) {
        world_advance_us(1);
        struct claimed *claimed = claim((struct claim_call){.max = 1});
        cr_assert_eq(claimed->result.claimed_count, 1);
        retries += count_letter(claimed, 'd');
    }
    cr_assert_eq(retries, 10);
    for (unsigned i = 0; i < 20; i++)
        cr_assert_eq(claim((struct claim_call){.max = 1})->result.claimed_count, 1, "whatever the coin says");
}

Test(ledger_claim, an_event_for_later_comes_when_its_time_comes_and_ages_from_there)
{
    int64_t at = world_now_ms() + 100 * DAY_MS;
    accept_order((struct order){.eid = E1, .send_at_ms = at});
    world_advance_ms(100 * DAY_MS - 1);
    struct claimed *claimed = claim((struct claim_call){0});
    cr_assert_eq(claimed->result.claimed_count, 0);
    cr_assert_eq(claimed->result.next_due_ms, at);
    world_advance_ms(1 + WORLD_MAX_AGE_MS);
    cr_assert_eq(claim((struct claim_call){0})->result.claimed_count, 1);
}

Test(ledger_claim, what_is_too_old_is_dead)
{
    accept_order((struct order){.eid = E1});
    accept_order((struct order){.eid = E2, .send_at_ms = world_now_ms() + HOUR_MS});
    world_advance_ms(WORLD_MAX_AGE_MS + 1);
    struct claimed *claimed = claim((struct claim_call){0});
    cr_assert_eq(claimed->result.claimed_count, 1, "the other's age counts from its sendAt");
    cr_assert_str_eq(claimed->claimed[0]->eid, E2);
    cr_assert_eq(claimed->result.dead_count, 1);
    cr_assert_str_eq(claimed->dead[0].eid, E1);
    cr_assert_eq(claimed->dead[0].ordinal, 0);
    cr_assert_str_eq(claimed->dead[0].text, "too old");
    cr_assert_str_eq(claimed->dead[0].meta, "{\"id\":\"id-" E1 "\"}");
    cr_assert_eq(world_record(E1, 0).state, 'X');
    cr_assert(world_history_has(E1, "0 dead too old"));
}

Test(ledger_claim, what_has_expired_is_dead)
{
    accept_order((struct order){.eid = E1, .expires_at_ms = world_now_ms() + 100});
    accept_order((struct order){.eid = E2, .expires_at_ms = world_now_ms() + 101});
    world_advance_ms(100);
    struct claimed *claimed = claim((struct claim_call){0});
    cr_assert_eq(claimed->result.claimed_count, 1);
    cr_assert_str_eq(claimed->claimed[0]->eid, E2);
    cr_assert_str_eq(claimed->dead[0].text, "expired");
}

Test(ledger_claim, a_missing_or_foreign_payload_is_dead_and_said)
{
    accept_order((struct order){.eid = E1});
    accept_order((struct order){.eid = E2});
    accept_order((struct order){.eid = eid_of('a', 3)});
    world_ask("DEL herald:{0}:p:" E1);
    world_ask("DEL herald:{0}:p:" E2);
    world_ask("RPUSH herald:{0}:p:" E2 " foreign");
    struct claimed *claimed = claim((struct claim_call){0});
    cr_assert_eq(claimed->result.claimed_count, 1);
    cr_assert_eq(claimed->result.dead_count, 2);
    cr_assert_str_eq(claimed->dead[0].text, "payload is missing");
    cr_assert_str_eq(claimed->dead[0].meta, "");
    cr_assert_eq(world_settle(ledger_replay, (struct ledger_item){.eid = E1}), 0, "there is nothing to send");
    cr_assert_eq(world_drop(E1, 0), 1);
    cr_assert_eq(world_drop(E2, 0), 1);
}

Test(ledger_claim, a_payload_that_nobody_can_read_is_dead_at_once)
{
    accept_order((struct order){.eid = E1,
                                .payload = "1 note s 1 0 0\n00000000000000aa {damaged\n{\"id\":\"x\"}\n{}"});
    accept_order((struct order){.eid = E2});
    struct claimed *claimed = claim((struct claim_call){0});
    cr_assert_eq(claimed->result.claimed_count, 1);
    cr_assert_str_eq(claimed->claimed[0]->eid, E2);
    cr_assert_eq(claimed->result.dead_count, 1);
    cr_assert_str_eq(claimed->dead[0].eid, E1);
    cr_assert_str_eq(claimed->dead[0].text, "payload is damaged");
    cr_assert(world_await());
    cr_assert_eq(world_record(E1, 0).state, 'X');
    cr_assert(world_history_has(E1, "dead payload is damaged"));
}

Test(ledger_claim, stray_entries_are_removed_and_damaged_records_counted)
{
    accept_order((struct order){.eid = E1});
    world_ask("ZADD herald:{0}:due:mail 1 nonsense 2 " E2 ":0 3 " E1 ":7");
    world_ask("SET herald:{0}:e:%s foreign", eid_of('b', 1));
    world_ask("HSET herald:{0}:e:%s h c t 1 o 1 0 damage", eid_of('b', 2));
    world_ask("ZADD herald:{0}:due:mail 4 %s:0", eid_of('b', 1));
    world_ask("ZADD herald:{0}:due:mail 5 %s:0", eid_of('b', 2));
    world_ask("ZADD herald:{0}:again:mail 6 " E1 ":0");
    struct claimed *claimed = claim((struct claim_call){0});
    cr_assert_eq(claimed->result.claimed_count, 1);
    cr_assert_str_eq(claimed->claimed[0]->eid, E1);
    cr_assert_eq(claimed->result.damaged, 2);
    cr_assert_eq(world_number("ZCARD herald:{0}:due:mail"), 0);
    cr_assert_eq(world_number("ZCARD herald:{0}:again:mail"), 0);
    world_ask("DEL herald:{0}:e:%s", eid_of('b', 1));
    world_ask("DEL herald:{0}:e:%s", eid_of('b', 2));
}

Test(ledger_claim, a_foreign_lease_index_leaves_everything_where_it_was)
{
    accept_order((struct order){.eid = E1});
    world_ask("SET herald:{0}:lease foreign");
    world_claim(world_ledger(), (struct claim_call){0});
    cr_assert_eq(world_err.kind, ERR_PERMANENT, "%s", world_err.text);
    cr_assert_eq(world_record(E1, 0).state, 'A');
    cr_assert_eq(world_number("ZCARD herald:{0}:due:mail"), 1);
    world_ask("DEL herald:{0}:lease");
    cr_assert_eq(claim((struct claim_call){0})->result.claimed_count, 1);
}

Test(ledger_claim, the_largest_claim_of_the_largest_names_stays_packed)
{
    for (unsigned i = 0; i < LEDGER_MAX_CLAIM; i++)
        accept_order((struct order){.eid = eid_of('a', i), .lane = "a-lane-of-20-chars-x", .targets = 1});
    struct claimed *claimed = claim((struct claim_call){.lane = "a-lane-of-20-chars-x", .hold = true});
    cr_assert_eq(claimed->result.claimed_count, LEDGER_MAX_CLAIM);
}

Test(ledger_claim, a_full_redis_refuses_for_now_and_changes_nothing)
{
    accept_order((struct order){.eid = E1});
    world_ask("CONFIG SET maxmemory 1");
    world_claim(world_ledger(), (struct claim_call){0});
    cr_assert_eq(world_err.kind, ERR_TRANSIENT, "%s", world_err.text);
    world_ask("CONFIG SET maxmemory 0");
    cr_assert_eq(world_record(E1, 0).state, 'A');
}
