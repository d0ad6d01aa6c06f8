/* json_order.c - the members of one object by name.
 *
 * Comparing each name with each would take seconds on 256 KiB of members, and a hash table could be aimed at;
 * a sort is n log n whatever the publisher writes. Its order stays in the tokens, so that the canonical form
 * needs no second one. Any thread. */
#include "json_order.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Most objects have fewer members: these are sorted in place, without asking for memory. */
#define FEW_MEMBERS 16

struct member {
    uint64_t prefix;  /* the name's first eight bytes, big-endian, zero-padded: decides most comparisons by
                         itself */
    const char *name; /* unescaped; borrowed from the text or from the arena, which both outlive the sort */
    uint32_t name_len;
    uint32_t token;
};

static int compare(const void *left, const void *right)
{
    const struct member *a = left, *b = right;

    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    int order = memcmp(a->name, b->name, a->name_len < b->name_len ? a->name_len : b->name_len);
    if (order != 0)
        return order;
    return a->name_len < b->name_len ? -1 : a->name_len > b->name_len;
}

static void sort(struct member *members, uint32_t count)
{
    if (count > FEW_MEMBERS) {
        qsort(members, count, sizeof(*members), compare);
        return;
    }
    for (uint32_t i = 1; i < count; i++) {
        struct member member = members[i];
        uint32_t hole = i;
        for (; hole > 0 && compare(&members[hole - 1], &member) > 0; hole--)
            members[hole] = members[hole - 1];
        members[hole] = member;
    }
}

/* Names hold no NUL, so zero-padding puts a name before the longer ones that begin with it. */
static uint64_t prefix_of(const char *name, uint32_t len)
{
    uint64_t prefix = 0;

    for (uint32_t i = 0; i < 8; i++)
        prefix = prefix << 8 | (i < len ? (unsigned char)name[i] : 0);
    return prefix;
}

/* Names with escapes are unescaped into the arena, which has room for all of them. */
static void collect(const char *text, const struct json_token *tokens, uint32_t object,
                    struct member *members, uint32_t count, char *arena)
{
    const struct json json = {.text = text};
    uint32_t at = object + 1;

    for (uint32_t i = 0; i < count; i++) {
        const struct json_token *token = &tokens[at];
        struct member *member = &members[i];
        member->name = text + token->start;
        member->name_len = token->end - token->start;
        if (token->has_escapes) {
            assert(arena != NULL); /* escaped_bytes counted this name */
            member->name = arena;
            member->name_len = (uint32_t)json_string_copy(&json, token, arena);
            arena += member->name_len;
        }
        member->prefix = prefix_of(member->name, member->name_len);
        member->token = at;
        at = tokens[at + 1].next;
    }
}

static bool link_sorted(const struct member *members, uint32_t count, struct json_token *tokens,
                        uint32_t object, struct err *err)
{
    uint32_t last = object;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t token = members[i].token;
        if (i > 0 && compare(&members[i - 1], &members[i]) == 0) {
            uint32_t later = token > last ? token : last;
            return err_set(err, ERR_INPUT, "at byte %u: duplicate member name",
                           (unsigned)tokens[later].start);
        }
        tokens[last].sorted = token;
        last = token;
    }
    return true;
}

bool json_order(const char *text, struct json_token *tokens, uint32_t object, uint32_t count,
                size_t escaped_bytes, struct err *err)
{
    struct member few[FEW_MEMBERS];
    struct member *members = few;
    char *arena = NULL;
    bool is_unique = false;

    if (count > FEW_MEMBERS)
        members = malloc(count * sizeof(*members));
    if (escaped_bytes > 0)
        arena = malloc(escaped_bytes);
    if (members == NULL || (escaped_bytes > 0 && arena == NULL)) {
        err_set(err, ERR_NOMEM, "out of memory for the order of %u JSON members", (unsigned)count);
        goto out;
    }
    collect(text, tokens, object, members, count, arena);
    sort(members, count);
    is_unique = link_sorted(members, count, tokens, object, err);
out:
    free(arena);
    if (members != few)
        free(members);
    return is_unique;
}
