/* arguments.c - see arguments.h. Not getopt: an option here may stand on either side of the command's words,
 * and what is wrong is said with what was expected. */
#include "arguments.h"

#include <string.h>

#include "herald/value.h"

#define LIMIT_MAX 1000000

struct option {
    const char *name;
    const char *value; /* NULL: takes none */
    unsigned bits;     /* the kinds of command that take it */
    const char *help;
};

enum {
    CONFIG,
    JSON,
    HELP,
    VERSION,
    YES,
    ALL,
    LIMIT,
    RATE,
    PROVIDER,
    NOTIFICATION,
    REASON,
    OLDER,
    NEWER,
    REPAIR,
    SOURCE,
    EVENT,
    ORDER,
    LEVEL,
    UNIT,
    FILE_NAME,
    LINES,
    TO,
    OPTIONS
};

static const struct option options[OPTIONS] = {
    [CONFIG] = {"--config", "FILE", OPTION_ANY, "the daemon's configuration"},
    [JSON] = {"--json", NULL, OPTION_ANY, "answer in JSON"},
    [HELP] = {"--help", NULL, OPTION_ANY, "say how a command is used, and end"},
    [VERSION] = {"--version", NULL, OPTION_ANY, "print the version, and end"},
    [YES] = {"--yes", NULL, OPTION_YES, "do not ask before something that can't be undone"},
    [ALL] = {"--all", NULL, OPTION_ALL, "all there are, where neither ID nor selection is given"},
    [LIMIT] = {"--limit", "N", OPTION_LIMIT, "at most so many"},
    [RATE] = {"--rate", "N/s", OPTION_RATE, "no faster than that"},
    [PROVIDER] = {"--provider", "NAME", OPTION_SELECT | OPTION_WATCH, "those in the lane of this provider"},
    [NOTIFICATION] = {"--notification", "NAME", OPTION_SELECT | OPTION_TEST, "those of this notification"},
    [REASON] = {"--reason", "TEXT", OPTION_SELECT, "those whose reason contains this"},
    [OLDER] = {"--older", "AGE", OPTION_SELECT, "those that are there for longer: 30m, 12h, 7d"},
    [NEWER] = {"--newer", "AGE", OPTION_SELECT, "those that are there for less"},
    [REPAIR] = {"--repair", NULL, OPTION_REPAIR, "mend what can be mended"},
    [SOURCE] = {"--source", "NAME", OPTION_SOURCE, "publish to this source"},
    [EVENT] = {"--event", "NAME", OPTION_WATCH, "lines with this event; delivery means all of delivery.*"},
    [ORDER] = {"--order", "ID", OPTION_WATCH, "lines about this event, by the publisher's id or its own"},
    [LEVEL] = {"--level", "LEVEL", OPTION_WATCH,
               "lines at least that urgent: error, warning, notice, info, debug"},
    [UNIT] = {"--unit", "NAME", OPTION_WATCH, "the journal of this unit, not of heraldd"},
    [FILE_NAME] = {"--file", "PATH", OPTION_WATCH,
                   "this file of JSON lines, not the journal; - is standard input"},
    [LINES] = {"--lines", "N", OPTION_WATCH, "begin with so many of the lines that are there (10)"},
    [TO] = {"--to", "ADDRESS", OPTION_TEST, "to whom the test message goes"},
};

_Static_assert(OPTIONS <= 32, "those that were given are the bits of an unsigned");

