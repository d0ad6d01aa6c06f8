/* The service manager's protocol, through libsystemd. See service.h. */
#include "service.h"

#include <inttypes.h>

#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>

#include "herald/clock.h"

/* sd_notify's own errors are not ours to handle: a manager that can't be told finds out by its own time
 * limits. */

void service_ready(const char *status)
{
    (void)sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void service_status(const char *status)
{
    (void)sd_notifyf(0, "STATUS=%s", status);
}

void service_reloading(void)
{
    /* MONOTONIC_USEC must come in the same datagram for Type=notify-reload (systemd 253 and later); older
     * ones ignore it. */
    (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_mono_us());
}

void service_stopping(const char *status)
{
    (void)sd_notifyf(0, "STOPPING=1\nSTATUS=%s", status);
}

void service_extend(int64_t ms)
{
    (void)sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%" PRId64, ms * 1000);
}

int64_t service_watchdog_ms(void)
{
    uint64_t usec = 0;
    return sd_watchdog_enabled(0, &usec) > 0 ? (int64_t)(usec / 1000) : 0;
}

void service_alive(void)
{
    (void)sd_notify(0, "WATCHDOG=1");
}

int service_journal(const struct iovec *iov, int count)
{
    return sd_journal_sendv(iov, count);
}
