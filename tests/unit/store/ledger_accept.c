/* accept: what becomes of an event that comes in. */
#include <criterion/criterion.h>

#include "ledger_world.h"

#define E1 "aaaaaaaaaaaaaaaaaaaaaaa1"
#define E2 "aaaaaaaaaaaaaaaaaaaaaaa2"
#define E3 "aaaaaaaaaaaaaaaaaaaaaaa3"

TestSuite(ledger_accept, .init = world_start, .fini = world_stop, .timeout = 60);

static struct accept_result accept_order(struct order order)
{
    struct accept_result result = world_accept(world_ledger(), order);
    cr_assert_eq(world_err.kind, ERR_NONE, "%s", world_err.text);
    return result;
}

static int64_t due_at(const char *index, const char *eid)
{
    return world_number("ZSCORE herald:{0}:%s %s:0", index, eid);
}

Test(ledger_accept, an_event_waits_when_its_lane_has_no_room)
{
    struct accept_result result = accept_order((struct order){.eid = E1, .targets = 2});
    cr_assert_eq(result.verdict, ACCEPT_NEW);
    cr_assert_eq(result.accepted_ms, world_now_ms());
    cr_assert_eq(result.target_count, 2);
    cr_assert_eq(result.targets[0].fate, FATE_WAITS);
    cr_assert_eq(result.targets[1].fate, FATE_WAITS);
    cr_assert_eq(due_at("due:mail", E1), world_now_ms());
    cr_assert_eq(world_record(E1, 1).state, 'A');
    cr_assert_eq(world_record(E1, 1).fence, 0);
    cr_assert_eq(world_number("HGET herald:{0}:lanes mail"), world_now_ms());
}

Test(ledger_accept, an_open_lane_takes_it_at_once_with_the_first_fence)
{
    struct accept_result result =
        accept_order((struct order){.eid = E1, .capacity = 1, .targets = 2, .hold = true});
    cr_assert_eq(result.targets[0].fate, FATE_LEASED);
    cr_assert_eq(result.targets[1].fate, FATE_WAITS, "there was room for one");
    struct ledger_record record = world_record(E1, 0);
    cr_assert_eq(record.state, 'L');
    cr_assert_eq(record.fence, 1);
    cr_assert_eq(record.flags, 2, "hold");
    cr_assert_str_eq(record.owner, WORLD_OWNER);
    cr_assert_eq(record.at_ms, WORLD_LEASE_MS);
    cr_assert_eq(due_at("lease", E1), world_now_ms() + WORLD_LEASE_MS);
}

Test(ledger_accept, what_comes_later_does_not_overtake_what_is_due)
{
    accept_order((struct order){.eid = E1});
    cr_assert_eq(accept_order((struct order){.eid = E2, .capacity = 5}).targets[0].fate, FATE_WAITS);
    cr_assert_eq(accept_order((struct order){.eid = E3, .lane = "other", .capacity = 5}).targets[0].fate,
                 FATE_LEASED, "another lane's backlog is none of its business");
}

Test(ledger_accept, what_waits_again_is_not_overtaken_either)
{
    accept_order((struct order){.eid = E1, .capacity = 1});
    cr_assert_eq(world_settle(ledger_fail,
                              (struct ledger_item){
                                  .eid = E1, .fence = 1, .attempts = 1, .text = "4xx", .delay_ms = 1000}),
                 1);
    cr_assert_eq(accept_order((struct order){.eid = E2, .capacity = 5}).targets[0].fate, FATE_LEASED,
                 "not due yet");
    world_advance_ms(1000);
    cr_assert_eq(accept_order((struct order){.eid = E3, .capacity = 5}).targets[0].fate, FATE_WAITS);
}

