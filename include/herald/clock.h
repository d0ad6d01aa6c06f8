/* clock.h - the only source of time. Any thread; never blocks. */
#ifndef HERALD_CLOCK_H
#define HERALD_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Milliseconds on a clock that never steps and that counts suspend (CLOCK_BOOTTIME): leases, deadlines,
 * timers. */
int64_t clock_mono_ms(void);
/* The same clock in microseconds: durations that are measured. */
int64_t clock_mono_us(void);

/* Milliseconds since the epoch, UTC: what is shown to people or written into a mail. It may step. */
int64_t clock_wall_ms(void);

/* "2026-01-01T10:00:00.123Z" for wall milliseconds; room for CLOCK_RFC3339_BYTES with the NUL.
 * Before 1970 and after 9999 it is the nearer end. */
#define CLOCK_RFC3339_BYTES 32
void clock_rfc3339(int64_t wall_ms, char ret[CLOCK_RFC3339_BYTES]);

/* Reads RFC 3339 (date-time with seconds, an optional fraction, "Z" or a numeric offset), years 1970 to 9999
 * in UTC. What is finer than a millisecond is cut; a leap second counts as the first second after it.
 * False when the text is anything else; *ret_wall_ms untouched. */
bool clock_parse_rfc3339(const char *text, size_t len, int64_t *ret_wall_ms);

/* "Thu, 01 Jan 2026 10:00:00 +0000" (RFC 5322 date-time, English whatever the locale). */
#define CLOCK_RFC5322_BYTES 40
void clock_rfc5322(int64_t wall_ms, char ret[CLOCK_RFC5322_BYTES]);

#endif
