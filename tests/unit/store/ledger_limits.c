/* Rate limits, on a simulated clock: what goes when, what waits for which slot, and never more than the
 * limit. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "ledger_world.h"

#define E1 "aaaaaaaaaaaaaaaaaaaaaaa1"
#define E2 "aaaaaaaaaaaaaaaaaaaaaaa2"
#define E3 "aaaaaaaaaaaaaaaaaaaaaaa3"
#define R1 "00000000000000aa"
#define R2 "00000000000000bb"
#define R1_KEY "herald:{0}:limit:r:" R1
#define NOTE_KEY "herald:{0}:limit:n:note"
#define PROVIDER_KEY "herald:{0}:limit:p:mail"

TestSuite(ledger_limits, .init = world_start, .fini = world_stop, .timeout = 120);

static struct accept_answer accept_order(struct order order)
{
    struct accept_result result = world_accept(world_ledger(), order);
    cr_assert_eq(world_err.kind, ERR_NONE, "%s", world_err.text);
    cr_assert_eq(result.verdict, ACCEPT_NEW);
    return result.targets[0];
}

static struct claimed *claim(struct claim_call call)
{
    struct claimed *claimed = world_claim(world_ledger(), call);
    cr_assert_eq(world_err.kind, ERR_NONE, "%s", world_err.text);
    return claimed;
}

static struct rate rate_of(uint32_t count, int64_t period_ms, uint32_t burst)
{
    return (struct rate){count, period_ms, burst};
}

static const char *eid_of(unsigned number)
{
    static char eid[EVENT_EID_CHARS + 1];
    snprintf(eid, sizeof eid, "%024x", number);
    return eid;
}

/* ── many deliveries over simulated time ── */

#define MAX_SENDS 4096
static struct {
    int64_t at_us[MAX_SENDS];
    unsigned scope[MAX_SENDS]; /* the recipient's number */
    size_t count;
    unsigned denials;
} sends;

/* In no window, however short or long, more than the limit allows and one; scope -1: all together. */
static void check_windows(struct rate rate, int scope)
{
    static int64_t at[MAX_SENDS];
    size_t count = 0;
    for (size_t i = 0; i < sends.count; i++)
        if (scope < 0 || sends.scope[i] == (unsigned)scope)
            at[count++] = sends.at_us[i];
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i; j < count; j++) {
            double allowed = (double)rate.count * (double)(at[j] - at[i]) / ((double)rate.period_ms * 1000) +
                             rate.burst + 1;
            cr_assert_leq((double)(j - i + 1), allowed, "scope %d: %zu between %lld and %lld us", scope,
                          j - i + 1, (long long)(at[i] - at[0]), (long long)(at[j] - at[0]));
        }
    }
}

/* Claims whenever something is due, up to late_us later than that (never and always by a fixed sequence),
 * until all have gone. */
static void send_all(struct claim_call call, size_t count, int64_t late_us)
{
    uint32_t random = 12345;
    sends.count = 0;
    sends.denials = 0;
    for (unsigned calls = 0; sends.count < count; calls++) {
        cr_assert_lt(calls, 20000, "only %zu of %zu sent", sends.count, count);
        struct claimed *claimed = claim(call);
        cr_assert_eq(claimed->result.dead_count, 0);
        sends.denials += (unsigned)claimed->result.limited_count;
        for (size_t i = 0; i < claimed->result.claimed_count; i++) {
            const struct delivery *delivery = claimed->claimed[i];
            sends.at_us[sends.count] = world_now_ms() * 1000;
            sends.scope[sends.count++] = (unsigned)strtoul(delivery->id + 3 + EVENT_EID_CHARS - 1, NULL, 16);
            struct ledger_item item = {
                .eid = delivery->eid, .fence = delivery->fence, .attempts = 1, .text = "250"};
            cr_assert_eq(world_settle(ledger_sent, item), 1);
        }
        int64_t wait_ms = claimed->result.wait_ms > 0 ? claimed->result.wait_ms
                                                      : claimed->result.next_due_ms - world_now_ms();
        if (claimed->result.next_due_ms != 0 && wait_ms > 0)
            world_advance_ms(wait_ms);
        random = random * 1664525 + 1013904223;
        if (late_us > 0)
            world_advance_us((int64_t)(random >> 8) % late_us);
    }
}

