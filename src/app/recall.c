/* recall.c - two rings, see recall.h: a list bounded by bytes and age, and an array that goes round. Loop
 * thread. */
#include "recall.h"

#include <stdlib.h>
#include <string.h>

#define ANSWERS_MAX (RECALL_ANSWERS_BYTES / sizeof(struct answer))

struct answer {
    int64_t mono_ms;
    struct journal_note note;
};

struct recall {
    struct recalled_event *first, **last; /* owned */
    size_t bytes;
    bool is_held;
    int64_t dropped_mono_ms; /* of the youngest entry that had to go before its time; 0: none */
    struct answer *answers;  /* owned: ANSWERS_MAX; pages that were never used cost nothing */
    size_t first_answer, answer_count;
};

static size_t weight(const struct recalled_event *event)
{
    return sizeof *event + event->payload_len;
}

static void drop_first(struct recall *recall)
{
    struct recalled_event *event = recall->first;
    recall->first = event->next;
    if (recall->first == NULL)
        recall->last = &recall->first;
    recall->bytes -= weight(event);
    free(event);
}

bool recall_new(struct recall **ret, struct err *err)
{
    struct recall *recall = calloc(1, sizeof *recall);
    if (recall != NULL)
        recall->answers = calloc(ANSWERS_MAX, sizeof *recall->answers);
    if (recall == NULL || recall->answers == NULL) {
        free(recall);
        return err_set(err, ERR_NOMEM, "out of memory");
    }
    recall->last = &recall->first;
    *ret = recall;
    return true;
}

void recall_free(struct recall *recall)
{
    if (recall == NULL)
        return;
    while (recall->first != NULL)
        drop_first(recall);
    free(recall->answers);
    free(recall);
}

/* ── events ── */

static bool has_room(const struct recall *recall, size_t payload_len)
{
    return recall->bytes + sizeof *recall->first + payload_len <= RECALL_EVENTS_BYTES;
}

void recall_age(struct recall *recall, int64_t mono_ms)
{
    while (!recall->is_held && recall->first != NULL && mono_ms - recall->first->mono_ms > RECALL_EVENTS_MS)
        drop_first(recall);
}

void recall_hold(struct recall *recall)
{
    recall->is_held = true;
}

void recall_let_go(struct recall *recall)
{
    recall->is_held = false;
}

void recall_event(struct recall *recall, const char *eid, const char *content, const char *payload,
                  size_t payload_len, int64_t mono_ms)
{
    recall_age(recall, mono_ms);
    while (!recall->is_held && recall->first != NULL && !has_room(recall, payload_len)) {
        recall->dropped_mono_ms = recall->first->mono_ms;
        drop_first(recall);
    }
    struct recalled_event *event = has_room(recall, payload_len) ? malloc(sizeof *event + payload_len) : NULL;
    if (event == NULL) {
        recall->dropped_mono_ms = mono_ms;
        return;
    }
    event->next = NULL;
    event->accepted_mono_ms = event->mono_ms = mono_ms;
    event->payload_len = payload_len;
    memcpy(event->eid, eid, sizeof event->eid);
    memcpy(event->content, content, sizeof event->content);
    memcpy(event->payload, payload, payload_len);
    *recall->last = event;
    recall->last = &event->next;
    recall->bytes += weight(event);
}

void recall_retold(struct recall *recall, const struct recalled_event *end, int64_t mono_ms)
{
    for (struct recalled_event *event = recall->first; event != end; event = event->next)
        if (mono_ms - event->accepted_mono_ms <= RECALL_RETOLD_MS)
            event->mono_ms = mono_ms;
}

const struct recalled_event *recall_events(const struct recall *recall)
{
    return recall->first;
}

int64_t recall_gap(const struct recall *recall, int64_t mono_ms)
{
    bool is_short = recall->dropped_mono_ms != 0 && mono_ms - recall->dropped_mono_ms < RECALL_EVENTS_MS;
    return is_short ? recall->dropped_mono_ms : 0;
}

/* ── answers ── */

void recall_answer(struct recall *recall, const struct journal_note *note, int64_t mono_ms)
{
    while (recall->answer_count == ANSWERS_MAX ||
           (recall->answer_count > 0 &&
            mono_ms - recall->answers[recall->first_answer].mono_ms > JOURNAL_KEPT_MS)) {
        recall->first_answer = (recall->first_answer + 1) % ANSWERS_MAX;
        recall->answer_count--;
    }
    size_t at = (recall->first_answer + recall->answer_count) % ANSWERS_MAX;
    recall->answers[at] = (struct answer){mono_ms, *note};
    recall->answer_count++;
}

bool recall_next_answer(const struct recall *recall, size_t *cursor, struct journal_note *ret)
{
    if (*cursor >= recall->answer_count)
        return false;
    *ret = recall->answers[(recall->first_answer + *cursor) % ANSWERS_MAX].note;
    ++*cursor;
    return true;
}
