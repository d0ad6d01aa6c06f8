/* load.h - one configuration being read: the snapshot so far, and where in the file each thing stood, for the
 * complaints. The thread that loads. */
#ifndef HERALD_CONF_LOAD_H
#define HERALD_CONF_LOAD_H

#include <stddef.h>

#include "herald/config.h"
#include "herald/err.h"
#include "options.h"

/* [herald], [redis] and [limit recipient] once, the others as often as is allowed. */
#define LOAD_MAX_SECTIONS (3 + 3 * CONFIG_MAX_SECTIONS)

struct section {
    enum section_kind kind;
    char name[CONFIG_MAX_NAME + 1]; /* "" for [herald] and [redis] */
    size_t index;                   /* in the snapshot's array of that kind; 0 for the others */
    int line;                       /* of its heading; 0: it is not in the file */
    int lines[OPTION_MAX];          /* of each option, by its place in option_table; 0: the file is silent */
};

struct loader {
    const char *path;         /* borrowed: as the operator gave it, for the complaints */
    char *directory;          /* owned: where relative names start */
    struct config *config;    /* owned */
    struct section *sections; /* owned: the three single ones, then those of the file in its order */
    size_t section_count;
    struct section *current; /* borrowed from sections: where an entry goes */
};

/* The struct that a section's options fill; good until another section is added. */
void *load_base(const struct loader *loader, const struct section *section);

/* The option's row in the file: its line, or 0. */
int load_line(const struct section *section, const char *option);

/* Fills *err (ERR_CONFIG) with "PATH:LINE: [section] option: " and the formatted text; `option` may be NULL.
 * An option the file is silent about is complained of at its section's heading. Returns false. */
bool load_refuse(const struct loader *loader, const struct section *section, const char *option,
                 struct err *err, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The same in front of what *err has already; its kind stays. */
bool load_wrap(const struct loader *loader, const struct section *section, const char *option,
               struct err *err);

/* Reads the file into loader->config, which is zeroed; the caller gives it back also after a failure. */
bool load_file(struct loader *loader, struct err *err) MUST_CHECK;

/* What depends on more than one option, and the defaults that do. Each is called once for its section,
 * providers first. */
bool provider_finish(const struct loader *loader, const struct section *section, struct err *err) MUST_CHECK;
bool notification_finish(const struct loader *loader, const struct section *section,
                         struct err *err) MUST_CHECK;
bool source_finish(const struct loader *loader, const struct section *section, struct err *err) MUST_CHECK;

#endif
