/* exposition.h - the numbers in Prometheus's text format, version 0.0.4. Any thread; no I/O. */
#ifndef HERALD_APP_EXPOSITION_H
#define HERALD_APP_EXPOSITION_H

#include "herald/buffer.h"
#include "vitals.h"

/* Every series at its longest stays under it: 1,024 of 200 bytes, 224 timings of 20 lines of 90. */
#define EXPOSITION_MAX_BYTES (1024 * 1024)

/* Appends. `tally` is the one whose numbers are in the vitals: their labels. The buffer remembers a want of
 * memory. */
void exposition_write(const struct vitals *vitals, const struct tally *tally, int64_t now_mono_ms,
                      struct buffer *ret);

#endif
