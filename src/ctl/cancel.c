/* cancel.c - heraldctl cancel: what still waits of an event is not sent. It is dead then, and can be
 * replayed. */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "items.h"
#include "record.h"

bool command_cancel(const struct context *context, int argc, char **argv, struct err *err)
{
    struct item items[DELIVERY_MAX_PER_EVENT];
    struct record record;
    size_t count = 0, done = 0;
    int only;
    (void)argc;
    if (!record_find(context->config, context->client, argv[0], &record, &only, err))
        return false;
    for (size_t i = 0; i < record.delivery_count; i++)
        if (only < 0 || i == (size_t)only)
            record_item(&record, (unsigned)i, &items[count++]);
    record_done(&record);
    if (!items_run(context->client, "cancel", NULL, 0, items, count, &done, err))
        return false;
    printf(context->is_json ? "{\"cancelled\":%zu}\n" : "%zu cancelled\n", done);
    return done > 0 || err_set(err, ERR_PERMANENT,
                               "nothing of '%s' waits: heraldctl explain says what became of it", argv[0]);
}
