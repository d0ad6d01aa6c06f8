/* What was refused: kept for whoever publishes it, a stream's entry once, and never more than there is room
 * for. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "herald/incoming.h"
#include "ledger_world.h"

#define KEPT "herald:{0}:rejected"
#define KNOWN "herald:{0}:rejected-entries"
#define MOST_KEPT 1000
#define MOST_KNOWN 10000
#define XADD_NODE 100 /* stream-node-max-entries: XADD ~ removes whole nodes */

TestSuite(ledger_reject, .init = world_start, .fini = world_stop, .timeout = 120);

static struct {
    bool is_new[INCOMING_MAX_BATCH];
    size_t count;
    char complaint[160];
    bool has_failed;
} answer;

static void on_rejected(void *arg, const bool *is_new, size_t count, const char *complaint,
                        const struct err *err)
{
    (void)arg;
    answer.has_failed = err != NULL;
    answer.count = count;
    memcpy(answer.is_new, is_new, count * sizeof *is_new);
    snprintf(answer.complaint, sizeof answer.complaint, "%s", complaint != NULL ? complaint : "");
}

static void reject(const struct reject_item *items, size_t count)
{
    struct err err;
    cr_assert(ledger_reject(world_ledger(), items, count, on_rejected, NULL, &err), "%s", err.text);
    cr_assert(world_await());
    cr_assert_not(answer.has_failed);
    cr_assert_eq(answer.count, count);
}

static struct reject_item entry(const char *source, const char *id)
{
    return (struct reject_item){
        .source = source, .reason = "no JSON", .entry = id, .total_len = 4, .head = "oops", .head_len = 4};
}

static struct reject_item message(uint64_t offset)
{
    return (struct reject_item){.source = "orders",
                                .reason = "no JSON",
                                .offset = offset,
                                .total_len = 4,
                                .head = "oops",
                                .head_len = 4};
}

static const char *field(const char *name)
{
    return world_text("EVAL %s 0 %s",
                      "local flat = redis.call('XREVRANGE', '" KEPT "', '+', '-', 'COUNT', 1)[1][2]\n"
                      "for i = 1, #flat, 2 do if flat[i] == ARGV[1] then return flat[i + 1] end end",
                      name);
}

Test(ledger_reject, what_was_refused_is_kept_with_its_reason_and_its_beginning)
{
    char head[REJECT_HEAD + 500];
    memset(head, 'x', sizeof head);
    memcpy(head, "a\0b\r\n", 5);
    const struct reject_item item = {.source = "orders",
                                     .reason = "at byte 7: expected a value",
                                     .offset = 4711,
                                     .total_len = 300000,
                                     .head = head,
                                     .head_len = sizeof head};
    reject(&item, 1);
    cr_assert(answer.is_new[0]);
    cr_assert_str_eq(answer.complaint, "");
    cr_assert_str_eq(field("source"), "orders");
    cr_assert_str_eq(field("reason"), "at byte 7: expected a value");
    cr_assert_str_eq(field("offset"), "4711");
    cr_assert_str_eq(field("bytes"), "300000");
    cr_assert_null(field("entry"));
    cr_assert_eq(world_number("EVAL %s 0", "local flat = redis.call('XRANGE', '" KEPT "', '-', '+')[1][2]\n"
                                           "local head = flat[#flat]\n"
                                           "return string.sub(head, 1, 5) == 'a\\0b\\r\\n' and #head or -1"),
                 REJECT_HEAD);
}

Test(ledger_reject, an_entry_is_refused_once_and_a_message_each_time)
{
    const struct reject_item items[] = {entry("orders", "1-1"), entry("orders", "1-2"),
                                        entry("refunds", "1-1"), message(7)};
    reject(items, 4);
    for (size_t i = 0; i < 4; i++)
        cr_assert(answer.is_new[i], "%zu", i);
    cr_assert_str_eq(field("offset"), "7");

    const struct reject_item again[] = {items[1], message(7), entry("orders", "1-3"), items[2]};
    reject(again, 4);
    cr_assert_not(answer.is_new[0]);
    cr_assert(answer.is_new[1]);
    cr_assert(answer.is_new[2]);
    cr_assert_not(answer.is_new[3], "the same id in another stream is another entry, and was refused too");
    cr_assert_str_eq(field("entry"), "1-3");
    cr_assert_eq(world_number("XLEN %s", KEPT), 6);
    cr_assert_eq(world_number("ZCARD %s", KNOWN), 4);
}

Test(ledger_reject, neither_memory_grows_without_end)
{
    static struct reject_item items[INCOMING_MAX_BATCH];
    static char ids[INCOMING_MAX_BATCH][24];
    size_t batches = MOST_KNOWN / INCOMING_MAX_BATCH + 2;
    for (size_t batch = 0; batch < batches; batch++) {
        for (size_t i = 0; i < INCOMING_MAX_BATCH; i++) {
            snprintf(ids[i], sizeof ids[i], "%zu-%zu", batch + 1, i);
            items[i] = entry("orders", ids[i]);
        }
        reject(items, INCOMING_MAX_BATCH);
        world_advance_ms(1);
    }
    cr_assert_eq(world_number("ZCARD %s", KNOWN), MOST_KNOWN);
    cr_assert_leq(world_number("XLEN %s", KEPT), MOST_KEPT + XADD_NODE);
    reject(&(struct reject_item){.source = "orders", .reason = "no JSON", .entry = "1-0", .head = ""}, 1);
    cr_assert(answer.is_new[0], "the oldest are forgotten");
    reject(&items[INCOMING_MAX_BATCH - 1], 1);
    cr_assert_not(answer.is_new[0], "the latest are known");
}

Test(ledger_reject, a_memory_that_holds_something_else_costs_what_it_is_for)
{
    const struct reject_item item = entry("orders", "1-1");
    world_ask("SET %s foreign", KEPT);
    reject(&item, 1);
    cr_assert(answer.is_new[0]);
    cr_assert_not_null(strstr(answer.complaint, "WRONGTYPE"), "%s", answer.complaint);
    reject(&item, 1);
    cr_assert_not(answer.is_new[0], "which entries were refused is known all the same");
    world_ask("DEL %s", KEPT);

    world_ask("DEL %s", KNOWN);
    world_ask("SET %s foreign", KNOWN);
    reject(&item, 1);
    cr_assert(answer.is_new[0]);
    cr_assert_not_null(strstr(answer.complaint, "WRONGTYPE"), "%s", answer.complaint);
    cr_assert_str_eq(field("entry"), "1-1");
    world_ask("DEL %s", KNOWN);
}