Test(ledger_accept, within_one_call_the_lane_closes_with_the_first_that_waits)
{
    struct accept_lane lane = {
        .name = "mail", .capacity = 5, .provider = {.count = 1, .period_ms = 1000, .burst = 2}};
    struct accept_notification notification = {.name = "note"};
    static const char *const eids[] = {E1, E2, E3};
    struct accept_event events[3];
    memset(events, 0, sizeof events);
    for (size_t i = 0; i < 3; i++) {
        events[i] = (struct accept_event){.eid = eids[i],
                                          .content = "c",
                                          .payload = "1 note s 1 0 0\n",
                                          .payload_len = 15,
                                          .target_count = 1};
        events[i].targets[0] = (struct accept_target){.scope = "00000000000000aa", .max_age_ms = 1000};
    }
    struct accept_call call = {&lane, 1, &notification, 1, events, 3};
    struct accept_result results[3];
    world_accept_call(world_ledger(), &call, results);
    cr_assert_eq(results[0].targets[0].fate, FATE_LEASED);
    cr_assert_eq(results[1].targets[0].fate, FATE_LEASED);
    cr_assert_eq(results[2].targets[0].fate, FATE_WAITS, "the provider's burst is two");
}

Test(ledger_accept, an_event_for_later_waits_until_then)
{
    int64_t at = world_now_ms() + 5 * HOUR_MS;
    cr_assert_eq(accept_order((struct order){.eid = E1, .capacity = 5, .send_at_ms = at}).targets[0].fate,
                 FATE_WAITS);
    cr_assert_eq(due_at("due:mail", E1), at);
    cr_assert_eq(
        accept_order((struct order){.eid = E2, .capacity = 5, .send_at_ms = world_now_ms()}).targets[0].fate,
        FATE_LEASED, "a time that has come is now");
}

Test(ledger_accept, what_has_expired_is_dead_at_once_and_listed)
{
    struct accept_result result =
        accept_order((struct order){.eid = E1, .capacity = 5, .expires_at_ms = world_now_ms()});
    cr_assert_eq(result.targets[0].fate, FATE_DEAD);
    cr_assert_str_eq(result.targets[0].reason, "expired");
    cr_assert_eq(due_at("dead", E1), world_now_ms());
    cr_assert(world_history_has(E1, "0 dead expired"));
    cr_assert_eq(accept_order((struct order){.eid = E2, .capacity = 5, .expires_at_ms = world_now_ms() + 1})
                     .targets[0]
                     .fate,
                 FATE_LEASED);
}

Test(ledger_accept, a_target_with_a_reason_is_dead_though_it_has_no_lane)
{
    struct accept_notification notification = {.name = "note"};
    struct accept_event event = {
        .eid = E1, .content = "c", .payload = "1 note s 1 0 0\n", .payload_len = 15, .target_count = 1};
    event.targets[0] = (struct accept_target){.scope = "", .dead_reason = "no recipient"};
    struct accept_call call = {NULL, 0, &notification, 1, &event, 1};
    struct accept_result result;
    world_accept_call(world_ledger(), &call, &result);
    cr_assert_eq(world_err.kind, ERR_NONE, "%s", world_err.text);
    cr_assert_eq(result.targets[0].fate, FATE_DEAD);
    cr_assert_str_eq(result.targets[0].reason, "no recipient");
    cr_assert_str_eq(world_record(E1, 0).lane, "-");
    cr_assert_eq(world_settle(ledger_replay, (struct ledger_item){.eid = E1}), 0,
                 "there is nowhere to replay it to");
    cr_assert_eq(world_drop(E1, 0), 1);
}

Test(ledger_accept, a_note_is_kept_for_explain)
{
    accept_order((struct order){.eid = E1, .capacity = 1, .note = "push skipped: no device"});
    cr_assert(world_history_has(E1, "- push skipped: no device"));
    cr_assert_eq(
        world_settle(ledger_sent, (struct ledger_item){.eid = E1, .fence = 1, .attempts = 1, .text = "250"}),
        1);
}

Test(ledger_accept, the_same_event_again_is_a_duplicate_with_what_is_on_record)
{
    int64_t accepted_ms = accept_order((struct order){.eid = E1, .capacity = 1, .targets = 3}).accepted_ms;
    world_advance_ms(1000);
    struct accept_result result = accept_order((struct order){.eid = E1, .capacity = 5, .targets = 2});
    cr_assert_eq(result.verdict, ACCEPT_DUPLICATE);
    cr_assert_eq(result.accepted_ms, accepted_ms);
    cr_assert_eq(result.target_count, 3, "what is on record counts, not what is asked for by now");
    cr_assert_eq(result.targets[0].fate, FATE_OTHER);
    cr_assert_eq(result.targets[0].record.state, 'L');
    cr_assert_eq(result.targets[0].record.fence, 1);
    cr_assert_str_eq(result.targets[0].record.owner, WORLD_OWNER);
    cr_assert_str_eq(result.targets[0].record.lane, "mail");
    cr_assert_eq(result.targets[2].record.state, 'A');
    cr_assert_eq(world_number("ZCARD herald:{0}:due:mail"), 2);
    cr_assert_eq(world_number("ZCARD herald:{0}:lease"), 1);
}

