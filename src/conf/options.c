/* options.c - the option table: every option of the program, once. Immutable; any thread.
 *
 * A row holds all that is known about an option: its values, its default as it would stand in the file,
 * whether a reload takes it up, and the sentence that etc/herald.conf and the manual print. What depends on
 * other options is checked in provider.c and notification.c. */
#include "options.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "herald/listen.h"
#include "herald/value.h"
#include "url.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static const char *const yes_no[] = {"no", "yes", NULL};
static const char *const refuse_allow[] = {"refuse", "allow", NULL};
static const char *const levels[] = {"error", "warning", "notice", "info", "debug", NULL};
static const char *const formats[] = {"auto", "text", "json", "journal", NULL};
static const char *const open_closed[] = {"open", "closed", NULL};
static const char *const source_types[] = {"pubsub", "stream", NULL};
static const char *const channels[] = {"email", "push", "webhook", NULL};
static const char *const starttls[] = {"never", "required", NULL};
static const char *const unknown_rules[] = {"resend", "hold", NULL};
const char *const provider_type_names[] = {"smtp", "http", "maildir", "null", NULL};

const char *const section_kind_names[SECTION_KIND_COUNT + 1] = {"herald",   "redis", "source", "notification",
                                                                "provider", "limit", NULL};

#define A_NAME "lower-case letters, digits and hyphens, 1 to 20, a letter first"
#define A_WORD "without spaces, quotes or braces"
#define A_KEY "without spaces"

#define IN(type, member) .offset = offsetof(struct type, member)
#define AND(type, member) .second = offsetof(struct type, member)

