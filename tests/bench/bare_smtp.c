/* bare_smtp.c - what libcurl alone can send: N threads, each with one easy handle and one connection, send
 * the same mail over and over. The mark that heraldd's mail lane is measured against; it does what the lane
 * does for libcurl's sake (body by callback, a new recipient for each mail) and nothing else.
 *
 * usage: bare_smtp URL THREADS COUNT MESSAGE_FILE; prints one JSON line.
 */
#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define MAX_THREADS 256
#define MAX_MESSAGE (1024 * 1024)

struct run {
    const char *url;
    const char *message;
    size_t message_len;
    atomic_long left;
    atomic_long failed;
};

struct body {
    const struct run *run;
    size_t sent;
};

static size_t give_body(char *ret, size_t size, size_t count, void *arg)
{
    struct body *body = arg;
    size_t room = size * count;
    size_t len = body->run->message_len - body->sent;
    if (len > room)
        len = room;
    memcpy(ret, body->run->message + body->sent, len);
    body->sent += len;
    return len;
}

static void *send_mails(void *arg)
{
    struct run *run = arg;
    CURL *easy = curl_easy_init();
    for (;;) {
        long number = atomic_fetch_sub(&run->left, 1);
        if (number <= 0)
            break;
        struct body body = {.run = run};
        char to[64];
        snprintf(to, sizeof to, "<user-%ld@shop.example>", number);
        struct curl_slist *recipients = curl_slist_append(NULL, to);
        curl_easy_reset(easy);
        curl_easy_setopt(easy, CURLOPT_URL, run->url);
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy, CURLOPT_MAIL_FROM, "<orders@shop.example>");
        curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, recipients);
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
        curl_easy_setopt(easy, CURLOPT_READDATA, &body);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)run->message_len);
        CURLcode code = curl_easy_perform(easy);
        curl_slist_free_all(recipients);
        if (code != CURLE_OK) {
            if (atomic_fetch_add(&run->failed, 1) == 0)
                fprintf(stderr, "bare_smtp: %s\n", curl_easy_strerror(code));
            break;
        }
    }
    curl_easy_cleanup(easy);
    return NULL;
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    static char message[MAX_MESSAGE];
    static pthread_t threads[MAX_THREADS];
    if (argc != 5) {
        fprintf(stderr, "usage: bare_smtp URL THREADS COUNT MESSAGE_FILE\n");
        return 2;
    }
    long thread_count = strtol(argv[2], NULL, 10);
    long count = strtol(argv[3], NULL, 10);
    FILE *file = fopen(argv[4], "rb");
    if (thread_count < 1 || thread_count > MAX_THREADS || count < 1 || file == NULL) {
        fprintf(stderr, "bare_smtp: 1 to %d threads, at least one mail, a readable message\n", MAX_THREADS);
        return 2;
    }
    struct run run = {.url = argv[1], .message = message};
    run.message_len = fread(message, 1, sizeof message, file);
    fclose(file);
    atomic_store(&run.left, count);
    curl_global_init(CURL_GLOBAL_DEFAULT);

    double begun = seconds_now();
    long started = 0;
    while (started < thread_count && pthread_create(&threads[started], NULL, send_mails, &run) == 0)
        started++;
    for (long i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    double took = seconds_now() - begun;

    long failed = atomic_load(&run.failed);
    printf("{\"sent\": %ld, \"failed\": %ld, \"seconds\": %.6f, \"per_second\": %.1f, \"cpu_s\": %.3f}\n",
           count - failed, failed, took, (double)count / took, cpu_seconds());
    curl_global_cleanup();
    return failed == 0 && started == thread_count ? 0 : 1;
}
