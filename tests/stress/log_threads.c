/* log_threads.c - several threads log into a pipe that is drained slowly: every line is either written whole
 * or counted as dropped, and nobody waits for the reader.
 *
 * A plain program, because Criterion does not start under ThreadSanitizer, which is what this is run with.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "herald/log.h"

#define THREADS 4
#define LINES_EACH 20000 /* with THREADS of them several times what the ring and the pipe hold */
#define READ_BYTES 8192  /* a step of the slow reader */
#define LINE_BYTES 4096
#define STOP_MS 60000 /* for a slow machine under a sanitizer; a second elsewhere */

#define CHECK(claim)                                                                                         \
    do {                                                                                                     \
        if (!(claim)) {                                                                                      \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #claim);                            \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

static int ends[2];
static atomic_bool all_sent;
static int next_of[THREADS]; /* the reader's: the lines of one thread come in its order */
static long written;
static long reported; /* by log.dropped lines */

static void *send_lines(void *arg)
{
    int self = *(const int *)arg;

    for (int i = 0; i < LINES_EACH; i++)
        LOG(LOG_LEVEL_INFO, "stress.line", "one of many lines", log_int(LOG_KEY_SOURCE, self),
            log_int(LOG_KEY_COUNT, i), log_text(LOG_KEY_REASON, "words that take some room"));
    return NULL;
}

static void check_line(const char *line)
{
    int thread;
    int index;
    int end = 0;
    const char *fields = strstr(line, "\"message\":\"");

    CHECK(strncmp(line, "{\"ts\":\"", 7) == 0);
    CHECK(strstr(line + 1, "{\"ts\":") == NULL);
    CHECK(fields != NULL);
    if (strstr(line, "\"event\":\"log.dropped\"") != NULL) {
        const char *count = strstr(line, "\"count\":");
        CHECK(count != NULL);
        reported += strtol(count + strlen("\"count\":"), NULL, 10);
        return;
    }
    CHECK(sscanf(fields,
                 "\"message\":\"one of many lines\",\"source\":%d,\"count\":%d,\"reason\":\"words that take "
                 "some room\"}%n",
                 &thread, &index, &end) == 2);
    CHECK(end > 0 && fields[end] == '\0');
    CHECK(thread >= 0 && thread < THREADS);
    CHECK(index >= next_of[thread] && index < LINES_EACH);
    next_of[thread] = index + 1;
    written++;
}

/* A reader slower than the senders on any machine: it takes the next step only when something more was
 * dropped. */
static void wait_for_a_loss(uint64_t *seen)
{
    while (log_dropped() == *seen && !atomic_load(&all_sent))
        sched_yield();
    *seen = log_dropped();
}

/* Splits what comes into lines; the last one must have its newline too. */
static void *drain(void *unused)
{
    static char bytes[READ_BYTES + LINE_BYTES];
    size_t len = 0;
    ssize_t got;
    uint64_t seen = 0;

    (void)unused;
    wait_for_a_loss(&seen);
    while ((got = read(ends[0], bytes + len, READ_BYTES)) > 0) {
        char *line = bytes;
        char *newline;

        len += (size_t)got;
        while ((newline = memchr(line, '\n', len - (size_t)(line - bytes))) != NULL) {
            *newline = '\0';
            check_line(line);
            line = newline + 1;
        }
        len -= (size_t)(line - bytes);
        CHECK(len < LINE_BYTES);
        memmove(bytes, line, len);
        wait_for_a_loss(&seen);
    }
    CHECK(len == 0);
    return NULL;
}

int main(void)
{
    struct err err;
    pthread_t senders[THREADS];
    pthread_t reader;
    int names[THREADS];

    CHECK(pipe(ends) == 0);
    const struct log_options options = {.level = LOG_LEVEL_INFO, .format = LOG_FORMAT_JSON, .fd = ends[1]};
    CHECK(log_start(&options, &err));
    CHECK(pthread_create(&reader, NULL, drain, NULL) == 0);
    for (int i = 0; i < THREADS; i++) {
        names[i] = i;
        CHECK(pthread_create(&senders[i], NULL, send_lines, &names[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(senders[i], NULL) == 0);
    atomic_store(&all_sent, true);
    long dropped = (long)log_dropped();
    log_stop(STOP_MS);
    close(ends[1]);
    CHECK(pthread_join(reader, NULL) == 0);

    printf("%d lines sent, %ld written, %ld dropped\n", THREADS * LINES_EACH, written, dropped);
    CHECK(dropped > 0); /* else the ring was never full, and this was no test of it */
    CHECK((long)log_dropped() == dropped);
    CHECK(written + dropped == (long)THREADS * LINES_EACH);
    CHECK(reported == dropped);
    return 0;
}
