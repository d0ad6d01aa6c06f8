/* scan.h - Redis's keys, and a sorted set's members, in steps that block nobody. What is there from the
 * beginning to the end is seen at least once; other things may be, and twice. */
#ifndef HERALD_CTL_SCAN_H
#define HERALD_CTL_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "herald/client.h"
#include "herald/err.h"

/* Names are borrowed for the callback, which may ask Redis other things; false ends the scan. */
typedef bool scan_fn(void *arg, const char *const *names, size_t count, struct err *err);

/* Our keys that begin with `kind`, without what stands in front of that: "due:mail". */
bool scan_keys(struct client *client, const char *kind, scan_fn *on_names, void *arg,
               struct err *err) MUST_CHECK;
bool scan_members(struct client *client, const char *index, scan_fn *on_names, void *arg,
                  struct err *err) MUST_CHECK;

#endif
