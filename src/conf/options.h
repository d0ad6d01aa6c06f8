/* options.h - the option table: what may stand in the file, and where it goes. Immutable; any thread. */
#ifndef HERALD_CONF_OPTIONS_H
#define HERALD_CONF_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/config.h"

enum section_kind {
    SECTION_HERALD,
    SECTION_REDIS,
    SECTION_SOURCE,
    SECTION_NOTIFICATION,
    SECTION_PROVIDER,
    SECTION_LIMIT,
    SECTION_KIND_COUNT
};

/* How a value is read and kept; apply.c has one case for each. */
enum option_type {
    OPTION_TEXT,      /* char * */
    OPTION_PATH,      /* char *: relative names are relative to the file */
    OPTION_SECRET,    /* char *: what the named file holds */
    OPTION_KEYS,      /* struct event_key[2]: likewise; size_t at `second` */
    OPTION_BOOL,      /* bool: the second of two words is true */
    OPTION_COUNT,     /* unsigned */
    OPTION_DURATION,  /* int64_t, ms */
    OPTION_CHOICE,    /* an enum whose values are the words' places */
    OPTION_RATE,      /* struct rate */
    OPTION_LIST,      /* char *[CONFIG_MAX_LIST + 1], NULL-terminated */
    OPTION_LINES,     /* the same, one entry for each time the option is given */
    OPTION_MAILBOX,   /* char *: the name; char * at `second`: the address */
    OPTION_REDIS_URL, /* several fields of struct config_redis */
};

enum option_reload { RELOAD_LIVE, RELOAD_RESTART };

/* Provider types as bits: which of them an option means something for. */
#define FOR_SMTP (1u << PROVIDER_SMTP)
#define FOR_HTTP (1u << PROVIDER_HTTP)
#define FOR_MAILDIR (1u << PROVIDER_MAILDIR)
#define FOR_NULL (1u << PROVIDER_NULL)

struct option {
    enum section_kind section;
    const char *name;
    enum option_type type;
    size_t offset, second;    /* in the struct that option_base returns */
    int64_t min, max;         /* counts and durations; texts: max bytes, 0 where is_valid has its own bound */
    const char *const *words; /* choices and booleans; NULL-terminated */
    bool (*is_valid)(const char *text, size_t max); /* texts, and each entry of a list */
    const char *expects; /* texts and lists: what is_valid wants, behind "1 to MAX bytes" if there is a max */
    const char
        *fallback; /* applied where the file is silent; in parentheses: none, required, or made elsewhere */
    enum option_reload reload;
    unsigned types;   /* [provider]: 0, or the types it is for */
    bool is_private;  /* a complaint must not repeat the value */
    const char *help; /* one sentence; etc/herald.conf carries the same */
};

#define OPTION_MAX 96 /* rows: sizes the arrays that hold a line for each; checked where the table is */
extern const struct option option_table[];
extern const size_t option_count;

/* The words that stand in the file for the kinds. */
extern const char *const section_kind_names[SECTION_KIND_COUNT + 1];
/* Whether "[kind NAME]" is how it is written; [limit recipient] is, though there is only one. */
bool section_kind_has_name(enum section_kind kind);

extern const char *const provider_type_names[];

const struct option *option_find(enum section_kind section, const char *name); /* NULL: there is none */

/* What values are good, for people: "1s to 1h", "open or closed", "1 to 32 bytes without spaces …". */
#define OPTION_RANGE_BYTES 160
void option_write_range(const struct option *option, char ret[OPTION_RANGE_BYTES]);

#endif