const struct option option_table[] = {
    /* [herald] */
    {SECTION_HERALD, "instance", OPTION_TEXT, IN(config, instance), .max = 64, .is_valid = value_is_word,
     .expects = A_WORD, .fallback = "(the host's name)", .reload = RELOAD_RESTART,
     .help = "This instance's name, different for each one on the same Redis and the same after a restart."},
    {SECTION_HERALD, "prefix", OPTION_TEXT, IN(config, prefix), .max = 32, .is_valid = value_is_word,
     .expects = A_WORD, .fallback = "herald", .reload = RELOAD_RESTART,
     .help = "What every key in Redis starts with; instances with the same prefix share their work."},
    {SECTION_HERALD, "group", OPTION_TEXT, IN(config, group), .max = 64, .is_valid = value_is_word,
     .expects = A_WORD, .fallback = "(the prefix)", .reload = RELOAD_RESTART,
     .help = "The consumer group that we read streams as; instances with the same one share the entries."},
    {SECTION_HERALD, "templates", OPTION_PATH, IN(config, templates), .fallback = "templates",
     .help = "Directory of the templates, one subdirectory for each notification and language."},
    {SECTION_HERALD, "log_level", OPTION_CHOICE, IN(config, log_level), .words = levels, .fallback = "info",
     .help = "The least urgent lines that are written; info has one line for each delivery that is settled."},
    {SECTION_HERALD, "log_format", OPTION_CHOICE, IN(config, log_format), .words = formats,
     .fallback = "auto", .reload = RELOAD_RESTART,
     .help = "How a line is written; auto is the journal under systemd, text on a terminal, else JSON."},
    {SECTION_HERALD, "log_rate", OPTION_COUNT, IN(config, log_rate), .min = 0, .max = 1000000,
     .fallback = "1000",
     .help = "Lines of one event in a second, except warnings and errors; how many more there were is said "
             "instead. 0 writes all."},
    {SECTION_HERALD, "drain_timeout", OPTION_DURATION, IN(config, drain_timeout_ms), .min = 0,
     .max = 15 * MINUTE, .fallback = "30s",
     .help = "How long a stop waits for what is being sent; keep the unit's TimeoutStopSec above it."},
    {SECTION_HERALD, "lease", OPTION_DURATION, IN(config, lease_ms), .min = SECOND, .max = HOUR,
     .fallback = "60s", .reload = RELOAD_RESTART,
     .help = "After a crash, how long other instances leave a delivery alone before they take it over."},
    {SECTION_HERALD, "lease_margin", OPTION_DURATION, IN(config, lease_margin_ms), .min = 1,
     .max = 10 * MINUTE, .fallback = "5s", .reload = RELOAD_RESTART,
     .help = "How much earlier we stop trusting our own lease; at most half of it."},
    {SECTION_HERALD, "dedupe_window", OPTION_DURATION, IN(config, dedupe_window_ms), .min = MINUTE,
     .max = 366 * DAY, .fallback = "72h",
     .help = "How long a finished event is remembered, so that publishing it again sends nothing; at least "
             "every max_age."},
    {SECTION_HERALD, "canary_interval", OPTION_DURATION, IN(config, canary_interval_ms), .min = 100,
     .max = MINUTE, .fallback = "5s",
     .help = "How often we publish to ourselves to prove that the subscription hears."},
    {SECTION_HERALD, "dead_max_age", OPTION_DURATION, IN(config, dead_max_age_ms), .min = HOUR,
     .max = 366 * DAY, .fallback = "30d",
     .help = "How long a dead delivery is kept for replay, with its personal data."},
    {SECTION_HERALD, "dead_max_count", OPTION_COUNT, IN(config, dead_max_count), .min = 1, .max = 10000000,
     .fallback = "100000", .help = "How many dead deliveries are kept; the oldest go first."},
    {SECTION_HERALD, "allow_unfit_redis", OPTION_BOOL, IN(config, allow_unfit_redis), .words = yes_no,
     .fallback = "no", .help = "Start on a Redis that may evict what was promised: for demonstrations only."},
    {SECTION_HERALD, "metrics", OPTION_TEXT, IN(config, metrics), .is_valid = listen_is_valid,
     .expects = LISTEN_EXPECTS, .fallback = "(none)", .reload = RELOAD_RESTART,
     .help = "Where /metrics, /healthz and /readyz are answered, to anybody who can connect: ADDRESS:PORT of "
             "the loopback or unix:/PATH."},
    {SECTION_HERALD, "redirect_to", OPTION_TEXT, IN(config, redirect_to), .is_valid = value_is_address,
     .expects = "an address LOCAL@DOMAIN", .fallback = "(none)",
     .help = "Staging: every mail goes to this address instead of its recipient."},
    {SECTION_HERALD, "allow_domains", OPTION_LIST, IN(config, allow_domains), .is_valid = value_is_host,
     .expects = "a domain", .fallback = "(all)", .help = "Staging: mail to any other domain is not sent."},
    {SECTION_HERALD, "on_limiter_error", OPTION_CHOICE, IN(config, on_limiter_error), .words = open_closed,
     .fallback = "open",
     .help = "When a rate limit's own key in Redis is damaged: open sends, closed waits."},

    /* [redis] */
    {SECTION_REDIS, "url", OPTION_REDIS_URL, .fallback = "redis://127.0.0.1:6379/0", .reload = RELOAD_RESTART,
     .is_private = true,
     .expects = "redis://[USER:PASSWORD@]HOST[:PORT][/DB] or unix://[USER:PASSWORD@]/PATH[?db=N]",
     .help = "Where Redis is; where this is silent, REDIS_HOST, REDIS_PORT and REDIS_PASSWORD in the "
             "environment count."},
    {SECTION_REDIS, "password_file", OPTION_SECRET, IN(config_redis, password), .fallback = "(none)",
     .reload = RELOAD_RESTART,
     .help = "File that holds Redis's password: a systemd credential's name, or a path."},
    {SECTION_REDIS, "connect_timeout", OPTION_DURATION, IN(config_redis, connect_timeout_ms), .min = 100,
     .max = MINUTE, .fallback = "5s", .reload = RELOAD_RESTART,
     .help = "How long connecting and logging in may take before it is tried again."},
    {SECTION_REDIS, "command_timeout", OPTION_DURATION, IN(config_redis, command_timeout_ms), .min = 100,
     .max = 10 * MINUTE, .fallback = "5s", .reload = RELOAD_RESTART,
     .help = "How long a command may stay unanswered before the connection is given up."},

    /* [source NAME] */
    {SECTION_SOURCE, "type", OPTION_CHOICE, IN(config_source, type), .words = source_types,
     .fallback = "pubsub", .reload = RELOAD_RESTART,
     .help = "pubsub takes what is sent with PUBLISH, stream what is sent with XADD."},
    {SECTION_SOURCE, "channel", OPTION_TEXT, IN(config_source, channel), .max = 256, .is_valid = value_is_key,
     .expects = A_KEY, .fallback = "(required for pubsub)", .reload = RELOAD_RESTART,
     .help = "The channel to subscribe to."},
    {SECTION_SOURCE, "stream", OPTION_TEXT, IN(config_source, stream), .max = 256, .is_valid = value_is_key,
     .expects = A_KEY, .fallback = "(required for stream)", .reload = RELOAD_RESTART,
     .help = "The key of the stream to read; it and our consumer group are made where they are missing."},
    {SECTION_SOURCE, "trim", OPTION_BOOL, IN(config_source, trim), .words = yes_no, .fallback = "yes",
     .reload = RELOAD_RESTART,
     .help =
         "Whether entries that are done with are removed from the stream; never while another group reads "
         "it too."},
    {SECTION_SOURCE, "notification", OPTION_TEXT, IN(config_source, notification_name),
     .is_valid = value_is_name, .expects = "the name of a [notification]", .fallback = "(required)",
     .help = "What an event from here makes: the name of a notification below."},
    {SECTION_SOURCE, "id", OPTION_TEXT, IN(config_source, id_member), .max = 64, .is_valid = value_is_key,
     .expects = A_KEY, .fallback = "(eventId, else orderId)",
     .help = "The member of an event that names it; the same id again is a duplicate and sends nothing."},
    {SECTION_SOURCE, "space", OPTION_TEXT, IN(config_source, space), .max = 64, .is_valid = value_is_key,
     .expects = A_KEY, .fallback = "(the notification's name)",
     .help = "Sources with the same space share their ids, so that an event sent both ways is one."},
    {SECTION_SOURCE, "volatile", OPTION_LIST, IN(config_source, volatile_members), .max = 64,
     .is_valid = value_is_key, .expects = "for each member", .fallback = "confirmedAt",
     .help = "Members that may differ when the same event is published again."},
    {SECTION_SOURCE, "recipient_in_event", OPTION_BOOL, IN(config_source, recipient_in_event),
     .words = refuse_allow, .fallback = "refuse",
     .help = "Whether an event may carry its recipient in `to`: whoever may publish could then mail anyone."},
    {SECTION_SOURCE, "signing_key_file", OPTION_KEYS, IN(config_source, signing_keys),
     AND(config_source, signing_key_count), .fallback = "(none)",
     .help = "One or two keys, a line each, whsec_BASE64 or any text; events without a good signature are "
             "refused."},

    /* [notification NAME] */
    {SECTION_NOTIFICATION, "channels", OPTION_LIST, IN(config_notification, channels),
     .is_valid = value_is_target, .expects = "email, push or webhook, or CHANNEL:PROVIDER",
     .fallback = "(required)",
     .help = "Any of email, push and webhook; email:PROVIDER where more than one provider serves a channel."},
    {SECTION_NOTIFICATION, "from", OPTION_MAILBOX, IN(config_notification, from_name),
     AND(config_notification, from_address), .fallback = "(the provider's)",
     .help = "The sender of its mails."},
    {SECTION_NOTIFICATION, "reply_to", OPTION_MAILBOX, IN(config_notification, reply_to_name),
     AND(config_notification, reply_to_address), .fallback = "(none)",
     .help = "Where answers to its mails go."},
    {SECTION_NOTIFICATION, "rate", OPTION_RATE, IN(config_notification, rate), .fallback = "(no limit)",
     .help = "No more of these than this, COUNT/PERIOD or COUNT/PERIOD burst N; what is over it waits for "
             "its turn."},

    /* [provider NAME] */
    {SECTION_PROVIDER, "channel", OPTION_CHOICE, IN(config_provider, channel), .words = channels,
     .fallback = "(required)", .help = "The channel it serves."},
    {SECTION_PROVIDER, "type", OPTION_CHOICE, IN(config_provider, type), .words = provider_type_names,
     .fallback = "(smtp for email, else http)",
     .help = "maildir writes each mail into a directory, null does nothing; neither delivers anything to "
             "anybody."},
    {SECTION_PROVIDER, "url", OPTION_TEXT, IN(config_provider, url), .max = URL_MAX_BYTES,
     .is_valid = value_is_key, .expects = A_KEY, .fallback = "(required)", .types = FOR_SMTP | FOR_HTTP,
     .is_private = true,
     .help = "The server: smtp://HOST:PORT, smtps://HOST:PORT, or an https:// address that takes POST."},
    {SECTION_PROVIDER, "from", OPTION_MAILBOX, IN(config_provider, from_name),
     AND(config_provider, from_address), .fallback = "(required for smtp)",
     .types = FOR_SMTP | FOR_MAILDIR | FOR_NULL,
     .help = "The sender of its mails where the notification names none."},
    {SECTION_PROVIDER, "user", OPTION_TEXT, IN(config_provider, user), .max = 256, .is_valid = value_is_text,
     .expects = "of text", .fallback = "(none)", .types = FOR_SMTP, .help = "Whom to log in as."},
    {SECTION_PROVIDER, "password_file", OPTION_SECRET, IN(config_provider, password), .fallback = "(none)",
     .types = FOR_SMTP,
     .help = "File that holds that user's password: a systemd credential's name, or a path."},
    {SECTION_PROVIDER, "starttls", OPTION_CHOICE, IN(config_provider, starttls), .words = starttls,
     .fallback = "(required with a user, else never)", .types = FOR_SMTP,
     .help = "Whether smtp:// is encrypted before anything else is said; without it, nothing is sent."},
    {SECTION_PROVIDER, "ca_file", OPTION_PATH, IN(config_provider, ca_file), .fallback = "(the system's)",
     .types = FOR_SMTP | FOR_HTTP,
     .help = "Certificate authorities to believe, in PEM, instead of the system's."},
    {SECTION_PROVIDER, "hello", OPTION_TEXT, IN(config_provider, hello), .is_valid = value_is_host,
     .expects = "a host's name", .fallback = "(the host's name)", .types = FOR_SMTP,
     .help = "The name we greet the mail server with."},
    {SECTION_PROVIDER, "header", OPTION_LINES, IN(config_provider, headers), .is_valid = value_is_header,
     .expects = "NAME: VALUE in visible ASCII", .fallback = "(none)", .types = FOR_HTTP, .is_private = true,
     .help = "A header for each request; may be given more than once."},
    {SECTION_PROVIDER, "token_file", OPTION_SECRET, IN(config_provider, token), .fallback = "(none)",
     .types = FOR_HTTP, .help = "File that holds the bearer token for each request."},
    {SECTION_PROVIDER, "allow_cleartext", OPTION_BOOL, IN(config_provider, allow_cleartext), .words = yes_no,
     .fallback = "no", .types = FOR_SMTP | FOR_HTTP,
     .help = "Allow http://, or a password without TLS, to another machine, where all on the way can read "
             "and change it."},
    {SECTION_PROVIDER, "connections", OPTION_COUNT, IN(config_provider, connections), .min = 1, .max = 256,
     .fallback = "(16; 2 for http, 1 for maildir and null)",
     .help = "Connections at once; each is a thread that sends one mail after the other, or carries many "
             "requests (http)."},
    {SECTION_PROVIDER, "streams", OPTION_COUNT, IN(config_provider, streams), .min = 1, .max = 1000,
     .fallback = "100", .types = FOR_HTTP, .help = "Requests at once on one HTTP/2 connection."},
    {SECTION_PROVIDER, "connect_timeout", OPTION_DURATION, IN(config_provider, connect_timeout_ms),
     .min = 100, .max = 10 * MINUTE, .fallback = "30s", .types = FOR_SMTP | FOR_HTTP,
     .help = "How long connecting may take, TLS included."},
    {SECTION_PROVIDER, "timeout", OPTION_DURATION, IN(config_provider, timeout_ms), .min = 100, .max = HOUR,
     .fallback = "(10m; 30s for http)", .types = FOR_SMTP | FOR_HTTP,
     .help = "How long to wait for the final answer; a mail server may take ten minutes, and giving up sends "
             "twice."},
    {SECTION_PROVIDER, "rate", OPTION_RATE, IN(config_provider, rate), .fallback = "(no limit)",
     .help = "No faster than this, all instances together: COUNT/PERIOD or COUNT/PERIOD burst N."},
    {SECTION_PROVIDER, "max_attempts", OPTION_COUNT, IN(config_provider, max_attempts), .min = 1, .max = 1000,
     .fallback = "40",
     .help = "How often a delivery is tried; what the provider itself is to blame for does not count."},
    {SECTION_PROVIDER, "max_age", OPTION_DURATION, IN(config_provider, max_age_ms), .min = SECOND,
     .max = 30 * DAY, .fallback = "24h", .help = "How long a delivery is tried; then it is dead."},
    {SECTION_PROVIDER, "backoff_base", OPTION_DURATION, IN(config_provider, backoff_base_ms), .min = 1,
     .max = DAY, .fallback = "15s",
     .help = "The wait after the first failed attempt, more or less; it doubles with each one."},
    {SECTION_PROVIDER, "backoff_max", OPTION_DURATION, IN(config_provider, backoff_max_ms), .min = 1,
     .max = DAY, .fallback = "1h", .help = "The longest such wait."},
    {SECTION_PROVIDER, "on_unknown", OPTION_CHOICE, IN(config_provider, on_unknown), .words = unknown_rules,
     .fallback = "resend",
     .help = "When the final answer is lost: resend may send twice, hold waits for a person to decide."},
    {SECTION_PROVIDER, "was", OPTION_TEXT, IN(config_provider, was), .is_valid = value_is_name,
     .expects = A_NAME, .fallback = "(none)",
     .help = "The name this provider had; what waits under it is brought here."},
    {SECTION_PROVIDER, "path", OPTION_PATH, IN(config_provider, path),
     .fallback = "(mail, in systemd's state directory or /var/lib/herald)", .types = FOR_MAILDIR,
     .help = "The directory that maildir writes to."},
    {SECTION_PROVIDER, "max_messages", OPTION_COUNT, IN(config_provider, max_messages), .min = 1,
     .max = 10000000, .fallback = "10000", .types = FOR_MAILDIR,
     .help = "How many files maildir keeps there; more are refused."},
    {SECTION_PROVIDER, "behaviour", OPTION_TEXT, IN(config_provider, behaviour), .max = 256,
     .is_valid = value_is_text, .expects = "of text", .fallback = "ok", .types = FOR_NULL,
     .help = "What null pretends the provider answered."},

    /* [limit recipient] */
    {SECTION_LIMIT, "rate", OPTION_RATE, IN(config_limit, rate), .fallback = "(no limit)",
     .help = "No more than this to one recipient on one channel, COUNT/PERIOD or COUNT/PERIOD burst N."},
    {SECTION_LIMIT, "channels", OPTION_LIST, IN(config_limit, channels), .is_valid = value_is_channel,
     .expects = "email, push or webhook", .fallback = "email push webhook",
     .help = "The channels this counts on, each for itself."},
};
const size_t option_count = sizeof(option_table) / sizeof(option_table[0]);
static_assert(sizeof(option_table) / sizeof(option_table[0]) <= OPTION_MAX, "raise OPTION_MAX");

