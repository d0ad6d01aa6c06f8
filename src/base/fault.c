/* fault.c - see fault.h. Part of the chaos build only. */
#include "herald/fault.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "herald/clock.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char wanted[64]; /* "": no fault in this process */
static int signal_number;
static _Atomic long passages_left;

static void read_environment(void)
{
    const char *text = getenv("HERALD_FAULT");
    char action[8];
    long count = 0;

    if (text == NULL || sscanf(text, "%7s %63s %ld", action, wanted, &count) != 3)
        return;
    signal_number = strcmp(action, "stop") == 0 ? SIGSTOP : SIGKILL;
    atomic_store(&passages_left, count);
}

/* On disk before the signal: the log is what proves that the point was hit. */
static void note(const char *name)
{
    const char *path = getenv("HERALD_FAULT_LOG");
    char line[128];
    int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

    if (fd < 0)
        return;
    int len = snprintf(line, sizeof(line), "%s %lld\n", name, (long long)clock_wall_ms());
    if (write(fd, line, (size_t)len) != len)
        abort(); /* a fault that nobody can prove is worse than none */
    close(fd);
}

void fault_point(const char *name)
{
    pthread_once(&once, read_environment);
    if (strcmp(name, wanted) != 0 || atomic_fetch_sub(&passages_left, 1) != 1)
        return;
    note(name);
    raise(signal_number);
}