/* The last digit of the eid is the recipient. */
static void fill(unsigned count, unsigned recipients)
{
    for (unsigned i = 0; i < count; i++) {
        char scope[PAYLOAD_SCOPE_CHARS + 1];
        snprintf(scope, sizeof scope, "%016x", i % recipients);
        accept_order((struct order){.eid = eid_of(i * 16 + i % recipients), .scope = scope});
    }
}

Test(ledger_limits, two_thousand_for_one_recipient_get_two_thousand_slots)
{
    struct rate rate = rate_of(30, 1000, 30);
    static int64_t slots[2000];
    size_t count = 0;
    fill(2000, 1);
    sends.denials = 0;
    for (;;) {
        struct claimed *claimed = claim((struct claim_call){.recipient = rate});
        sends.denials += (unsigned)claimed->result.limited_count;
        for (size_t i = 0; i < claimed->result.claimed_count; i++) {
            struct ledger_item item = {
                .eid = claimed->claimed[i]->eid, .fence = 1, .attempts = 1, .text = "250"};
            cr_assert_eq(world_settle(ledger_sent, item), 1);
        }
        for (size_t i = 0; i < claimed->result.limited_count; i++) {
            cr_assert_str_eq(claimed->limited[i].text, "recipient");
            cr_assert(count == 0 || claimed->limited[i].slot_ms > slots[count - 1],
                      "each later than the one before");
            slots[count++] = claimed->limited[i].slot_ms;
        }
        if (claimed->result.next_due_ms > world_now_ms())
            break;
    }
    cr_assert_eq(count, 1970, "all but the burst");
    unsigned denials = sends.denials;
    send_all((struct claim_call){.recipient = rate}, 1970, 0);
    cr_assert_eq(sends.denials, 0, "claimed at their slots, none is asked twice");
    cr_assert_lt(denials, 4000);
    check_windows(rate, -1);
    cr_assert_eq(world_number("EXISTS herald:{0}:again:mail"), 0);
}

Test(ledger_limits, slots_are_reserved_when_an_open_lane_accepts_too)
{
    int64_t last_ms = 0;
    for (unsigned i = 0; i < 200; i++) {
        struct accept_answer answer = accept_order(
            (struct order){.eid = eid_of(i), .capacity = 1000, .recipient = rate_of(30, 1000, 30)});
        if (i < 30) {
            cr_assert_eq(answer.fate, FATE_LEASED);
            continue;
        }
        cr_assert_eq(answer.fate, FATE_LIMITED);
        cr_assert_str_eq(answer.scope, "recipient");
        cr_assert_gt(answer.slot_ms, last_ms);
        cr_assert_eq(world_number("ZSCORE herald:{0}:again:mail %s:0", eid_of(i)), answer.slot_ms);
        cr_assert_eq(world_record(eid_of(i), 0).flags, 8);
        last_ms = answer.slot_ms;
    }
    cr_assert(world_history_has(eid_of(50), "0 limited "));
}

Test(ledger_limits, nothing_exceeds_its_limit_however_late_the_claims)
{
    struct rate rate = rate_of(30, 1000, 5);
    static const int64_t late_us[] = {1000, 20000, 60000, 200000};
    for (size_t i = 0; i < sizeof late_us / sizeof *late_us; i++) {
        world_ask("FLUSHALL");
        fill(400, 1);
        send_all((struct claim_call){.recipient = rate}, 400, late_us[i]);
        check_windows(rate, -1);
    }
}

Test(ledger_limits, slots_that_nobody_came_for_are_void_and_reserved_anew)
{
    struct rate rate = rate_of(30, 1000, 30);
    fill(300, 1);
    for (struct claimed *claimed = claim((struct claim_call){.recipient = rate, .max = 40});
         claimed->result.next_due_ms <= world_now_ms();)
        claimed = claim((struct claim_call){.recipient = rate});
    cr_assert_eq(world_number("ZCARD herald:{0}:again:mail"), 270);
    world_advance_ms(HOUR_MS);
    cr_assert_eq(world_number("EXISTS " R1_KEY), 0, "a limiter that is not used costs nothing");
    send_all((struct claim_call){.recipient = rate}, 270, 0);
    check_windows(rate, -1);
    cr_assert_lt(sends.denials, 540);
}

