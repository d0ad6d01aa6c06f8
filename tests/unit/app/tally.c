/* tally.c - the promises of tally.h, and how exposition.h writes it down. */
#include "tally.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exposition.h"
#include "reason.h"

static struct config_source sources[] = {{.name = "orders"}, {.name = "returns"}};
static struct config_notification notifications[CONFIG_MAX_SECTIONS];
static struct config_provider providers[CONFIG_MAX_SECTIONS];
static char names[CONFIG_MAX_SECTIONS][8];
static struct config config = {.sources = sources,
                               .source_count = 2,
                               .notifications = notifications,
                               .notification_count = CONFIG_MAX_SECTIONS,
                               .providers = providers,
                               .provider_count = CONFIG_MAX_SECTIONS};
static struct tally *tally;
static struct vitals *vitals;

/* The tally holds the configuration by reference; ours is on nobody's heap. */
struct config *config_ref(struct config *ref)
{
    return ref;
}
void config_unref(struct config *ref)
{
    (void)ref;
}

static void begin(void)
{
    struct err err;
    for (size_t i = 0; i < CONFIG_MAX_SECTIONS; i++) {
        snprintf(names[i], sizeof names[i], "n%zu", i);
        notifications[i].name = providers[i].name = names[i];
    }
    cr_assert(tally_new(&config, &tally, &err));
    vitals = calloc(1, sizeof *vitals);
    vitals_init(vitals, 0, 0);
}

static void end(void)
{
    tally_free(tally);
    free(vitals);
}

TestSuite(tally, .init = begin, .fini = end);

static void line(const char *event, const char *source, const char *provider, const char *reason,
                 int64_t count)
{
    const struct log_field fields[] = {log_text(LOG_KEY_SOURCE, source), log_text(LOG_KEY_PROVIDER, provider),
                                       log_text(LOG_KEY_REASON, reason), log_int(LOG_KEY_COUNT, count),
                                       log_int(LOG_KEY_MS, 1500)};
    tally_line(tally, event, fields, sizeof fields / sizeof *fields);
}

static void expect_text(const char *wanted)
{
    struct buffer text;
    buffer_init(&text, EXPOSITION_MAX_BYTES);
    tally_copy(tally, &vitals->numbers);
    exposition_write(vitals, tally, 0, &text);
    buffer_char(&text, '\0');
    cr_assert_not(text.failed);
    cr_expect_not_null(strstr(text.data, wanted), "%s", wanted);
    buffer_done(&text);
}

Test(tally, a_line_counts_under_the_names_of_the_configuration)
{
    line("delivery.sent", "orders", "n1", NULL, 0);
    line("delivery.sent", "orders", "n1", NULL, 0);
    line("delivery.sent", "returns", "n1", NULL, 0);
    expect_text("# TYPE herald_deliveries_sent_total counter\n"
                "herald_deliveries_sent_total{source=\"orders\",provider=\"n1\"} 2\n"
                "herald_deliveries_sent_total{source=\"returns\",provider=\"n1\"} 1\n# HELP");
    expect_text("herald_log_events_total{event=\"delivery.sent\"} 3\n");
}

Test(tally, a_name_that_is_not_configured_is_other)
{
    line("delivery.sent", "evil\"} 1\n", "n999", NULL, 0);
    line("delivery.sent", "evil2", "n998", NULL, 0);
    expect_text("herald_deliveries_sent_total{source=\"other\",provider=\"other\"} 2\n");
}

Test(tally, a_name_that_was_configured_keeps_its_number)
{
    line("delivery.sent", "orders", "n1", NULL, 0);
    struct config next = config;
    next.source_count = 0;
    tally_reload(tally, &next);
    line("delivery.sent", "orders", "n1", NULL, 0);
    line("delivery.sent", "returns", "n1", NULL, 0);
    expect_text("herald_deliveries_sent_total{source=\"orders\",provider=\"n1\"} 2\n"
                "herald_deliveries_sent_total{source=\"other\",provider=\"n1\"} 1\n");
    tally_reload(tally, &config);
}