Test(ledger_accept, the_most_deliveries_an_event_can_have_come_back_whole)
{
    accept_order((struct order){
        .eid = E1, .targets = DELIVERY_MAX_PER_EVENT, .lane = "a-lane-of-20-chars-x", .capacity = 24});
    struct accept_result result = accept_order((struct order){.eid = E1, .targets = DELIVERY_MAX_PER_EVENT});
    cr_assert_eq(result.target_count, DELIVERY_MAX_PER_EVENT);
    for (size_t i = 0; i < result.target_count; i++)
        cr_assert_eq(result.targets[i].record.state, 'L');
}

Test(ledger_accept, a_repeated_accept_whose_answer_was_lost_tells_whose_lease_it_is)
{
    accept_order((struct order){.eid = E1, .capacity = 1});
    struct accept_result result = accept_order((struct order){.eid = E1, .capacity = 1});
    cr_assert_eq(result.verdict, ACCEPT_DUPLICATE);
    cr_assert_str_eq(result.targets[0].record.owner, WORLD_OWNER);
    struct ledger_item item = {.eid = E1, .fence = result.targets[0].record.fence};
    cr_assert_eq(world_settle(ledger_release, item), 1, "so it can be adopted");
}

Test(ledger_accept, other_content_under_the_same_id_is_a_conflict_and_changes_nothing)
{
    accept_order((struct order){.eid = E1, .capacity = 1});
    struct accept_result result = accept_order((struct order){.eid = E1, .content = "c1", .capacity = 1});
    cr_assert_eq(result.verdict, ACCEPT_CONFLICT);
    cr_assert_eq(result.target_count, 0);
    cr_assert(world_history_has(E1, "- conflict c1"));
    cr_assert_str_eq(world_text("HGET herald:{0}:e:" E1 " h"), "c0");
    cr_assert_eq(world_record(E1, 0).state, 'L');
}

Test(ledger_accept, a_conflict_with_an_event_that_has_ended_leaves_no_key_for_ever)
{
    accept_order((struct order){.eid = E1, .capacity = 1});
    cr_assert_eq(
        world_settle(ledger_sent, (struct ledger_item){.eid = E1, .fence = 1, .attempts = 1, .text = "250"}),
        1);
    cr_assert_eq(world_number("EXISTS herald:{0}:x:" E1), 0, "a first-attempt success has no history");
    world_advance_ms(HOUR_MS);
    cr_assert_eq(accept_order((struct order){.eid = E1, .content = "c1"}).verdict, ACCEPT_CONFLICT);
    cr_assert_eq(world_number("PTTL herald:{0}:x:" E1), WORLD_RETAIN_MS - HOUR_MS);
}

Test(ledger_accept, a_history_has_at_most_eight_lines)
{
    accept_order((struct order){.eid = E1, .capacity = 1});
    for (int i = 0; i < 20; i++)
        accept_order((struct order){.eid = E1, .content = i == 19 ? "last" : "c1"});
    cr_assert_eq(world_number("HLEN herald:{0}:x:" E1), 9, "eight lines and their number");
    cr_assert(world_history_has(E1, "conflict last"));
}

Test(ledger_accept, twins_in_one_call_are_accepted_once)
{
    struct accept_lane lane = {.name = "mail", .capacity = 5};
    struct accept_notification notification = {.name = "note"};
    struct accept_event events[3];
    memset(events, 0, sizeof events);
    for (size_t i = 0; i < 3; i++) {
        events[i] = (struct accept_event){.eid = E1,
                                          .content = i < 2 ? "c0" : "c1",
                                          .payload = "1 note s 2 0 0\n",
                                          .payload_len = 15,
                                          .target_count = 2};
        for (size_t j = 0; j < 2; j++)
            events[i].targets[j] = (struct accept_target){.scope = "00000000000000aa", .max_age_ms = 1000};
    }
    struct accept_call call = {&lane, 1, &notification, 1, events, 3};
    struct accept_result results[3];
    world_accept_call(world_ledger(), &call, results);
    cr_assert_eq(results[0].verdict, ACCEPT_NEW);
    cr_assert_eq(results[1].verdict, ACCEPT_DUPLICATE);
    cr_assert_eq(results[1].accepted_ms, world_now_ms());
    cr_assert_eq(results[1].target_count, 2);
    cr_assert_eq(results[1].targets[1].record.state, 'L');
    cr_assert_eq(results[2].verdict, ACCEPT_CONFLICT);
    cr_assert_eq(world_number("ZCARD herald:{0}:lease"), 2);
    cr_assert(world_history_has(E1, "conflict c1"));
}

