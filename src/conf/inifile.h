/* inifile.h - an INI file as a stream of headings and entries, each with its line. inih lives behind this
 * border. */
#ifndef HERALD_CONF_INIFILE_H
#define HERALD_CONF_INIFILE_H

#include "herald/err.h"

/* the longest line: a list of 32 domains or a long webhook URL, with room */
#define INIFILE_LINE_BYTES 2048

/* All texts are borrowed for the call, have no spaces around them and are UTF-8 without controls. Returning
 * false, with *err filled, ends the reading. */
struct inifile_callbacks {
    bool (*on_section)(void *arg, const char *section, int line, struct err *err);
    bool (*on_entry)(void *arg, const char *name, const char *value, int line, struct err *err);
    void *arg;
};

/* Calls back in the order of the file and stops at the first complaint: one of its own, which starts with
 * "PATH:LINE: " (ERR_CONFIG), or a callback's, as it is. Blocks on the file. Not for two threads at once, for
 * inih has a global. */
bool inifile_read(const char *path, const struct inifile_callbacks *callbacks, struct err *err) MUST_CHECK;

#endif
