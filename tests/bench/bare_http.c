/* bare_http.c - what libcurl alone can push: one multi loop, one TLS HTTP/2 connection, M transfers at a
 * time, the same JSON body over and over. The mark that heraldd's push lane is measured against; the body
 * goes by callback, as in the lane.
 *
 * usage: bare_http URL CA_FILE STREAMS COUNT BODY_FILE; prints one JSON line.
 */
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define MAX_STREAMS 1000
#define MAX_BODY 65536
#define POLL_MS 1000

struct transfer {
    CURL *easy;
    size_t sent;
};

static char body[MAX_BODY];
static size_t body_len;

static size_t give_body(char *ret, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;
    size_t room = size * count;
    size_t len = body_len - transfer->sent;
    if (len > room)
        len = room;
    memcpy(ret, body + transfer->sent, len);
    transfer->sent += len;
    return len;
}

static size_t drop_reply(char *bytes, size_t size, size_t count, void *arg)
{
    (void)bytes;
    (void)arg;
    return size * count;
}

static void begin(CURLM *multi, struct transfer *transfer, const char *url, const char *ca_file,
                  struct curl_slist *headers)
{
    transfer->sent = 0;
    curl_easy_reset(transfer->easy);
    curl_easy_setopt(transfer->easy, CURLOPT_URL, url);
    curl_easy_setopt(transfer->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(transfer->easy, CURLOPT_CAINFO, ca_file);
    curl_easy_setopt(transfer->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(transfer->easy, CURLOPT_PIPEWAIT, 1L);
    curl_easy_setopt(transfer->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body_len);
    curl_easy_setopt(transfer->easy, CURLOPT_READFUNCTION, give_body);
    curl_easy_setopt(transfer->easy, CURLOPT_READDATA, transfer);
    curl_easy_setopt(transfer->easy, CURLOPT_WRITEFUNCTION, drop_reply);
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(transfer->easy, CURLOPT_PRIVATE, (char *)transfer);
    curl_multi_add_handle(multi, transfer->easy);
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

/* One finished transfer; false if it did not end with 200. */
static bool is_good(const CURLMsg *message)
{
    long status = 0;
    curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
    if (message->data.result == CURLE_OK && status == 200)
        return true;
    fprintf(stderr, "bare_http: %s, status %ld\n", curl_easy_strerror(message->data.result), status);
    return false;
}

int main(int argc, char **argv)
{
    static struct transfer transfers[MAX_STREAMS];
    if (argc != 6) {
        fprintf(stderr, "usage: bare_http URL CA_FILE STREAMS COUNT BODY_FILE\n");
        return 2;
    }
    long streams = strtol(argv[3], NULL, 10);
    long count = strtol(argv[4], NULL, 10);
    FILE *file = fopen(argv[5], "rb");
    if (streams < 1 || streams > MAX_STREAMS || count < 1 || file == NULL) {
        fprintf(stderr, "bare_http: 1 to %d streams, at least one push, a readable body\n", MAX_STREAMS);
        return 2;
    }
    body_len = fread(body, 1, sizeof body, file);
    fclose(file);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURLM *multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, 1L);
    curl_multi_setopt(multi, CURLMOPT_MAX_CONCURRENT_STREAMS, streams);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");

    double begun = seconds_now();
    long started = 0, ended = 0;
    bool has_failed = false;
    for (; started < streams && started < count; started++) {
        transfers[started].easy = curl_easy_init();
        begin(multi, &transfers[started], argv[1], argv[2], headers);
    }
    while (ended < count && !has_failed) {
        int running = 0, waiting = 0;
        curl_multi_perform(multi, &running);
        CURLMsg *message;
        while ((message = curl_multi_info_read(multi, &waiting)) != NULL) {
            struct transfer *transfer = NULL;
            has_failed = has_failed || !is_good(message);
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
            curl_multi_remove_handle(multi, transfer->easy);
            ended++;
            if (started < count) {
                started++;
                begin(multi, transfer, argv[1], argv[2], headers);
            }
        }
        if (ended < count && !has_failed)
            curl_multi_poll(multi, NULL, 0, POLL_MS, NULL);
    }
    double took = seconds_now() - begun;
    printf("{\"sent\": %ld, \"seconds\": %.6f, \"per_second\": %.1f, \"cpu_s\": %.3f}\n", ended, took,
           (double)ended / took, cpu_seconds());

    for (long i = 0; i < streams; i++) {
        if (transfers[i].easy != NULL) {
            curl_multi_remove_handle(multi, transfers[i].easy);
            curl_easy_cleanup(transfers[i].easy);
        }
    }
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
    curl_global_cleanup();
    return has_failed ? 1 : 0;
}