Test(ledger_accept, an_event_is_new_again_after_the_dedupe_window)
{
    accept_order((struct order){.eid = E1, .capacity = 1});
    world_settle(ledger_sent, (struct ledger_item){.eid = E1, .fence = 1, .attempts = 1, .text = "250"});
    world_advance_ms(WORLD_RETAIN_MS - 1);
    cr_assert_eq(accept_order((struct order){.eid = E1, .capacity = 1}).verdict, ACCEPT_DUPLICATE);
    world_advance_ms(2);
    cr_assert_eq(accept_order((struct order){.eid = E1, .capacity = 1}).verdict, ACCEPT_NEW);
}

Test(ledger_accept, a_foreign_key_in_its_place_damages_that_event_and_no_other)
{
    world_ask("SET herald:{0}:e:" E1 " foreign");
    struct accept_lane lane = {.name = "mail", .capacity = 5};
    struct accept_notification notification = {.name = "note"};
    struct accept_event events[2];
    memset(events, 0, sizeof events);
    for (size_t i = 0; i < 2; i++) {
        events[i] = (struct accept_event){.eid = i == 0 ? E1 : E2,
                                          .content = "c",
                                          .payload = "1 note s 1 0 0\n",
                                          .payload_len = 15,
                                          .target_count = 1};
        events[i].targets[0] = (struct accept_target){.scope = "00000000000000aa", .max_age_ms = 1000};
    }
    struct accept_call call = {&lane, 1, &notification, 1, events, 2};
    struct accept_result results[2];
    world_accept_call(world_ledger(), &call, results);
    cr_assert_eq(results[0].verdict, ACCEPT_DAMAGED);
    cr_assert_eq(results[0].target_count, 0);
    cr_assert_eq(results[1].verdict, ACCEPT_NEW);
    cr_assert_eq(results[1].targets[0].fate, FATE_LEASED);
    cr_assert_str_eq(world_text("GET herald:{0}:e:" E1), "foreign");
    world_ask("DEL herald:{0}:e:" E1);
}

Test(ledger_accept, a_foreign_payload_or_history_key_does_not_stop_it)
{
    world_ask("RPUSH herald:{0}:p:" E1 " foreign");
    world_ask("RPUSH herald:{0}:x:" E1 " foreign");
    cr_assert_eq(accept_order((struct order){.eid = E1, .capacity = 1, .note = "said"}).targets[0].fate,
                 FATE_LEASED);
    cr_assert_str_eq(world_text("TYPE herald:{0}:p:" E1), "string");
    world_ask("DEL herald:{0}:x:" E1);
}

Test(ledger_accept, a_foreign_index_key_refuses_the_accept_before_anything_is_written)
{
    static const char *const keys[] = {"due:mail", "lease", "dead"};
    for (size_t i = 0; i < 3; i++) {
        world_ask("SET herald:{0}:%s foreign", keys[i]);
        world_accept(world_ledger(),
                     (struct order){.eid = E1, .capacity = i == 1, .dead_reason = i == 2 ? "x" : NULL});
        cr_assert_eq(world_err.kind, ERR_PERMANENT, "%s: %s", keys[i], world_err.text);
        cr_assert_eq(world_number("EXISTS herald:{0}:e:" E1), 0,
                     "%s: or a repeated accept would find a duplicate that is nowhere", keys[i]);
        cr_assert_eq(world_number("EXISTS herald:{0}:p:" E1), 0);
        world_ask("DEL herald:{0}:%s", keys[i]);
    }
}