bool section_kind_has_name(enum section_kind kind)
{
    return kind != SECTION_HERALD && kind != SECTION_REDIS;
}

const struct option *option_find(enum section_kind section, const char *name)
{
    for (size_t i = 0; i < option_count; i++) {
        if (option_table[i].section == section && strcmp(option_table[i].name, name) == 0)
            return &option_table[i];
    }
    return NULL;
}

/* "a or b", "a, b or c" */
static void write_words(const char *const *words, char ret[OPTION_RANGE_BYTES])
{
    size_t len = 0;
    for (size_t i = 0; words[i] != NULL && len < OPTION_RANGE_BYTES; i++) {
        const char *glue = i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ";
        len += (size_t)snprintf(ret + len, OPTION_RANGE_BYTES - len, "%s%s", glue, words[i]);
    }
}

void option_write_range(const struct option *option, char ret[OPTION_RANGE_BYTES])
{
    char min[VALUE_DURATION_BYTES], max[VALUE_DURATION_BYTES];
    switch (option->type) {
    case OPTION_DURATION:
        value_write_duration(option->min, min);
        value_write_duration(option->max, max);
        snprintf(ret, OPTION_RANGE_BYTES, "%s to %s", min, max);
        return;
    case OPTION_COUNT:
        snprintf(ret, OPTION_RANGE_BYTES, "%" PRId64 " to %" PRId64, option->min, option->max);
        return;
    case OPTION_CHOICE:
    case OPTION_BOOL:
        write_words(option->words, ret);
        return;
    case OPTION_RATE:
        snprintf(ret, OPTION_RANGE_BYTES, "COUNT/PERIOD or COUNT/PERIOD burst N");
        return;
    case OPTION_MAILBOX:
        snprintf(ret, OPTION_RANGE_BYTES, "ADDRESS or \"NAME\" <ADDRESS>");
        return;
    case OPTION_PATH:
    case OPTION_SECRET:
    case OPTION_KEYS:
        snprintf(ret, OPTION_RANGE_BYTES, "a path");
        return;
    case OPTION_TEXT:
    case OPTION_LIST:
    case OPTION_LINES:
    case OPTION_REDIS_URL:
        if (option->max > 0)
            snprintf(ret, OPTION_RANGE_BYTES, "1 to %" PRId64 " bytes %s", option->max, option->expects);
        else
            snprintf(ret, OPTION_RANGE_BYTES, "%s", option->expects);
        return;
    }
}

void config_each_option(void (*on_option)(void *arg, const struct config_option_help *option), void *arg)
{
    static const char *const types[] = {
        [OPTION_TEXT] = "text",     [OPTION_PATH] = "path",         [OPTION_SECRET] = "file",
        [OPTION_KEYS] = "file",     [OPTION_BOOL] = "choice",       [OPTION_COUNT] = "number",
        [OPTION_CHOICE] = "choice", [OPTION_DURATION] = "duration", [OPTION_RATE] = "rate",
        [OPTION_LIST] = "list",     [OPTION_LINES] = "repeatable",  [OPTION_MAILBOX] = "mailbox",
        [OPTION_REDIS_URL] = "url",
    };
    for (size_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        char range[OPTION_RANGE_BYTES];
        option_write_range(option, range);
        struct config_option_help help = {
            .section = section_kind_names[option->section],
            .name = option->name,
            .type = types[option->type],
            .range = range,
            .fallback = option->fallback,
            .reload = option->reload == RELOAD_RESTART ? "restart" : "live",
            .help = option->help,
        };
        on_option(arg, &help);
    }
}
