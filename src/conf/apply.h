/* apply.h - an option's text becomes a field, is compared, is given back. One case per type; conf only. */
#ifndef HERALD_CONF_APPLY_H
#define HERALD_CONF_APPLY_H

#include <stdbool.h>

#include "herald/err.h"
#include "options.h"

/* Sets the option's field in `base`, the struct its section fills; a field set before is replaced
 * (OPTION_LINES: added to). Relative file names start at `directory`. *err (ERR_CONFIG, ERR_NOMEM) has the
 * value and what was expected, but not where it stood. Blocks on files where the option names one. */
bool apply_text(const struct option *option, const char *text, const char *directory, void *base,
                struct err *err) MUST_CHECK;

/* Frees what the section's options own in `base` and leaves them NULL. */
void apply_release(enum section_kind section, void *base);

/* Only for the types that options with RELOAD_RESTART have. */
bool apply_is_equal(const struct option *option, const void *a, const void *b);

#endif