static const char *const levels[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
    [LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",     NULL,
};

static bool take_duration(const char *name, const char *value, int64_t *ret_ms, struct err *err)
{
    return value_duration(value, ret_ms) ||
           err_set(err, ERR_CONFIG, "%s: '%s': expected a time such as 30m, 12h, 7d", name, value);
}

static bool take(size_t option, const char *value, struct context *context, struct arguments *ret,
                 struct err *err)
{
    const char *name = options[option].name;
    struct selection *selection = &context->selection;
    struct watch *watch = &context->watch;
    ret->options |= 1U << option;
    switch (option) {
    case CONFIG:
        context->config_path = value;
        return true;
    case JSON:
        context->is_json = true;
        return true;
    case HELP:
        ret->is_help = true;
        return true;
    case VERSION:
        ret->is_version = true;
        return true;
    case YES:
        context->is_sure = true;
        return true;
    case ALL:
        context->is_all = true;
        return true;
    case REPAIR:
        context->is_repair = true;
        return true;
    case SOURCE:
        context->source = value;
        return true;
    case TO:
        context->to = value;
        return true;
    case EVENT:
        watch->event = value;
        return true;
    case ORDER:
        watch->order = value;
        return true;
    case UNIT:
        watch->unit = value;
        return true;
    case FILE_NAME:
        watch->file = value;
        return true;
    case LEVEL:
        return value_choice(value, levels, &watch->level) ||
               err_set(err, ERR_CONFIG, "--level: '%s': expected error, warning, notice, info or debug",
                       value);
    case LINES:
        return (value_count(value, &watch->lines) && watch->lines <= LIMIT_MAX) ||
               err_set(err, ERR_CONFIG, "--lines: '%s': expected a number from 0 to %d", value, LIMIT_MAX);
    case LIMIT:
        return (value_count(value, &context->limit) && context->limit >= 1 && context->limit <= LIMIT_MAX) ||
               err_set(err, ERR_CONFIG, "--limit: '%s': expected a number from 1 to %d", value, LIMIT_MAX);
    case RATE:
        return rate_parse(value, &context->rate, err) || err_wrap(err, "--rate");
    case PROVIDER:
        selection->provider = value;
        return true;
    case NOTIFICATION:
        selection->notification = value;
        return true;
    case REASON:
        selection->reason = value;
        return true;
    case OLDER:
        return take_duration(name, value, &selection->older_ms, err);
    default:
        return take_duration(name, value, &selection->newer_ms, err);
    }
}

static size_t find(const char *word, size_t len)
{
    if (len == 2 && (word[1] == 'c' || word[1] == 'h'))
        return word[1] == 'c' ? CONFIG : HELP;
    for (size_t i = 0; i < OPTIONS; i++)
        if (strlen(options[i].name) == len && memcmp(options[i].name, word, len) == 0)
            return i;
    return OPTIONS;
}

bool arguments_read(int argc, char **argv, struct context *context, struct arguments *ret, struct err *err)
{
    bool is_over = false; /* behind "--" nothing is an option */
    *ret = (struct arguments){0};
    context->watch.level = -1;
    context->watch.lines = -1;
    for (int i = 1; i < argc; i++) {
        char *word = argv[i];
        if (is_over || word[0] != '-' || word[1] == '\0') {
            if (ret->operand_count == ARGUMENTS_MAX_OPERANDS)
                return err_set(err, ERR_CONFIG, "'%s': too many words", word);
            ret->operands[ret->operand_count++] = word;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            is_over = true;
            continue;
        }
        const char *value = strchr(word, '=');
        size_t option = find(word, value != NULL ? (size_t)(value - word) : strlen(word));
        if (option == OPTIONS)
            return err_set(err, ERR_CONFIG, "%s: there is no such option", word);
        if (options[option].value == NULL && value != NULL)
            return err_set(err, ERR_CONFIG, "%s takes no value", options[option].name);
        if (value != NULL)
            value++;
        else if (options[option].value != NULL && (value = argv[++i]) == NULL)
            return err_set(err, ERR_CONFIG, "%s needs %s", options[option].name, options[option].value);
        if (!take(option, value, context, ret, err))
            return false;
    }
    return true;
}

bool arguments_suit(const struct arguments *arguments, const struct command *command, struct err *err)
{
    for (size_t i = 0; i < OPTIONS; i++)
        if ((arguments->options & 1U << i) != 0 && options[i].bits != OPTION_ANY &&
            (options[i].bits & command->options) == 0)
            return err_set(err, ERR_CONFIG, "%s does not take %s: see heraldctl %s --help", command->name,
                           options[i].name, command->name);
    return true;
}

void arguments_print(FILE *file, unsigned bits)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        if (options[i].bits == OPTION_ANY || (options[i].bits & bits) != 0)
            fprintf(file, "  %s %-*s %s\n", options[i].name, (int)(20 - strlen(options[i].name)),
                    options[i].value != NULL ? options[i].value : "", options[i].help);
    }
}
