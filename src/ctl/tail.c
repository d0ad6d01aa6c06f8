/* heraldctl tail: the log as it is written, filtered. Needs neither Redis nor a configuration that can be
 * read: when those are what is wrong, the log is all there is. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "follow.h"
#include "logline.h"

#define DEFAULT_LINES 10
#define DEFAULT_UNIT "heraldd"

struct tail {
    const struct context *context;
    struct logline line;
    int64_t shown;
    size_t passed; /* lines that are no log lines */
};

static bool is_or_begins_with(const char *event, const char *wanted)
{
    size_t len = strlen(wanted);
    return event != NULL && strncmp(event, wanted, len) == 0 && (event[len] == '\0' || event[len] == '.');
}

static bool has_value(const struct logline *line, const char *name, const char *wanted)
{
    const char *value = logline_value(line, name);
    return value != NULL && strcmp(value, wanted) == 0;
}

static bool is_wanted(const struct context *context, const struct logline *line)
{
    const struct watch *watch = &context->watch;
    const char *provider = context->selection.provider;
    return (watch->event == NULL || is_or_begins_with(logline_value(line, "event"), watch->event)) &&
           (watch->order == NULL || has_value(line, "order_id", watch->order) ||
            has_value(line, "event_id", watch->order)) &&
           (provider == NULL || has_value(line, "provider", provider)) &&
           (watch->level < 0 || (line->level >= 0 && line->level <= watch->level));
}

static bool show(void *arg, const char *bytes, size_t len)
{
    struct tail *tail = arg;
    const struct context *context = tail->context;
    if (!logline_read(bytes, len, &tail->line)) {
        tail->passed++;
        return true;
    }
    if (!is_wanted(context, &tail->line))
        return true;
    if (context->is_json)
        logline_print_json(stdout, &tail->line);
    else
        logline_print(stdout, &tail->line);
    tail->shown++;
    return (context->limit == 0 || tail->shown < context->limit) && !ferror(stdout);
}

static bool follow_journal(struct follow *follow, const char *unit, struct err *err)
{
    char lines[24];
    snprintf(lines, sizeof lines, "%" PRId64, follow->lines);
    /* journalctl changes none of its arguments, whatever exec's type says. */
    char *argv[] = {"journalctl", "--output=json", "--all",      "--follow", "--lines",
                    lines,        "--unit",        (char *)unit, NULL};
    return follow_program(follow, argv, err) ||
           err_wrap(err, "the journal can't be followed (a file can, with --file)");
}

bool command_tail(const struct context *context, int argc, char **argv, struct err *err)
{
    const struct watch *watch = &context->watch;
    struct tail tail = {.context = context};
    (void)argc;
    (void)argv;
    if (watch->file != NULL && watch->unit != NULL)
        return err_set(err, ERR_CONFIG, "expected either --file or --unit");
    struct follow follow = {
        .on_line = show, .arg = &tail, .lines = watch->lines >= 0 ? watch->lines : DEFAULT_LINES};
    logline_init(&tail.line);
    bool is_done = watch->file != NULL
                       ? follow_file(&follow, watch->file, err)
                       : follow_journal(&follow, watch->unit != NULL ? watch->unit : DEFAULT_UNIT, err);
    logline_done(&tail.line);
    fflush(stdout);
    if (tail.passed + follow.overlong > 0)
        fprintf(stderr, "%zu passed over: %zu no log lines, %zu longer than %d bytes\n",
                tail.passed + follow.overlong, tail.passed, follow.overlong, FOLLOW_LINE_BYTES);
    return is_done;
}
