/* lane.c - what lane.h and commit.h promise the loop, shown on lanes of the null provider. */
#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "herald/clock.h"
#include "lane_world.h"

static struct lane_world world;

static void init(void)
{
    lane_world_init(&world);
}

static void done(void)
{
    lane_world_done(&world);
}

TestSuite(lane, .init = init, .fini = done);

static void start(const char *provider)
{
    char text[512];
    snprintf(text, sizeof(text), "type = null\nfrom = shop@shop.example\n%s", provider);
    lane_world_configure(&world, CHANNEL_EMAIL, NULL, text);
    lane_world_start(&world);
}

static struct delivery *mail(void)
{
    return lane_world_delivery(&world, CHANNEL_EMAIL, "ann@shop.example");
}

Test(lane, a_delivery_comes_back_as_the_same_object_with_its_times)
{
    start("behaviour = ok:5ms");
    struct delivery *sent = mail();
    int64_t before_us = clock_mono_us();
    lane_world_push(&world, sent);
    struct delivery *back = lane_world_wait(&world);
    cr_expect_eq(back, sent);
    cr_expect_geq(back->attempt.started_mono_us, before_us);
    cr_expect_geq(back->attempt.first_byte_mono_us, back->attempt.started_mono_us + 5000);
    cr_expect_geq(back->attempt.ended_mono_us, back->attempt.first_byte_mono_us);
    lane_world_release(&world, back);
}

Test(lane, capacity_is_four_per_slot_and_bounded)
{
    start("connections = 3");
    cr_expect_eq(lane_slots(world.lane), 3);
    cr_expect_eq(lane_capacity(world.lane), 12);
}

Test(lane, giving_back_returns_what_no_thread_has_begun)
{
    start("behaviour = hang");
    struct delivery *deliveries[4];
    for (int i = 0; i < 4; i++)
        lane_world_push(&world, deliveries[i] = mail());
    while (lane_running(world.lane) == 0) /* until the first is begun */
        poll(NULL, 0, 1);
    lane_give_back(world.lane);
    for (int i = 1; i < 4; i++) {
        struct delivery *back = lane_world_wait(&world);
        cr_expect_eq(back, deliveries[i]);
        cr_expect_eq(back->attempt.abort, ABORT_STOPPED);
        cr_expect_not(back->attempt.is_committed);
        lane_world_release(&world, back);
    }
    lane_stop(world.lane);
    lane_world_release(&world, lane_world_wait(&world));
}

Test(lane, stopping_finishes_what_is_queued)
{
    start("behaviour = ok:1ms");
    for (int i = 0; i < 4; i++)
        lane_world_push(&world, mail());
    lane_stop(world.lane);
    for (int i = 0; i < 4; i++) {
        struct delivery *back = lane_world_wait(&world);
        cr_expect_eq(back->attempt.code, 250);
        lane_world_release(&world, back);
    }
}

Test(lane, a_delivery_whose_lease_is_over_is_not_begun)
{
    start("behaviour = hang");
    struct delivery *late = mail();
    late->notification = "gone";                               /* which beginning it would find out */
    atomic_store(&late->lease_until_ms, clock_mono_ms() + 50); /* less than the margin of 100 ms */
    lane_world_push(&world, late);
    struct delivery *back = lane_world_wait(&world);
    cr_expect_eq(back->attempt.abort, ABORT_LEASE);
    lane_world_release(&world, back);
}

Test(lane, a_new_epoch_releases_what_is_not_committed)
{
    start("behaviour = ok:10000ms");
    lane_world_push(&world, mail());
    atomic_fetch_add(&world.gate.epoch, 1);
    struct delivery *back = lane_world_wait(&world);
    cr_expect_eq(back->attempt.abort, ABORT_LEASE);
    cr_expect_not(back->attempt.is_committed);
    lane_world_release(&world, back);
}

Test(lane, a_closed_gate_releases_what_is_not_committed)
{
    start("behaviour = ok:10000ms");
    lane_world_push(&world, mail());
    atomic_store(&world.gate.is_closed, true);
    struct delivery *back = lane_world_wait(&world);
    cr_expect_eq(back->attempt.abort, ABORT_LEASE);
    lane_world_release(&world, back);
}

Test(lane, a_busy_thread_keeps_giving_signs_and_an_idle_one_says_for_how_long_it_waits)
{
    start("behaviour = ok:400ms");
    int64_t begun_ms = clock_mono_ms();
    int64_t deadline_ms = begun_ms + 10000;
    while (lane_oldest_progress_ms(world.lane) < begun_ms + LANE_IDLE_BEAT_MS / 2 &&
           clock_mono_ms() < deadline_ms)
        poll(NULL, 0, 1);
    cr_expect_geq(lane_oldest_progress_ms(world.lane), begun_ms + LANE_IDLE_BEAT_MS / 2);
    cr_expect_leq(lane_oldest_progress_ms(world.lane), clock_mono_ms() + LANE_IDLE_BEAT_MS);
    cr_expect_eq(lane_running(world.lane), 0);

    int64_t pushed_ms = clock_mono_ms();
    lane_world_push(&world, mail());
    while (lane_running(world.lane) == 0)
        poll(NULL, 0, 1);
    bool is_sign_seen = false;
    while (lane_running(world.lane) > 0) {
        int64_t at_ms = lane_oldest_progress_ms(world.lane);
        is_sign_seen = is_sign_seen || (at_ms >= pushed_ms + 200 && at_ms <= clock_mono_ms());
    }
    cr_expect(is_sign_seen);
    lane_world_release(&world, lane_world_wait(&world));
    while (lane_oldest_progress_ms(world.lane) <= clock_mono_ms() && clock_mono_ms() < deadline_ms)
        poll(NULL, 0, 1);
    cr_expect_gt(lane_oldest_progress_ms(world.lane), clock_mono_ms());
}

