/* lane_threads.c - lanes under ThreadSanitizer: many deliveries through null, smtp and http lanes at once,
 * given back and stopped in the midst. Each comes back exactly once, and what a server accepted is what came
 * back as accepted. */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herald/clock.h"
#include "lane_world.h"
#include "server_process.h"

#define ROUNDS 3
#define PER_ROUND 300 /* deliveries of one lane and round; under ThreadSanitizer a few seconds */

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                  \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

struct tally {
    bool seen[PER_ROUND + 1];
    unsigned sent, stopped, released;
};

static void note(struct tally *tally, const struct delivery *delivery)
{
    unsigned number = (unsigned)strtoul(delivery->id + 2, NULL, 10);

    CHECK(number >= 1 && number <= PER_ROUND && !tally->seen[number]);
    tally->seen[number] = true;
    if (delivery->attempt.abort == ABORT_STOPPED)
        tally->stopped++;
    else if (delivery->attempt.abort == ABORT_LEASE)
        tally->released++;
    else if (delivery->attempt.code / 100 == 2)
        tally->sent++;
    else {
        fprintf(stderr, "transport %d, code %d: %s\n", delivery->attempt.transport, delivery->attempt.code,
                delivery->attempt.reply);
        exit(1);
    }
    CHECK(delivery->attempt.abort == ABORT_NONE || !delivery->attempt.is_committed);
}

/* A third of the way gives back what is queued, another third changes the epoch, and the last stops the lane
 * with work in it. */
static void run_round(enum channel channel, const char *provider)
{
    struct lane_world world;
    struct tally tally = {0};
    unsigned pushed = 0, back = 0;

    lane_world_init(&world);
    lane_world_configure(&world, channel, NULL, provider);
    lane_world_start(&world);
    while (pushed < PER_ROUND) {
        if (pushed - back < lane_capacity(world.lane)) {
            lane_world_push(&world, lane_world_delivery(&world, channel, "ann@shop.example"));
            pushed++;
            if (pushed == PER_ROUND / 3)
                lane_give_back(world.lane);
            if (pushed == PER_ROUND / 3 * 2)
                atomic_fetch_add(&world.gate.epoch, 1);
            (void)lane_oldest_progress_ms(world.lane);
            continue;
        }
        struct delivery *delivery = lane_world_wait(&world);
        note(&tally, delivery);
        lane_world_release(&world, delivery);
        back++;
    }
    lane_give_back(world.lane);
    lane_stop(world.lane);
    for (; back < pushed; back++) {
        struct delivery *delivery = lane_world_wait(&world);
        note(&tally, delivery);
        lane_world_release(&world, delivery);
    }
    int64_t deadline_ms = clock_mono_ms() + 30000;
    while (!lane_is_stopped(world.lane)) {
        CHECK(clock_mono_ms() < deadline_ms);
        poll(NULL, 0, 1);
    }
    CHECK(mailbox_take(world.mailbox) == NULL);
    printf("%s: %u sent, %u given back, %u released\n", channel_name(channel), tally.sent, tally.stopped,
           tally.released);
    CHECK(tally.sent + tally.stopped + tally.released == PER_ROUND);
    CHECK(tally.sent > 0);
    lane_world_done(&world);
}

int main(void)
{
    char directory[] = "/tmp/herald-stress-XXXXXX";
    char smtp[512], http[1024], cert[128], key[128];

    CHECK(mkdtemp(directory) != NULL);
    server_process_certificate(directory);
    snprintf(cert, sizeof(cert), "%s/cert.pem", directory);
    snprintf(key, sizeof(key), "%s/key.pem", directory);
    struct server_process sink = server_process_start_at_port(
        (const char *const[]){"smtp-sink", "-u", "nobody", "127.0.0.1:PORT", "64", NULL});
    struct server_process receiver =
        server_process_start((const char *const[]){"/usr/bin/python3", HERALD_TEST_SUPPORT "/http_script.py",
                                                   "--http2", "--cert", cert, "--key", key, NULL});
    snprintf(smtp, sizeof(smtp), "from = shop@shop.example\nurl = smtp://127.0.0.1:%d\nconnections = 4",
             sink.port);
    snprintf(http, sizeof(http),
             "type = http\nurl = https://localhost:%d/send\nconnections = 2\nstreams = 5\nca_file = %s",
             receiver.port, cert);
    for (int round = 0; round < ROUNDS; round++) {
        run_round(CHANNEL_EMAIL,
                  "type = null\nfrom = shop@shop.example\nconnections = 4\nbehaviour = ok:1ms");
        run_round(CHANNEL_EMAIL, smtp);
        run_round(CHANNEL_PUSH, http);
    }
    server_process_stop(&receiver);
    server_process_stop(&sink);
    remove(cert);
    remove(key);
    remove(directory);
    return 0;
}
