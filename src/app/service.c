/* The service manager's protocol, through libsystemd. See service.h. */
#include "service.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

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

void service_store(const char *name, int fd)
{
    char text[160];
    /* FDPOLL=0: else it is thrown away, with all that waits in it, when Redis closes its end. */
    snprintf(text, sizeof text, "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
    (void)sd_pid_notify_with_fds(0, 0, text, &fd, 1);
}

void service_unstore(const char *name)
{
    (void)sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

void service_each_passed(void (*on_passed)(void *arg, int fd, const char *name), void *arg)
{
    char **names = NULL;
    /* The environment stays as it is: other threads may be reading it, and we start no programs. */
    int count = sd_listen_fds_with_names(0, &names);
    for (int i = 0; i < count; i++) {
        on_passed(arg, SD_LISTEN_FDS_START + i, names != NULL ? names[i] : "");
        if (names != NULL)
            free(names[i]);
    }
    free(names);
}

int service_journal(const struct iovec *iov, int count)
{
    return sd_journal_sendv(iov, count);
}