Test(ledger_limits, all_three_scopes_hold_at_once)
{
    struct rate provider = rate_of(40, 1000, 4), note = rate_of(20, 1000, 3), recipient = rate_of(2, 1000, 2);
    struct accept_notification notification = {.name = "note", .rate = note};
    struct claim_call call = {.provider = provider,
                              .recipient = recipient,
                              .notifications = &notification,
                              .notification_count = 1};
    static const int64_t late_us[] = {0, 30000};
    for (size_t i = 0; i < sizeof late_us / sizeof *late_us; i++) {
        world_ask("FLUSHALL");
        fill(300, 8);
        send_all(call, 300, late_us[i]);
        check_windows(provider, -1);
        check_windows(note, -1);
        for (int scope = 0; scope < 8; scope++)
            check_windows(recipient, scope);
    }
}

/* Ten for one recipient behind a hundred of its notification: their notification's slots lie close together
 * and far ahead. If the recipient's earlier slots counted there, all ten would go at once. */
Test(ledger_limits, a_slot_that_another_limit_has_overtaken_counts_no_more)
{
    struct rate note = rate_of(100, 1000, 1), recipient = rate_of(2, 1000, 1);
    struct accept_notification notification = {.name = "note", .rate = note};
    struct claim_call call = {
        .recipient = recipient, .notifications = &notification, .notification_count = 1};
    for (unsigned i = 0; i < 200; i++) {
        char scope[PAYLOAD_SCOPE_CHARS + 1];
        snprintf(scope, sizeof scope, "%016x", i < 190 ? i + 100 : 1);
        accept_order((struct order){.eid = eid_of(i * 16 + (i < 190 ? 0 : 1)), .scope = scope});
    }
    send_all(call, 200, 0);
    check_windows(note, -1);
    check_windows(recipient, 1);
}

Test(ledger_limits, one_recipients_distant_slot_does_not_close_a_notification_for_others)
{
    struct rate note = rate_of(100, 1000, 1), recipient = rate_of(1, HOUR_MS, 1);
    struct order order = {.capacity = 10, .recipient = recipient, .rate = note};
    order.eid = E1;
    cr_assert_eq(accept_order(order).fate, FATE_LEASED);
    order.eid = E2;
    struct accept_answer answer = accept_order(order);
    cr_assert_eq(answer.fate, FATE_LIMITED);
    cr_assert_str_eq(answer.scope, "recipient", "the later of the two");
    cr_assert_geq(answer.slot_ms, world_now_ms() + HOUR_MS);
    cr_assert_eq(world_record(E2, 0).flags, 8);
    world_advance_ms(20);
    order.eid = E3;
    order.scope = R2;
    cr_assert_eq(accept_order(order).fate, FATE_LEASED);
}

Test(ledger_limits, a_recipients_slot_survives_a_short_wait_for_the_notification)
{
    struct rate note = rate_of(10, 1000, 1), recipient = rate_of(1, 10000, 1);
    struct accept_notification notification = {.name = "note", .rate = note};
    struct claim_call call = {
        .recipient = recipient, .notifications = &notification, .notification_count = 1};
    struct order order = {.capacity = 10, .recipient = recipient, .rate = note};
    order.eid = E1;
    cr_assert_eq(accept_order(order).fate, FATE_LEASED);
    world_advance_ms(150);
    order.eid = E2;
    struct accept_answer answer = accept_order(order);
    cr_assert_str_eq(answer.scope, "recipient");
    world_advance_ms(answer.slot_ms - world_now_ms());
    order.eid = E3; /* takes the notification's token just before */
    order.scope = R2;
    cr_assert_eq(
        accept_order((struct order){.eid = E3, .scope = R2, .lane = "other", .capacity = 1, .rate = note})
            .fate,
        FATE_LEASED);
    char before[40];
    snprintf(before, sizeof before, "%s", world_text("GET " R1_KEY));
    struct claimed *claimed = claim(call);
    cr_assert_eq(claimed->result.limited_count, 1);
    cr_assert_str_eq(claimed->limited[0].text, "notification");
    cr_assert_eq(world_record(E2, 0).flags, 12, "both are held");
    world_advance_ms(claimed->limited[0].slot_ms - world_now_ms());
    cr_assert_eq(claim(call)->result.claimed_count, 1);
    cr_assert_str_eq(world_text("GET " R1_KEY), before, "the recipient paid once");
}

