/* null.c - what the null provider can be told, and that it does so. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

TestSuite(null, .init = init, .fini = done);

static void behave(const char *behaviour)
{
    char text[256];
    snprintf(text, sizeof(text), "type = null\nfrom = shop@shop.example\nbehaviour = %s", behaviour);
    lane_world_configure(&world, CHANNEL_EMAIL, NULL, text);
    lane_world_start(&world);
}

Test(null, each_word_is_its_outcome)
{
    static const struct {
        const char *word;
        enum outcome_class class;
    } rows[] = {
        {"ok", OUTCOME_SENT},
        {"temporary", OUTCOME_TEMPORARY},
        {"throttled", OUTCOME_THROTTLED},
        {"permanent", OUTCOME_PERMANENT},
        {"refused", OUTCOME_DESTINATION},
        {"unknown", OUTCOME_UNKNOWN},
    };
    char list[128] = "";
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i > 0 ? "," : "", rows[i].word);
    behave(list);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct delivery *delivery = lane_world_delivery(&world, CHANNEL_EMAIL, "ann@shop.example");
        delivery->attempt_number = (unsigned)i + 1;
        lane_world_push(&world, delivery);
        delivery = lane_world_wait(&world);
        outcome_classify(&delivery->attempt, &delivery->outcome);
        cr_expect_eq(delivery->outcome.class, rows[i].class, "%s: %s", rows[i].word,
                     delivery->outcome.reason);
        cr_expect_eq(delivery->attempt.protocol, ATTEMPT_LOCAL);
        lane_world_release(&world, delivery);
    }
}

Test(null, the_last_entry_serves_all_later_attempts)
{
    behave("temporary,ok");
    struct delivery *delivery = lane_world_delivery(&world, CHANNEL_EMAIL, "ann@shop.example");
    delivery->attempt_number = 9;
    lane_world_push(&world, delivery);
    delivery = lane_world_wait(&world);
    cr_expect_eq(delivery->attempt.code, 250);
    lane_world_release(&world, delivery);
}

Test(null, a_delay_is_kept)
{
    behave("ok:60ms");
    struct attempt attempt = lane_world_try(&world, CHANNEL_EMAIL, "ann@shop.example");
    cr_expect_geq(attempt.ended_mono_us - attempt.started_mono_us, 60000);
    cr_expect_eq(attempt.code, 250);
}

Test(null, a_hang_ends_when_the_lane_stops)
{
    behave("hang");
    lane_world_push(&world, lane_world_delivery(&world, CHANNEL_EMAIL, "ann@shop.example"));
    lane_stop(world.lane);
    struct delivery *delivery = lane_world_wait(&world);
    cr_expect_eq(delivery->attempt.abort, ABORT_STOPPED);
    lane_world_release(&world, delivery);
}

Test(null, a_hang_ends_with_the_lease)
{
    behave("hang");
    struct delivery *delivery = lane_world_delivery(&world, CHANNEL_EMAIL, "ann@shop.example");
    lane_world_push(&world, delivery);
    atomic_store(&delivery->lease_until_ms, 0);
    delivery = lane_world_wait(&world);
    cr_expect_eq(delivery->attempt.abort, ABORT_LEASE);
    cr_expect_not(delivery->attempt.is_committed);
    lane_world_release(&world, delivery);
}

Test(null, what_it_does_not_know_is_refused_by_check)
{
    static const char *const bad[] = {"",       "yes",         "ok,",    "ok:20",
                                      "ok:ms",  "ok:-1ms",     "okay",   "ok 20ms",
                                      "ok:20s", "ok:600001ms", "ok,,ok", "temporary,nothing"};
    static const char *const good[] = {"ok",   "ok:0ms",  "ok:600000ms", "temporary,temporary:5ms,ok",
                                       "hang", "hang:1ms"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct config_provider provider = {.name = "p", .type = PROVIDER_NULL, .behaviour = (char *)bad[i]};
        struct err err = {0};
        cr_expect_not(lane_check(&provider, &err), "%s", bad[i]);
        cr_expect_eq(err.kind, ERR_CONFIG);
        cr_expect(strncmp(err.text, "provider p: behaviour: '", 24) == 0, "%s", err.text);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct config_provider provider = {.name = "p", .type = PROVIDER_NULL, .behaviour = (char *)good[i]};
        struct err err = {0};
        cr_expect(lane_check(&provider, &err), "%s: %s", good[i], err.text);
    }
}
