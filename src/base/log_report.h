/* log_report.h - what the log says of itself. Any thread; like log_format, they return the line's length. */
#ifndef HERALD_BASE_LOG_REPORT_H
#define HERALD_BASE_LOG_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "log_format.h"

/* So many lines could not be written. */
size_t log_report_dropped(enum log_format format, uint64_t lines, char ret[LOG_LINE_BYTES]);
/* So many lines of that event were left out by the rate. */
size_t log_report_sampled(enum log_format format, const char *event, uint64_t lines,
                          char ret[LOG_LINE_BYTES]);

#endif