Test(ledger_limits, a_slot_that_is_kept_is_not_charged_again_and_one_that_is_missed_is)
{
    struct rate rate = rate_of(1, 1000, 1);
    for (unsigned late = 0; late < 2; late++) {
        world_ask("FLUSHALL");
        cr_assert_eq(accept_order((struct order){.eid = E1, .capacity = 9, .recipient = rate}).fate,
                     FATE_LEASED);
        struct accept_answer answer =
            accept_order((struct order){.eid = E2, .capacity = 9, .recipient = rate});
        cr_assert_eq(answer.fate, FATE_LIMITED);
        int64_t before = world_number("GET " R1_KEY);
        world_advance_ms(answer.slot_ms - world_now_ms() + (late ? 1060 : 900));
        struct claimed *claimed = claim((struct claim_call){.recipient = rate});
        cr_assert_eq(claimed->result.claimed_count, 1);
        cr_assert_eq(world_number("GET " R1_KEY) > before, late == 1);
        cr_assert_eq(world_record(E2, 0).flags, 0);
    }
}

Test(ledger_limits, reserved_slots_do_not_wait_behind_newer_deliveries)
{
    struct rate rate = rate_of(1, 1000, 1);
    accept_order((struct order){.eid = E1, .capacity = 9, .recipient = rate});
    struct accept_answer answer = accept_order((struct order){.eid = E2, .capacity = 9, .recipient = rate});
    cr_assert_eq(answer.fate, FATE_LIMITED);
    for (unsigned i = 0; i < 50; i++)
        accept_order((struct order){.eid = eid_of(i), .scope = R2});
    world_advance_ms(answer.slot_ms - world_now_ms());
    struct claimed *claimed = claim((struct claim_call){.recipient = rate_of(1000, 1000, 1000), .max = 2});
    cr_assert_str_eq(claimed->claimed[0]->eid, E2);
}

Test(ledger_limits, a_retry_that_is_limited_stays_a_retry)
{
    struct rate rate = rate_of(1, HOUR_MS, 1);
    accept_order((struct order){.eid = E1, .capacity = 9, .recipient = rate});
    cr_assert_eq(
        world_settle(ledger_fail, (struct ledger_item){.eid = E1, .fence = 1, .attempts = 1, .text = "4xx"}),
        1);
    struct claimed *claimed = claim((struct claim_call){.recipient = rate});
    cr_assert_eq(claimed->result.limited_count, 1);
    cr_assert_str_eq(claimed->limited[0].eid, E1);
    cr_assert_str_eq(claimed->limited[0].meta, "{\"id\":\"id-" E1 "\"}");
    cr_assert_eq(world_record(E1, 0).state, 'D');
    cr_assert_eq(world_record(E1, 0).flags, 8);
    world_advance_ms(claimed->limited[0].slot_ms - world_now_ms());
    claimed = claim((struct claim_call){.recipient = rate});
    cr_assert_eq(claimed->result.claimed_count, 1);
    cr_assert_eq(claimed->claimed[0]->attempt_number, 2);
}

Test(ledger_limits, the_providers_limit_stops_the_claim_and_says_until_when)
{
    struct rate rate = rate_of(10, 1000, 3);
    fill(10, 1);
    struct claimed *claimed = claim((struct claim_call){.provider = rate});
    cr_assert_eq(claimed->result.claimed_count, 3);
    cr_assert_eq(claimed->result.limited_count, 0);
    int64_t wait_ms = claimed->result.wait_ms;
    cr_assert(wait_ms > 103 && wait_ms <= 105, "%lld", (long long)wait_ms);
    cr_assert_eq(world_number("ZCARD herald:{0}:due:mail"), 7, "nothing else has moved");
    world_advance_ms(wait_ms - 1);
    claimed = claim((struct claim_call){.provider = rate});
    cr_assert_eq(claimed->result.claimed_count, 0);
    cr_assert_eq(claimed->result.wait_ms, 1);
    world_advance_ms(1);
    cr_assert_eq(claim((struct claim_call){.provider = rate})->result.claimed_count, 1);
    world_advance_ms(10000);
    cr_assert_eq(claim((struct claim_call){.provider = rate})->result.claimed_count, 3,
                 "never more than the burst");
    cr_assert_eq(
        accept_order((struct order){.eid = E1, .lane = "other", .capacity = 5, .provider = rate}).fate,
        FATE_LEASED, "each provider has its own");
}