/* Until so late nothing had come for one beat; an idle thread has to have said again that it lives. */
Test(lane, an_idle_thread_says_again_that_it_lives)
{
    start("behaviour = ok");
    int64_t started_ms = clock_mono_ms();
    int64_t deadline_ms = started_ms + 3 * LANE_IDLE_BEAT_MS;
    while (lane_oldest_progress_ms(world.lane) < started_ms + 3 * LANE_IDLE_BEAT_MS / 2 &&
           clock_mono_ms() < deadline_ms)
        poll(NULL, 0, 50);
    cr_expect_geq(lane_oldest_progress_ms(world.lane), started_ms + 3 * LANE_IDLE_BEAT_MS / 2);
}

/* The blocked signals of the thread that bears the name, as /proc shows them. */
static bool find_blocked(const char *name, unsigned long long *ret)
{
    for (int id = getpid(); id < getpid() + 4096; id++) {
        char path[64], line[256], comm[64] = "";
        bool is_found = false;
        snprintf(path, sizeof(path), "/proc/self/task/%d/status", id);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            continue;
        while (fgets(line, sizeof(line), file) != NULL) {
            sscanf(line, "Name: %63s", comm);
            is_found = is_found || (sscanf(line, "SigBlk: %llx", ret) == 1 && strcmp(comm, name) == 0);
        }
        fclose(file);
        if (is_found)
            return true;
    }
    return false;
}

Test(lane, its_threads_bear_its_name_and_have_all_signals_blocked)
{
    unsigned long long mask = 0;
    sigset_t none;

    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL); /* inherited would prove nothing */
    start("behaviour = ok");
    lane_world_try(&world, CHANNEL_EMAIL,
                   "ann@shop.example"); /* before it runs, a thread has all blocked by the C library */
    cr_assert(find_blocked("lane-p", &mask));
    for (size_t i = 0; i < 4; i++) {
        int number = (const int[]){SIGTERM, SIGHUP, SIGINT, SIGPIPE}[i];
        cr_expect(mask & 1ULL << (number - 1), "signal %d", number);
    }
}

Test(lane, content_that_is_not_there_and_data_that_fails_are_told_apart)
{
    start("behaviour = ok");
    struct delivery *delivery = mail();
    delivery->notification = "gone";
    lane_world_push(&world, delivery);
    delivery = lane_world_wait(&world);
    cr_expect_eq(delivery->attempt.abort, ABORT_CONTENT);
    cr_expect(strstr(delivery->attempt.reply, "gone") != NULL, "%s", delivery->attempt.reply);
    lane_world_release(&world, delivery);

    delivery = mail();
    delivery->event = "[]";
    delivery->event_len = 2;
    lane_world_push(&world, delivery);
    delivery = lane_world_wait(&world);
    cr_expect_eq(delivery->attempt.abort, ABORT_RENDER);
    cr_expect(delivery->attempt.reply[0] != '\0');
    lane_world_release(&world, delivery);
}

Test(lane, check_names_the_provider_and_what_is_wrong)
{
    static const struct {
        struct config_provider provider;
        const char *complaint;
    } rows[] = {
        {{.type = PROVIDER_SMTP}, "provider p: url: missing"},
        {{.type = PROVIDER_SMTP, .url = "https://mx.example"}, "expected smtp:// or smtps://"},
        {{.type = PROVIDER_SMTP, .url = "smtp://mx.example/path"}, "a mail server's has no path"},
        {{.type = PROVIDER_SMTP, .url = "smtp://ann:secret@mx.example"},
         "url: credentials don't belong there"},
        {{.type = PROVIDER_SMTP, .url = "smtp://mx.example", .hello = "a\r\nRSET"}, "expected a host name"},
        {{.type = PROVIDER_SMTP, .url = "smtp://mx.example", .ca_file = "/nowhere/ca.pem"},
         "ca_file: /nowhere/ca.pem"},
        {{.type = PROVIDER_HTTP, .url = "ftp://mx.example"}, "expected https:// or http://"},
        {{.type = PROVIDER_HTTP, .url = "not a url"}, "url: "},
        {{.type = PROVIDER_HTTP, .url = "https://ann@push.example/x"}, "url: credentials don't belong there"},
        {{.type = PROVIDER_MAILDIR}, "path: missing"},
        {{.type = PROVIDER_MAILDIR, .path = "/dev/null"}, "/dev/null: not a directory"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct config_provider provider = rows[i].provider;
        struct err err = {0};
        provider.name = "p";
        cr_expect_not(lane_check(&provider, &err), "row %zu", i);
        cr_expect_eq(err.kind, ERR_CONFIG);
        cr_expect(strstr(err.text, rows[i].complaint) != NULL, "%s", err.text);
        cr_expect(strstr(err.text, "secret") == NULL, "%s", err.text);
    }
    struct config_provider good = {
        .name = "p", .type = PROVIDER_SMTP, .url = "smtps://[::1]:465/", .hello = "shop.example"};
    struct err err = {0};
    cr_expect(lane_check(&good, &err), "%s", err.text);
}