Test(ledger_accept, of_a_paused_lane_nothing_is_leased_at_once_and_no_slot_of_a_limit_is_reserved)
{
    const struct rate slow = {.count = 1, .period_ms = HOUR_MS, .burst = 1};
    world_ask("HSET herald:{0}:paused mail %s", "paused 1");
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(accept_order((struct order){.eid = i == 0 ? E1 : E2, .capacity = 5, .recipient = slow})
                         .targets[0]
                         .fate,
                     FATE_WAITS);
    world_ask("DEL herald:{0}:paused");
    cr_assert_eq(accept_order((struct order){.eid = E3, .lane = "other", .capacity = 5}).targets[0].fate,
                 FATE_LEASED);
}

Test(ledger_accept, a_flushed_script_is_sent_again_with_its_text)
{
    world_ask("SCRIPT FLUSH");
    cr_assert_eq(accept_order((struct order){.eid = E1, .capacity = 1}).verdict, ACCEPT_NEW);
    world_ask("SCRIPT FLUSH");
    cr_assert_eq(world_settle(ledger_start, (struct ledger_item){.eid = E1, .fence = 1}), 1);
    const char *sha = NULL;
    cr_assert_not_null(ledger_script("start", &sha));
    cr_assert_eq(world_ask("SCRIPT EXISTS %s", sha)->element[0]->integer, 1,
                 "EVAL has loaded it under the name we use");
    cr_assert_null(ledger_script("nothing", NULL));
}

Test(ledger_accept, every_script_has_the_sha_that_redis_gives_it)
{
    static const char *const names[] = {"accept", "claim",  "start", "extend", "release", "sent", "fail",
                                        "reap",   "replay", "drop",  "cancel", "trim",    "move", "bury"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *sha = NULL;
        const char *text = ledger_script(names[i], &sha);
        cr_assert_not_null(text, "%s", names[i]);
        cr_assert_str_eq(world_text("SCRIPT LOAD %s", text), sha, "%s", names[i]);
    }
}

Test(ledger_accept, a_full_or_read_only_redis_refuses_for_now)
{
    world_ask("CONFIG SET maxmemory 1");
    world_accept(world_ledger(), (struct order){.eid = E1, .capacity = 1});
    cr_assert_eq(world_err.kind, ERR_TRANSIENT, "%s", world_err.text);
    cr_assert(strstr(world_err.text, "accept: ") == world_err.text && strstr(world_err.text, "OOM") != NULL,
              "%s", world_err.text);
    cr_assert_eq(world_number("DBSIZE"), 0, "the refusal comes before any write");
    world_ask("CONFIG SET maxmemory 0");
    world_ask("REPLICAOF 127.0.0.1 1");
    world_accept(world_ledger(), (struct order){.eid = E1, .capacity = 1});
    cr_assert_eq(world_err.kind, ERR_TRANSIENT, "%s", world_err.text);
    cr_assert(strstr(world_err.text, "READONLY") != NULL, "%s", world_err.text);
    world_ask("REPLICAOF NO ONE");
    world_reconnect();
    cr_assert_eq(accept_order((struct order){.eid = E1, .capacity = 1}).verdict, ACCEPT_NEW);
}

static void on_lost_accept(void *arg, const struct accept_result *results, size_t count,
                           unsigned limiter_errors, const struct err *err)
{
    (void)results, (void)count, (void)limiter_errors;
    *(enum err_kind *)arg = err != NULL ? err->kind : ERR_NONE;
}

Test(ledger_accept, a_lost_connection_answers_that_it_may_have_happened_and_a_repeat_is_harmless)
{
    struct accept_lane lane = {.name = "mail", .capacity = 5};
    struct accept_notification notification = {.name = "note"};
    struct accept_event event = {
        .eid = E1, .content = "c0", .payload = "1 note s 1 0 0\n", .payload_len = 15, .target_count = 1};
    event.targets[0] = (struct accept_target){.scope = "00000000000000aa", .max_age_ms = 1000};
    struct accept_call call = {&lane, 1, &notification, 1, &event, 1};
    enum err_kind kind = ERR_NONE;
    struct err err;
    world_cut();
    cr_assert(ledger_accept(world_ledger(), &call, on_lost_accept, &kind, &err),
              "the loop has not noticed yet");
    cr_assert_eq(ledger_pending(world_ledger()), 1);
    cr_assert(world_await());
    cr_assert_eq(kind, ERR_TRANSIENT);
    kind = ERR_NONE;
    cr_assert_not(ledger_accept(world_ledger(), &call, on_lost_accept, &kind, &err));
    cr_assert_eq(err.kind, ERR_TRANSIENT, "%s", err.text);
    cr_assert_eq(kind, ERR_NONE, "not sent: no callback");
    world_reconnect();
    cr_assert_eq(accept_order((struct order){.eid = E1, .capacity = 1}).target_count, 1);
}