Test(ledger_limits, a_denied_delivery_uses_no_provider_token)
{
    accept_order((struct order){.eid = E1, .capacity = 9, .recipient = rate_of(1, HOUR_MS, 1)});
    accept_order((struct order){.eid = E2});
    struct claimed *claimed =
        claim((struct claim_call){.provider = rate_of(1, HOUR_MS, 1), .recipient = rate_of(1, HOUR_MS, 1)});
    cr_assert_eq(claimed->result.limited_count, 1);
    cr_assert_eq(claimed->result.wait_ms, 0);
    cr_assert_eq(world_number("EXISTS " PROVIDER_KEY), 0);
}

Test(ledger_limits, a_slot_past_its_age_or_expiry_is_dead_at_once_with_the_time_it_would_have_needed)
{
    struct rate rate = rate_of(1, 48 * HOUR_MS, 1);
    char reason[40];
    accept_order((struct order){.eid = E1, .capacity = 9, .recipient = rate});
    struct accept_answer answer = accept_order((struct order){.eid = E2, .capacity = 9, .recipient = rate});
    cr_assert_eq(answer.fate, FATE_DEAD);
    cr_assert_eq(strncmp(answer.reason, "limited until 17", 16), 0, "%s", answer.reason);
    snprintf(reason, sizeof reason, "%s", answer.reason);
    cr_assert_gt(strtoll(reason + 14, NULL, 10), world_now_ms() + 48 * HOUR_MS);
    accept_order((struct order){.eid = E3});
    accept_order((struct order){.eid = eid_of(9), .expires_at_ms = world_now_ms() + 1000, .scope = R2});
    accept_order((struct order){
        .eid = eid_of(8), .capacity = 9, .lane = "other", .scope = R2, .recipient = rate_of(1, 2000, 1)});
    struct claimed *claimed = claim((struct claim_call){.recipient = rate});
    cr_assert_eq(claimed->result.claimed_count, 0);
    cr_assert_eq(claimed->result.dead_count, 2);
    cr_assert_str_eq(claimed->dead[1].text, reason, "no slot was taken by those that can't use one");
    cr_assert_eq(strncmp(claimed->dead[0].text, "limited until ", 14), 0);
    answer = accept_order((struct order){.eid = eid_of(7),
                                         .capacity = 9,
                                         .lane = "other",
                                         .scope = R2,
                                         .recipient = rate_of(1, 2000, 1),
                                         .expires_at_ms = world_now_ms() + 500});
    cr_assert_eq(answer.fate, FATE_DEAD);
}

Test(ledger_limits, a_damaged_limiter_is_fresh_when_open)
{
    static const char *const damages[] = {"SET %s garbage", "SET %s -5",  "SET %s 1e18",
                                          "SET %s nan",     "RPUSH %s x", "SET %s %s"};
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        world_ask("FLUSHALL");
        world_ask(damages[i], R1_KEY, "");
        world_ask(damages[i], NOTE_KEY, "");
        world_ask(damages[i], PROVIDER_KEY, "");
        struct rate rate = rate_of(1, 1000, 1);
        struct order order = {.eid = E1, .capacity = 9, .provider = rate, .recipient = rate, .rate = rate};
        cr_assert_eq(accept_order(order).fate, FATE_LEASED, "%s", damages[i]);
        cr_assert_eq(world_limiter_errors, 3, "%s", damages[i]);
        order.eid = E2;
        cr_assert_eq(accept_order(order).fate, FATE_WAITS, "and it limits again");
        cr_assert_eq(world_limiter_errors, 0);
    }
}

