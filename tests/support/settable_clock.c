/* settable_clock.c - preloaded into a test's redis-server: its wall clock is a number in a file that the test
 * owns.
 *
 * Ages, leases, slots and TTLs are then tested to the microsecond, a week passes at once, and no test sleeps.
 * Only gettimeofday is replaced, which is where Redis gets TIME and its expiry from; its event loop runs on
 * the monotonic clock. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *now_us; /* mapped for the life of the process; NULL: the real clock */

__attribute__((constructor)) static void map_clock(void)
{
    const char *path = getenv("SETTABLE_CLOCK");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *page = mmap(NULL, sizeof *now_us, PROT_READ, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED)
        now_us = page;
    close(fd);
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    (void)zone;
    if (now_us != NULL) {
        int64_t us = *now_us;
        *ret = (struct timeval){.tv_sec = us / 1000000, .tv_usec = us % 1000000};
        return 0;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *ret = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}
