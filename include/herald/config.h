/* config.h - the immutable snapshot of the configuration, templates included.
 *
 * Read from one INI file, checked against the option table in conf/options.c, and frozen. A reload makes a
 * new snapshot; whoever works with the old one holds a reference, so no setting is pulled from under a lane's
 * thread. The reference count is atomic and the only one in the program. Loading blocks on files and runs at
 * start, at reload and in heraldctl.
 */
#ifndef HERALD_CONFIG_H
#define HERALD_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/content.h"
#include "herald/delivery.h"
#include "herald/err.h"
#include "herald/log.h"
#include "herald/rate.h"

/* bytes of a source's, notification's or provider's name: a lane's name must fit a packed record */
#define CONFIG_MAX_NAME 20
#define CONFIG_MAX_SECTIONS 64 /* of each kind: label sets and per-call arguments stay small */
#define CONFIG_MAX_LIST 32     /* entries of a list option */

struct config_redis {
    char *host; /* owned; NULL when socket_path is set */
    int port;
    char *socket_path; /* owned or NULL */
    int database;
    char *user;     /* owned or NULL */
    char *password; /* owned or NULL; from the URL, password_file, or REDIS_PASSWORD */
    int64_t connect_timeout_ms;
    int64_t command_timeout_ms; /* the oldest unanswered command; then the link is torn down */
};

enum source_type { SOURCE_PUBSUB, SOURCE_STREAM };

struct config_source {
    char *name;
    enum source_type type;
    char *channel;                               /* pub/sub: owned; NULL for a stream */
    char *stream;                                /* the stream's key: owned; NULL for pub/sub */
    bool trim;                                   /* stream: what every group has done with is removed */
    char *space;                                 /* default: the notification's name */
    char *id_member;                             /* NULL: eventId, else orderId */
    char *volatile_members[CONFIG_MAX_LIST + 1]; /* default: confirmedAt */
    bool recipient_in_event;
    char *notification_name;                        /* owned; as written */
    const struct config_notification *notification; /* borrowed from the same snapshot */
    struct event_key signing_keys[2];               /* owned bytes */
    size_t signing_key_count;                       /* 0: events need no signature */
};

struct config_target {
    enum channel channel;
    const struct config_provider
        *provider; /* borrowed from the same snapshot; NULL for push: the device's record names it */
};

struct config_notification {
    char *name;
    size_t index;                        /* place in config.notifications */
    char *channels[CONFIG_MAX_LIST + 1]; /* owned; as written: targets are what it means */
    struct config_target targets[CHANNEL_COUNT];
    size_t target_count;
    char *from_name, *from_address;         /* NULL: the provider's */
    char *reply_to_name, *reply_to_address; /* NULL: none */
    struct rate rate;
    struct content *content; /* owned */
};

enum provider_type { PROVIDER_SMTP, PROVIDER_HTTP, PROVIDER_MAILDIR, PROVIDER_NULL };
enum starttls { STARTTLS_NEVER, STARTTLS_REQUIRED };
enum on_unknown { ON_UNKNOWN_RESEND, ON_UNKNOWN_HOLD };

struct config_provider {
    char *name; /* the lane's name too */
    size_t index;
    char *was; /* owned or NULL: the name it had; its lane is brought home */
    enum channel channel;
    enum provider_type type;
    char *url;                      /* smtp:// smtps:// https:// http:// ; NULL for maildir and null */
    char *user, *password;          /* owned or NULL */
    char *from_name, *from_address; /* email only */
    char *ca_file;                  /* NULL: the system's */
    enum starttls starttls;         /* default: required when a user is set, else never */
    char *hello;                    /* EHLO name; NULL: the host's */
    unsigned connections;       /* threads with one transfer each (smtp, maildir, null) or HTTP connections */
    unsigned streams;           /* http: transfers at once per connection */
    int64_t connect_timeout_ms; /* 30 s */
    int64_t timeout_ms; /* smtp: final reply 10 min (shorter is how duplicates are made); http: whole transfer
                           30 s */
    char *headers[CONFIG_MAX_LIST + 1]; /* http: "Name: value", checked; owned */
    char *token;                        /* http: bearer token, from token_file; NULL: none */
    bool allow_cleartext; /* http:// or a password without TLS to another machine was asked for */
    struct rate rate;
    unsigned max_attempts;                   /* 40 */
    int64_t max_age_ms;                      /* 24 h */
    int64_t backoff_base_ms, backoff_max_ms; /* 15 s, 1 h */
    enum on_unknown on_unknown;
    char *path;            /* maildir: directory */
    unsigned max_messages; /* maildir: it refuses more than so many files, so that it stays bounded */
    char *behaviour;       /* null: what it answers, see send/null.c; default "ok" */
};