Test(tally, a_line_about_several_counts_them_and_a_gap_its_time)
{
    line("delivery.dead", NULL, NULL, "no lane", 7);
    line("delivery.dead", NULL, NULL, "no lane", 0);
    line("source.gap", "orders", NULL, NULL, 0);
    line("source.gap", "orders", NULL, NULL, 0);
    expect_text("herald_deliveries_dead_total{reason=\"no lane\"} 8\n");
    expect_text("herald_source_gaps_total{source=\"orders\"} 2\n");
    expect_text("herald_source_gap_seconds_total{source=\"orders\"} 3.000\n");
}

Test(tally, the_table_is_bounded_and_what_finds_no_place_is_counted)
{
    size_t more = 0;
    for (size_t i = 0; i < CONFIG_MAX_SECTIONS; i++)
        for (size_t j = 0; j < CONFIG_MAX_SECTIONS; j++) {
            const struct log_field fields[] = {log_text(LOG_KEY_NOTIFICATION, names[i]),
                                               log_text(LOG_KEY_PROVIDER, names[j])};
            tally_line(tally, "delivery.sent", fields, 2);
        }
    more = CONFIG_MAX_SECTIONS * CONFIG_MAX_SECTIONS + 1 -
           TALLY_MAX_SERIES; /* one place for herald_log_events_total */
    tally_copy(tally, &vitals->numbers);
    cr_expect_eq(vitals->numbers.series_count, TALLY_MAX_SERIES);
    cr_expect_eq(vitals->numbers.overflow, more);
    char text[64];
    snprintf(text, sizeof text, "herald_metrics_overflow_total %zu\n", more);
    expect_text(text); /* and all of it fits into EXPOSITION_MAX_BYTES */
}

Test(tally, a_duration_is_in_the_first_bucket_that_holds_it)
{
    tally_time(tally, TIMING_REDIS, "accept", 1000);
    tally_time(tally, TIMING_REDIS, "accept", 1001);
    tally_time(tally, TIMING_REDIS, "accept", INT64_C(400000000));
    tally_time(tally, TIMING_REDIS, "accept", -5);
    tally_time(tally, TIMING_WAIT, "accept", 1);
    expect_text("herald_redis_call_seconds_bucket{script=\"accept\",le=\"0.0005\"} 1\n"
                "herald_redis_call_seconds_bucket{script=\"accept\",le=\"0.001\"} 2\n"
                "herald_redis_call_seconds_bucket{script=\"accept\",le=\"0.0025\"} 3\n");
    expect_text("herald_redis_call_seconds_bucket{script=\"accept\",le=\"300\"} 3\n"
                "herald_redis_call_seconds_bucket{script=\"accept\",le=\"+Inf\"} 4\n"
                "herald_redis_call_seconds_sum{script=\"accept\"} 400.002001\n"
                "herald_redis_call_seconds_count{script=\"accept\"} 4\n");
    expect_text("herald_lane_wait_seconds_count{provider=\"accept\"} 1\n");
}

Test(tally, durations_are_bounded_too)
{
    for (int kind = 0; kind < TIMING_KINDS; kind++)
        for (size_t i = 0; i < CONFIG_MAX_SECTIONS; i++)
            tally_time(tally, (enum tally_kind)kind, names[i], 1);
    tally_copy(tally, &vitals->numbers);
    cr_expect_eq(vitals->numbers.timing_count, TALLY_MAX_TIMINGS);
    cr_expect_eq(vitals->numbers.overflow, TIMING_KINDS * CONFIG_MAX_SECTIONS - TALLY_MAX_TIMINGS);
}

Test(tally, a_reason_is_one_of_a_closed_list)
{
    static const struct {
        const char *text, *label;
    } rows[] = {
        {"smtp 550 at RCPT", "smtp 5xx"},
        {"smtp 421", "smtp 4xx"},
        {"smtp without a final reply", "smtp"},
        {"http 503", "http 5xx"},
        {"http without an answer", "http"},
        {"connect", "connect"},
        {"at byte 3: no", "json"},
        {"limited until 12345", "limited"},
        {"whatever they say", "other"},
        {"conn", "other"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_str_eq(reason_label(rows[i].text, strlen(rows[i].text)), rows[i].label, "%s", rows[i].text);
}
