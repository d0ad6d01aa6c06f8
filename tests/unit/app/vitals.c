/* vitals.c - the promises of vitals.h. */
#include "vitals.h"

#include <criterion/criterion.h>
#include <string.h>

#define NOW INT64_C(1000000)

static struct vitals said(int64_t oldest, bool is_taking)
{
    struct vitals vitals;
    struct counters counters = {.received = 7, .sent = 3, .gaps = UINT64_MAX};
    vitals_init(&vitals, 10000, NOW - 60000);
    vitals_say(&vitals, &counters, NOW, oldest, is_taking);
    return vitals;
}

Test(vitals, a_loop_that_has_not_turned_for_half_the_watchdogs_time_is_not_alive)
{
    struct vitals vitals = said(INT64_MAX, true);
    cr_expect(vitals_is_alive(&vitals, NOW + 4999));
    cr_expect(vitals_is_ready(&vitals, NOW + 4999));
    cr_expect_not(vitals_is_alive(&vitals, NOW + 5000));
    cr_expect_not(vitals_is_ready(&vitals, NOW + 5000));
}

Test(vitals, a_busy_lane_that_shows_no_life_is_not_alive)
{
    struct vitals vitals = said(NOW - 4999, true);
    cr_expect(vitals_is_alive(&vitals, NOW));
    vitals = said(NOW - 5000, true);
    cr_expect_not(vitals_is_alive(&vitals, NOW));
}

Test(vitals, who_takes_no_events_is_alive_and_not_ready)
{
    struct vitals vitals = said(INT64_MAX, false);
    cr_expect(vitals_is_alive(&vitals, NOW));
    cr_expect_not(vitals_is_ready(&vitals, NOW));
}

Test(vitals, without_a_manager_the_limit_is_that_of_our_unit_and_nothing_is_ready_yet)
{
    struct vitals vitals;
    vitals_init(&vitals, 0, NOW);
    cr_expect(vitals_is_alive(&vitals, NOW + VITALS_WATCHDOG_MS / 2 - 1));
    cr_expect_not(vitals_is_alive(&vitals, NOW + VITALS_WATCHDOG_MS / 2));
    cr_expect_not(vitals_is_ready(&vitals, NOW));
}

Test(vitals, each_family_has_its_help_and_type_and_its_own_number)
{
    struct vitals vitals = said(INT64_MAX, true);
    struct buffer text;
    buffer_init(&text, 65536);
    vitals_write(&vitals, NOW, &text);
    buffer_char(&text, '\0');
    cr_assert_not(text.failed);
    static const char *const wanted[] = {
        "# HELP herald_events_received_total Events taken from all sources.\n"
        "# TYPE herald_events_received_total counter\nherald_events_received_total 7\n",
        "\nherald_deliveries_sent_total 3\n",
        "\nherald_deliveries_dead_total 0\n",
        "\nherald_source_gaps_total 18446744073709551615\n",
        "\nherald_alive 1\n",
        "\nherald_ready 1\n",
        "\n# TYPE herald_build_info gauge\nherald_build_info{version=\"" HERALD_VERSION "\"} 1\n",
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        cr_expect_not_null(strstr(text.data, wanted[i]), "%s", wanted[i]);
    buffer_done(&text);
}