enum limiter_error { LIMITER_OPEN, LIMITER_CLOSED };

struct config_limit {
    struct rate rate;
    char *channels[CONFIG_MAX_LIST + 1]; /* owned; as written */
};

struct config {
    /* [herald] */
    char *instance;  /* default: host name */
    char *prefix;    /* of every Redis key; default herald */
    char *group;     /* consumer group in every stream; default: the prefix */
    char *templates; /* directory; relative paths are relative to the file */
    enum log_level log_level;
    enum log_format log_format;
    unsigned log_rate;          /* 1,000: two events of it fit a second's ring; 0: no limit */
    int64_t drain_timeout_ms;   /* 30 s */
    int64_t lease_ms;           /* 60 s */
    int64_t lease_margin_ms;    /* 5 s */
    int64_t dedupe_window_ms;   /* 72 h; must be >= every provider's max_age */
    int64_t canary_interval_ms; /* 5 s */
    int64_t dead_max_age_ms;    /* 30 d */
    unsigned dead_max_count;    /* 100,000 */
    char *metrics;              /* owned or NULL: where to answer, see listen.h */
    bool allow_unfit_redis; /* start on a Redis that may evict what was promised: for demonstrations only */
    char *redirect_to;      /* NULL; else every mail goes there: staging */
    char *allow_domains[CONFIG_MAX_LIST + 1]; /* empty: all */
    enum limiter_error on_limiter_error;

    struct config_redis redis;
    struct config_source *sources;
    size_t source_count;
    struct config_notification *notifications;
    size_t notification_count;
    struct config_provider *providers;
    size_t provider_count;
    struct config_limit limit;                 /* [limit recipient] */
    struct rate recipient_rate[CHANNEL_COUNT]; /* what it means for each channel */
};

/* Reads and checks the file and all it names (templates, secrets). Where a notification uses email and no
 * email provider is configured, a maildir provider called "maildir" is added. *err is ERR_CONFIG: "FILE:LINE:
 * [section] option: 'value': expected …". On true the caller holds the first reference. */
bool config_load(const char *path, struct config **ret, struct err *err) MUST_CHECK;

struct config *config_ref(struct config *config); /* any thread */
void config_unref(struct config *config);         /* any thread; NULL is fine; the last one frees */

const struct config_provider *config_provider(const struct config *config, const char *name); /* NULL: none */
const struct config_notification *config_notification(const struct config *config,
                                                      const char *name); /* NULL: none */

/* Whether mail may go to this address: allow_domains has its domain, or is empty. */
bool config_allows(const struct config *config, const char *address);

/* Adds a notification that no source makes, for a message of the program's own; its name need not be one that
 * a file could have. Takes the content, on false too. Only by whoever loaded the snapshot, before anybody
 * else has a reference. ERR_NOMEM. */
bool config_add_notification(struct config *config, const char *name, struct content *content,
                             struct err *err) MUST_CHECK;

/* Whether `next` may replace `now`. On false *err is ERR_CONFIG and lists what needs a restart: options whose
 * rule says so, and sources that came or went. */
bool config_can_replace(const struct config *now, const struct config *next, struct err *err) MUST_CHECK;

/* Calls back for what is good and yet hardly meant: a file among the templates that nobody reads, an empty
 * subject, a template that makes no JSON, a password with a space at an end, nothing to listen to, a
 * notification that nothing makes. `where` is a path, a section in brackets, or ""; the text goes on behind
 * it. Blocks on files. */
typedef void config_doubt_fn(void *arg, const char *where, const char *text);
void config_each_doubt(const struct config *config, config_doubt_fn *on_doubt, void *arg);

/* Calls back for each row of the option table, for the manual and the test that compares it with
 * etc/herald.conf. */
struct config_option_help {
    const char *section, *name, *type, *range, *fallback, *reload, *help;
};
void config_each_option(void (*on_option)(void *arg, const struct config_option_help *option), void *arg);

#endif
