/* recall.c - the promises of recall.h. */
#include "recall.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define EID "0123456789abcdef0123456789abcdef"

static struct recall *new_recall(void)
{
    struct recall *recall;
    struct err err;
    cr_assert(recall_new(&recall, &err));
    return recall;
}

static void add(struct recall *recall, const char *payload, size_t len, int64_t mono_ms)
{
    char eid[EVENT_EID_CHARS + 1] = {0};
    snprintf(eid, sizeof eid, "%.*s", EVENT_EID_CHARS, EID);
    recall_event(recall, eid, eid, payload, len, mono_ms);
}

static size_t count(const struct recall *recall)
{
    size_t n = 0;
    for (const struct recalled_event *event = recall_events(recall); event != NULL; event = event->next)
        n++;
    return n;
}

Test(recall, events_come_back_whole_and_in_their_order)
{
    struct recall *recall = new_recall();
    add(recall, "one", 3, 1000);
    add(recall, "two\0two", 7, 1001);
    const struct recalled_event *event = recall_events(recall);
    cr_assert_eq(event->payload_len, 3);
    cr_assert_arr_eq(event->payload, "one", 3);
    cr_assert_eq(event->next->payload_len, 7);
    cr_assert_arr_eq(event->next->payload, "two\0two", 7);
    cr_assert_null(event->next->next);
    recall_free(recall);
}

Test(recall, what_redis_confirmed_long_ago_goes_at_its_next_answer)
{
    struct recall *recall = new_recall();
    add(recall, "old", 3, 1000);
    add(recall, "young", 5, 3000);
    recall_age(recall, 1000 + RECALL_EVENTS_MS);
    cr_assert_eq(count(recall), 2, "not before its time");
    recall_age(recall, 1001 + RECALL_EVENTS_MS);
    cr_assert_eq(count(recall), 1);
    cr_assert_arr_eq(recall_events(recall)->payload, "young", 5);
    cr_assert_eq(recall_gap(recall, 1001 + RECALL_EVENTS_MS), 0, "what went at its time is no gap");
    recall_free(recall);
}

Test(recall, a_full_ring_drops_its_oldest_and_says_since_when_it_is_whole)
{
    struct recall *recall = new_recall();
    static char payload[1024 * 1024];
    for (int64_t i = 0; i < 20; i++)
        add(recall, payload, sizeof payload, 1000 + i);
    size_t kept = count(recall);
    cr_assert_eq(kept, 15, "16 MiB less what the entries themselves take: %zu", kept);
    cr_assert_eq(recall_events(recall)->mono_ms, 1005);
    cr_assert_eq(recall_gap(recall, 1020), 1004);
    cr_assert_eq(recall_gap(recall, 1004 + RECALL_EVENTS_MS), 0, "by now it would have gone anyway");
    recall_free(recall);
}

Test(recall, while_it_is_held_nothing_in_it_moves)
{
    struct recall *recall = new_recall();
    static char payload[8 * 1024 * 1024 - 4096];
    add(recall, payload, sizeof payload, 1000);
    const struct recalled_event *first = recall_events(recall);
    recall_hold(recall);
    add(recall, payload, sizeof payload, 1000 + 2 * RECALL_EVENTS_MS);
    recall_age(recall, 1000 + 3 * RECALL_EVENTS_MS);
    cr_assert_eq(recall_events(recall), first);
    cr_assert_eq(count(recall), 2);
    add(recall, payload, sizeof payload, 1000 + 3 * RECALL_EVENTS_MS);
    cr_assert_eq(count(recall), 2, "it is full: the new one could not be kept");
    cr_assert_eq(recall_gap(recall, 1000 + 3 * RECALL_EVENTS_MS + 1), 1000 + 3 * RECALL_EVENTS_MS);
    recall_let_go(recall);
    recall_age(recall, 1000 + 3 * RECALL_EVENTS_MS);
    cr_assert_eq(count(recall), 1);
    recall_free(recall);
}

Test(recall, what_redis_was_told_again_is_as_good_as_new)
{
    struct recall *recall = new_recall();
    add(recall, "told", 4, 1000);
    add(recall, "not told", 8, 1001);
    recall_retold(recall, recall_events(recall)->next, 5000);
    recall_age(recall, 5000 + RECALL_EVENTS_MS);
    cr_assert_eq(count(recall), 2, "nothing goes before what stands in front of it");
    recall_age(recall, 5001 + RECALL_EVENTS_MS);
    cr_assert_eq(count(recall), 0);
    recall_free(recall);
}

Test(recall, no_event_is_told_again_for_ever)
{
    struct recall *recall = new_recall();
    add(recall, "one", 3, 1000);
    recall_retold(recall, NULL, 1000 + RECALL_RETOLD_MS);
    recall_retold(recall, NULL, 1001 + RECALL_RETOLD_MS);
    recall_age(recall, 1000 + RECALL_RETOLD_MS + RECALL_EVENTS_MS);
    cr_assert_eq(count(recall), 1, "once more it counted");
    recall_age(recall, 1001 + RECALL_RETOLD_MS + RECALL_EVENTS_MS);
    cr_assert_eq(count(recall), 0, "and then no more");
    recall_free(recall);
}

Test(recall, answers_come_back_for_as_long_as_the_journal_keeps_them)
{
    struct recall *recall = new_recall();
    struct journal_note note = {.ordinal = 1, .fence = 7, .answer = JOURNAL_SENT}, read;
    size_t cursor = 0;
    recall_answer(recall, &note, 1000);
    note.ordinal = 2;
    recall_answer(recall, &note, 1001 + JOURNAL_KEPT_MS);
    cr_assert(recall_next_answer(recall, &cursor, &read));
    cr_assert_eq(read.ordinal, 2, "the first is too old");
    cr_assert_eq(read.fence, 7);
    cr_assert_not(recall_next_answer(recall, &cursor, &read));
    recall_free(recall);
}
