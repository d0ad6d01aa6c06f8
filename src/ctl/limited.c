/* limited.c - see limited.h. A slot that is reserved stands in the delivery's record as two flags
 * (prelude.lua), and it waits with the retries of its lane. */
#include "limited.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "items.h"
#include "record.h"

#define RESERVED_NOTIFICATION 4u
#define RESERVED_RECIPIENT 8u

static void add(struct limited *limited, const struct limited_scope *one, int64_t slot_ms)
{
    struct limited_scope *scope = NULL;
    for (size_t i = 0; i < limited->count && scope == NULL; i++)
        if (strcmp(limited->scopes[i].kind, one->kind) == 0 &&
            strcmp(limited->scopes[i].name, one->name) == 0 &&
            strcmp(limited->scopes[i].scope, one->scope) == 0)
            scope = &limited->scopes[i];
    if (scope == NULL && limited->count == LIMITED_MAX) {
        limited->is_cut = true;
        return;
    }
    if (scope == NULL) {
        scope = &limited->scopes[limited->count++];
        *scope = *one;
        scope->next_ms = scope->last_ms = slot_ms;
    }
    scope->waiting++;
    scope->next_ms = slot_ms < scope->next_ms ? slot_ms : scope->next_ms;
    scope->last_ms = slot_ms > scope->last_ms ? slot_ms : scope->last_ms;
}

/* Of the payload's line of that delivery. */
static void read_scope(const struct record *record, unsigned ordinal, char ret[PAYLOAD_SCOPE_CHARS + 1])
{
    const char *line = record->payload;
    for (unsigned i = 0; i <= ordinal && line != NULL; i++) {
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    snprintf(ret, PAYLOAD_SCOPE_CHARS + 1, "%.*s", PAYLOAD_SCOPE_CHARS, line != NULL ? line : "");
}

static void look(struct limited *limited, const struct record *record, unsigned ordinal)
{
    const struct ledger_record *one = &record->deliveries[ordinal];
    int64_t slot_ms = record->accepted_ms + one->at_ms;
    struct delivery *delivery;
    struct err ignored;
    if (strchr("AD", one->state) == NULL || one->flags < RESERVED_NOTIFICATION || record->payload == NULL ||
        !delivery_from_payload(record->payload, record->payload_len, record->eid, ordinal, &delivery,
                               &ignored))
        return;
    if ((one->flags & RESERVED_NOTIFICATION) != 0) {
        struct limited_scope scope = {.kind = "notification"};
        snprintf(scope.name, sizeof scope.name, "%s", delivery->notification);
        add(limited, &scope, slot_ms);
    }
    if ((one->flags & RESERVED_RECIPIENT) != 0) {
        struct limited_scope scope = {.kind = "recipient"};
        snprintf(scope.name, sizeof scope.name, "%s", channel_name(delivery->channel));
        read_scope(record, ordinal, scope.scope);
        delivery_masked_recipient(delivery, scope.to);
        add(limited, &scope, slot_ms);
    }
    delivery_free(delivery);
}

static bool walk_lane(const struct context *context, const char *lane, struct limited *limited,
                      struct err *err)
{
    char index[CONFIG_MAX_NAME + 8];
    size_t seen = 0;
    snprintf(index, sizeof index, "again:%s", lane);
    struct walk walk = {.client = context->client, .index = index, .min = "-inf", .max = "+inf"};
    do {
        if (!walk_next(&walk, err))
            return false;
        for (size_t i = 0; i < walk.count; i++) {
            struct record record;
            unsigned ordinal = (unsigned)strtoul(walk.items[i].ordinal, NULL, 10);
            if (seen++ == LIMITED_LOOK) {
                limited->is_cut = true;
                return true;
            }
            if (!record_read(context->client, walk.items[i].eid, &record, err)) {
                if (err->kind == ERR_INPUT)
                    continue; /* it has gone since */
                return false;
            }
            if (ordinal < record.delivery_count)
                look(limited, &record, ordinal);
            record_done(&record);
        }
        walk.kept += walk.count;
    } while (walk.count > 0);
    return true;
}

static int by_slot(const void *left, const void *right)
{
    const struct limited_scope *a = left, *b = right;
    return (a->next_ms > b->next_ms) - (a->next_ms < b->next_ms);
}

bool limited_read(const struct context *context, struct limited **ret, struct err *err)
{
    struct limited *limited = calloc(1, sizeof *limited);
    if (limited == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < context->config->provider_count; i++) {
        if (!walk_lane(context, context->config->providers[i].name, limited, err)) {
            free(limited);
            return false;
        }
    }
    qsort(limited->scopes, limited->count, sizeof *limited->scopes, by_slot);
    *ret = limited;
    return true;
}
