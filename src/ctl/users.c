/* heraldctl users import: recipients into Redis, checked as the daemon will check them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "herald/buffer.h"
#include "herald/json.h"
#include "herald/recipient.h"

#define PIPELINE 500 /* commands on their way at once */
#define PROGRESS 10000

struct import {
    const struct context *context;
    size_t line, stored, refused;
};

/* The member's text, or NULL: strings as they are, anything else (the push list) as canonical JSON. */
static const char *member_text(const struct json *json, const char *name, struct buffer *text)
{
    const struct json_token *token = json_member(json, 0, name);
    if (token == NULL || token->type == JSON_NULL)
        return NULL;
    if (token->type == JSON_STRING)
        json_unescape(json, token, text);
    else
        buffer_append(text, json->text + token->start, token->end - token->start);
    return text->failed ? NULL : text->data != NULL ? text->data : "";
}

/* A record is replaced as a whole, so a mistyped member must not pass for one that is not there. */
static bool check_members(const struct json *json, struct err *err)
{
    static const char *const names[] = {"userId", "email", "name", "locale", "push"};
    const struct json_token *root = &json->tokens[0];
    bool has_address = false;
    if (root->type != JSON_OBJECT)
        return err_set(err, ERR_INPUT, "expected an object");
    for (uint32_t at = 1; at < root->next; at = json->tokens[at + 1].next) {
        const struct json_token *name = &json->tokens[at], *value = &json->tokens[at + 1];
        size_t i = 0;
        while (i < 5 && !json_string_is(json, name, names[i]))
            i++;
        if (i == 5)
            return err_set(err, ERR_INPUT, "at byte %u: expected userId, email, name, locale or push",
                           (unsigned)name->start);
        if (i >= 1 && i <= 3 && value->type != JSON_STRING && value->type != JSON_NULL)
            return err_set(err, ERR_INPUT, "%s: expected a string", names[i]);
        has_address = has_address || ((i == 1 || i == 4) && value->type != JSON_NULL);
    }
    return has_address ||
           err_set(err, ERR_INPUT, "expected email or push: heraldctl takes no record away, DEL does");
}

/* A string, or an integer as it is written: an event's userId in the same form finds it. */
static const char *read_user_id(const struct json *json, struct buffer *text)
{
    const struct json_token *token = json_member(json, 0, "userId");
    if (token == NULL)
        return NULL;
    size_t len = token->end - token->start;
    if (token->type != JSON_STRING &&
        (token->type != JSON_NUMBER || strcspn(json->text + token->start, ".eE") < len))
        return NULL;
    const char *id = member_text(json, "userId", text);
    return id != NULL && id[0] != '\0' && strlen(id) <= EVENT_ID_MAX ? id : NULL;
}

static bool store(struct import *import, const char *line, size_t len, struct err *err)
{
    static const char *const names[] = {"email", "name", "locale", "push"};
    struct json json = {0};
    struct buffer texts[5];
    const char *values[4];
    char key[CLIENT_KEY_BYTES];
    struct recipient recipient = {0};
    for (size_t i = 0; i < 5; i++)
        buffer_init(&texts[i], 128 * 1024); /* sixteen devices of 4 KiB are the most */
    bool is_done = json_parse(line, len, &json, err) && check_members(&json, err);
    const char *user_id = NULL;
    if (is_done) {
        user_id = read_user_id(&json, &texts[4]);
        is_done = user_id != NULL ||
                  err_set(err, ERR_INPUT, "userId: expected a string of 1 to %d bytes, or an integer",
                          EVENT_ID_MAX);
    }
    for (size_t i = 0; is_done && i < 4; i++)
        values[i] = member_text(&json, names[i], &texts[i]);
    if (is_done) {
        const struct recipient_record record = {.email = values[0],
                                                .name = values[1],
                                                .locale = values[2],
                                                .push = values[3],
                                                .email_len = texts[0].len,
                                                .name_len = texts[1].len,
                                                .locale_len = texts[2].len,
                                                .push_len = texts[3].len};
        is_done = recipient_from_record(&record, &recipient, err);
    }
    /* The record is replaced as a whole: a field that is not in the line is gone afterwards. */
    if (is_done) {
        const char *argv[10] = {"HSET", client_user_key(import->context->client, user_id, key)};
        int argc = 2;
        for (size_t i = 0; i < 4; i++) {
            if (values[i] != NULL) {
                argv[argc++] = names[i];
                argv[argc++] = values[i];
            }
        }
        struct client *client = import->context->client;
        is_done = client_queue(client, 1, (const char *[]){"MULTI"}, NULL, err) &&
                  client_queue(client, 2, (const char *[]){"DEL", key}, NULL, err) &&
                  (argc == 2 || client_queue(client, argc, argv, NULL, err)) &&
                  client_queue(client, 1, (const char *[]){"EXEC"}, NULL, err);
    }
    recipient_done(&recipient);
    json_done(&json);
    for (size_t i = 0; i < 5; i++)
        buffer_done(&texts[i]);
    return is_done;
}

static bool flush(struct import *import, struct err *err)
{
    size_t errors;
    if (!client_finish(import->context->client, &errors, err))
        return false;
    return errors == 0 || err_set(err, ERR_PERMANENT, "Redis refused %zu of the last lines", errors);
}

static bool import_file(struct import *import, FILE *file, struct err *err)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    bool is_done = true;
    while (is_done && (len = getline(&line, &room, file)) >= 0) {
        import->line++;
        while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
            len--;
        if (len == 0)
            continue;
        if (store(import, line, (size_t)len, err)) {
            import->stored++;
        } else if (err->kind == ERR_INPUT) {
            /* One bad line harms nobody else, and is said where it is. */
            fprintf(stderr, "line %zu: %s\n", import->line, err->text);
            import->refused++;
        } else {
            is_done = false;
        }
        if (import->line % PIPELINE == 0)
            is_done = is_done && flush(import, err);
        if (import->line % PROGRESS == 0 && isatty(STDERR_FILENO))
            fprintf(stderr, "\r%zu lines", import->line);
    }
    if (is_done && ferror(file))
        is_done = err_set(err, ERR_CONFIG, "reading behind line %zu: %s", import->line, strerror(errno));
    free(line);
    return is_done && flush(import, err);
}

bool command_users_import(const struct context *context, int argc, char **argv, struct err *err)
{
    struct import import = {.context = context};
    if (argc != 1)
        return err_set(err, ERR_CONFIG, "users import needs one FILE.jsonl, or - for standard input");
    FILE *file = strcmp(argv[0], "-") == 0 ? stdin : fopen(argv[0], "r");
    if (file == NULL)
        return err_set(err, ERR_CONFIG, "%s: %s", argv[0], strerror(errno));
    bool is_done = import_file(&import, file, err);
    if (file != stdin)
        fclose(file);
    if (!is_done)
        return false;
    if (context->is_json)
        printf("{\"stored\":%zu,\"refused\":%zu}\n", import.stored, import.refused);
    else
        printf("%zu stored, %zu refused\n", import.stored, import.refused);
    return import.refused == 0 || err_set(err, ERR_PERMANENT, "%zu lines were refused", import.refused);
}
