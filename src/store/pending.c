/* pending.c - the commands that wait for their replies; see pending.h. Loop thread. */
#include "pending.h"

#include <assert.h>
#include <stdlib.h>

#define FIRST_CAP 64 /* a quiet daemon's share */

void pending_done(struct pending *pending)
{
    free(pending->commands);
    *pending = (struct pending){0};
}

bool pending_reserve(struct pending *pending)
{
    if (pending->count >= LINK_MAX_PENDING)
        return false;
    if (pending->count < pending->cap)
        return true;

    size_t cap = pending->cap == 0 ? FIRST_CAP : pending->cap * 2;
    struct pending_command *commands = malloc(cap * sizeof(*commands));
    if (commands == NULL)
        return false;
    for (size_t i = 0; i < pending->count; i++)
        commands[i] = pending->commands[(pending->first + i) & (pending->cap - 1)];
    free(pending->commands);
    pending->commands = commands;
    pending->cap = cap;
    pending->first = 0;
    return true;
}

void pending_push(struct pending *pending, struct pending_command command)
{
    assert(pending->count < pending->cap);
    pending->commands[(pending->first + pending->count) & (pending->cap - 1)] = command;
    pending->count++;
}

const struct pending_command *pending_oldest(const struct pending *pending)
{
    return pending->count == 0 ? NULL : &pending->commands[pending->first];
}

bool pending_pop(struct pending *pending, struct pending_command *ret)
{
    if (pending->count == 0)
        return false;
    *ret = pending->commands[pending->first];
    pending->first = (pending->first + 1) & (pending->cap - 1);
    pending->count--;
    return true;
}