static int64_t used_memory(void)
{
    return strtoll(strstr(world_text("INFO memory"), "used_memory:") + 12, NULL, 10);
}

Test(ledger_accept, an_event_costs_what_was_reckoned)
{
    enum { COUNT = 10000, BATCH = 100 };
    static struct accept_event events[BATCH];
    static char eids[BATCH][EVENT_EID_CHARS + 1];
    static struct accept_result results[BATCH];
    static struct ledger_item items[BATCH];
    struct accept_lane lane = {.name = "mail", .capacity = COUNT};
    struct accept_notification notification = {.name = "order-confirmed"};
    struct buffer payload;
    buffer_init(&payload, 4096);
    world_payload(&(struct order){.eid = E1, .event_bytes = 200}, &payload);
    int64_t empty = used_memory();
    for (unsigned from = 0; from < COUNT; from += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            snprintf(eids[i], sizeof eids[i], "%024x", from + i);
            events[i] = (struct accept_event){.eid = eids[i],
                                              .content = "0123456789abcdef01234567",
                                              .payload = payload.data,
                                              .payload_len = payload.len,
                                              .target_count = 1};
            events[i].targets[0] =
                (struct accept_target){.scope = "00000000000000aa", .max_age_ms = WORLD_MAX_AGE_MS};
        }
        world_accept_call(world_ledger(), &(struct accept_call){&lane, 1, &notification, 1, events, BATCH},
                          results);
    }
    int64_t pending = used_memory() - empty;
    world_advance_ms(500);
    for (unsigned from = 0; from < COUNT; from += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            snprintf(eids[i], sizeof eids[i], "%024x", from + i);
            items[i] = (struct ledger_item){.eid = eids[i], .fence = 1, .attempts = 1, .text = "250 ok"};
        }
        cr_assert(world_settle_many(ledger_sent, items, BATCH, NULL));
    }
    int64_t retained = used_memory() - empty;
    fprintf(stderr, "bytes: %lld per pending event besides its payload of %zu, %lld per retained one\n",
            (long long)(pending / COUNT - (int64_t)payload.len), payload.len, (long long)(retained / COUNT));
    cr_expect_leq(pending / COUNT, 900 + (int64_t)payload.len);
    cr_expect_leq(retained / COUNT, 300);
    buffer_done(&payload);
}

Test(ledger_accept, a_prefix_that_makes_keys_too_long_is_refused)
{
    struct ledger_options options = world_options();
    struct ledger *ledger = NULL;
    struct err err;
    options.prefix = "a-prefix-of-forty-nine-bytes-which-is-one-too-many";
    cr_assert_not(ledger_new(&options, &ledger, &err));
    cr_assert_eq(err.kind, ERR_CONFIG);
    char key[LEDGER_KEY_BYTES];
    ledger_key(world_ledger(), "due:mail", key);
    cr_assert_str_eq(key, "herald:{0}:due:mail");
}

Test(ledger_accept, a_record_is_read_or_refused)
{
    static const struct {
        const char *text;
        bool is_read;
    } rows[] = {
        {"A 0 0 0 0 0 mail -", true},
        {"L 12 3 1 60000 3 a-lane-of-20-chars-x 0123abcd", true},
        {"S 1 1 0 -5 0 mail -", true},
        {"", false},
        {"A", false},
        {"A 0 0 0 0 0 mail", false},
        {"Q 0 0 0 0 0 mail -", false},
        {"A x 0 0 0 0 mail -", false},
        {"A 0 0 0 0 0 mail - and a lot more than a record could ever hold, so that it can't be one of ours, "
         "whatever it says at its start",
         false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ledger_record record = {.state = '?'};
        cr_assert_eq(ledger_read_record(rows[i].text, strlen(rows[i].text), &record), rows[i].is_read, "%s",
                     rows[i].text);
        cr_assert(rows[i].is_read || record.state == '?', "untouched on failure");
    }
}
