/* reason.h - a log line's reason, in one of a few words: fit for a label of a metric, whatever a publisher or
 * a provider may have written into the line. Pure; any thread. */
#ifndef HERALD_APP_REASON_H
#define HERALD_APP_REASON_H

#include <stddef.h>

/* Static text out of a closed list; "other" for what is not known, "" for an empty reason. */
const char *reason_label(const char *text, size_t len);

#endif