Test(ledger_limits, a_damaged_limiter_is_used_up_when_closed_and_heals)
{
    struct ledger_options options = world_options();
    options.is_limiter_closed = true;
    struct ledger *closed = world_other_ledger(&options);
    struct rate rate = rate_of(10, 1000, 5);
    world_ask("RPUSH " R1_KEY " x");
    struct accept_answer answer =
        world_accept(closed, (struct order){.eid = E1, .capacity = 9, .recipient = rate}).targets[0];
    cr_assert_eq(answer.fate, FATE_LIMITED);
    cr_assert_eq(world_limiter_errors, 1);
    cr_assert(answer.slot_ms > world_now_ms() + 102 && answer.slot_ms < world_now_ms() + 106,
              "the burst counts as spent");
    world_ask("SET " PROVIDER_KEY " garbage");
    accept_order((struct order){.eid = E2, .scope = R2});
    struct claimed *claimed = world_claim(closed, (struct claim_call){.provider = rate});
    cr_assert_eq(claimed->result.claimed_count, 0);
    cr_assert_eq(claimed->result.limiter_errors, 1);
    cr_assert(claimed->result.wait_ms > 102 && claimed->result.wait_ms < 106);
    world_advance_ms(claimed->result.wait_ms);
    claimed = world_claim(closed, (struct claim_call){.provider = rate});
    cr_assert_eq(claimed->result.claimed_count, 1);
    cr_assert_eq(claimed->result.limiter_errors, 0);
}

Test(ledger_limits, a_clock_that_stepped_back_closes_nothing_for_ever)
{
    struct rate rate = rate_of(1, 1000, 1);
    world_advance_ms(4000 * DAY_MS);
    accept_order((struct order){.eid = E1, .lane = "other", .capacity = 9, .recipient = rate});
    char future[40];
    snprintf(future, sizeof future, "%s", world_text("GET " R1_KEY));
    world_advance_ms(-4000 * DAY_MS);
    cr_assert_eq(accept_order((struct order){.eid = E2, .capacity = 9, .recipient = rate}).fate, FATE_DEAD,
                 "limited for now");
    world_ask("SET " PROVIDER_KEY " %s PX 100000", future);
    accept_order((struct order){.eid = E3, .scope = R2});
    struct claimed *claimed = claim((struct claim_call){.provider = rate});
    cr_assert_eq(claimed->result.claimed_count, 0);
    cr_assert_leq(claimed->result.wait_ms, 367 * DAY_MS, "a year at most, and the key's own TTL before");
}

Test(ledger_limits, absurd_rates_overflow_nothing)
{
    struct rate slow = rate_of(1, 366 * DAY_MS, 1000000), fast = rate_of(1000000, 1000, 1000000),
                none = rate_of(5, 1000, 0);
    cr_assert_eq(
        accept_order(
            (struct order){.eid = E1, .capacity = 9, .recipient = slow, .rate = fast, .provider = fast})
            .fate,
        FATE_LEASED);
    cr_assert_eq(accept_order((struct order){.eid = E2, .capacity = 9, .recipient = slow}).fate, FATE_DEAD,
                 "a burst of more than a year's earning is cut");
    cr_assert_eq(accept_order((struct order){.eid = E3, .scope = R2, .capacity = 9, .recipient = none}).fate,
                 FATE_LEASED, "a burst of none would never let anything go");
}

Test(ledger_limits, other_notifications_are_not_limited)
{
    struct rate rate = rate_of(1, HOUR_MS, 1);
    struct accept_notification notification = {.name = "note", .rate = rate};
    struct claim_call call = {.notifications = &notification, .notification_count = 1};
    accept_order((struct order){.eid = E1});
    accept_order((struct order){.eid = E2});
    accept_order((struct order){.eid = E3, .notification = "other"});
    struct claimed *claimed = claim(call);
    cr_assert_eq(claimed->result.claimed_count, 2);
    cr_assert_eq(claimed->result.limited_count, 1);
    cr_assert_str_eq(claimed->limited[0].text, "notification");
    cr_assert_eq(world_record(E2, 0).flags, 4);
}
