/* expect.h - what an attempt has to be judged as. */
#ifndef HERALD_TESTS_SEND_EXPECT_H
#define HERALD_TESTS_SEND_EXPECT_H

#include <criterion/criterion.h>

#include "herald/outcome.h"

static inline void expect_class_at(int line, struct attempt attempt, enum outcome_class expected)
{
    struct outcome outcome;

    outcome_classify(&attempt, &outcome);
    cr_expect_eq(outcome.class, expected, "line %d: %s (%s): abort %d, transport %d, code %d at stage %d, %s",
                 line, outcome_class_name(outcome.class), outcome.reason, attempt.abort, attempt.transport,
                 attempt.code, attempt.stage, attempt.reply);
}

#define EXPECT_CLASS(attempt, expected) expect_class_at(__LINE__, (attempt), (expected))

#endif
