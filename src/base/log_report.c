/* log_report.c - what the log says of itself; see log_report.h. */
#include "log_report.h"

#include "herald/clock.h"

size_t log_report_dropped(enum log_format format, uint64_t lines, char ret[LOG_LINE_BYTES])
{
    const struct log_field count = log_int(LOG_KEY_COUNT, (int64_t)lines);
    const struct log_entry entry = {
        .level = LOG_LEVEL_WARNING,
        .wall_ms = clock_wall_ms(),
        .event = "log.dropped",
        .message = "log lines were lost: the log could not be written fast enough, or not at all",
        .fields = &count,
        .count = 1,
    };

    return log_format(format, &entry, ret);
}

size_t log_report_sampled(enum log_format format, const char *event, uint64_t lines, char ret[LOG_LINE_BYTES])
{
    const struct log_field fields[] = {log_text(LOG_KEY_OF, event), log_int(LOG_KEY_COUNT, (int64_t)lines)};
    const struct log_entry entry = {
        .level = LOG_LEVEL_NOTICE,
        .wall_ms = clock_wall_ms(),
        .event = "log.sampled",
        .message = "lines of this event were left out, for there are more than log_rate; each is counted",
        .fields = fields,
        .count = sizeof(fields) / sizeof(fields[0]),
    };

    return log_format(format, &entry, ret);
}
