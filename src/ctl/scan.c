/* scan.c - see scan.h. */
#include "scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herald/reply.h"

#define STEP "500" /* entries Redis looks at in a call: well under a millisecond */

/* The names of a reply go with the next call, so the callback gets copies: texts
 * behind a table, one block. */
static bool hand_on(const struct redisReply *list, size_t stride, size_t skip, scan_fn *on_names, void *arg,
                    struct err *err)
{
    size_t count = reply_count(list) / stride, bytes = 0, len = 0;
    for (size_t i = 0; i < count; i++) {
        (void)reply_text(reply_at(list, i * stride), &len);
        bytes += len + 1;
    }
    const char **names = malloc(count * sizeof *names + bytes + 1);
    if (names == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    char *at = (char *)(names + count);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        const char *name = reply_text(reply_at(list, i * stride), &len);
        if (name == NULL || len < skip)
            continue;
        memcpy(at, name + skip, len - skip + 1);
        names[used++] = at;
        at += len - skip + 1;
    }
    bool is_wanted = used == 0 || on_names(arg, names, used, err);
    free(names);
    return is_wanted;
}

static bool scan(struct client *client, int argc, const char **argv, size_t cursor_at, size_t stride,
                 size_t skip, scan_fn *on_names, void *arg, struct err *err)
{
    char cursor[24] = "0";
    argv[cursor_at] = cursor;
    do {
        const struct redisReply *reply;
        if (!client_run(client, argc, argv, NULL, &reply, err))
            return false;
        const char *next = reply_text(reply_at(reply, 0), NULL);
        if (next == NULL)
            return err_set(err, ERR_PERMANENT, "Redis: %s: no cursor", argv[0]);
        snprintf(cursor, sizeof cursor, "%s", next);
        if (!hand_on(reply_at(reply, 1), stride, skip, on_names, arg, err))
            return false;
    } while (strcmp(cursor, "0") != 0);
    return true;
}

bool scan_keys(struct client *client, const char *kind, scan_fn *on_names, void *arg, struct err *err)
{
    char key[CLIENT_KEY_BYTES], pattern[2 * CLIENT_KEY_BYTES];
    size_t len = 0;
    client_key(client, kind, key);
    /* The prefix is an operator's word, which may hold what a pattern gives a meaning. */
    for (const char *at = key; *at != '\0'; at++) {
        if (strchr("*?[]\\", *at) != NULL)
            pattern[len++] = '\\';
        pattern[len++] = *at;
    }
    snprintf(pattern + len, sizeof pattern - len, "*");
    const char *argv[] = {"SCAN", NULL, "MATCH", pattern, "COUNT", STEP};
    return scan(client, 6, argv, 1, 1, strlen(key) - strlen(kind), on_names, arg, err);
}

bool scan_members(struct client *client, const char *index, scan_fn *on_names, void *arg, struct err *err)
{
    char key[CLIENT_KEY_BYTES];
    const char *argv[] = {"ZSCAN", client_key(client, index, key), NULL, "COUNT", STEP};
    return scan(client, 5, argv, 2, 2, 0, on_names, arg, err);
}
