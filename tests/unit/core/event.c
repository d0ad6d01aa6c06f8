/* event.c - the promises of event.h, and the corpus of events that go wrong: tests/fuzz/corpus/event, one
 * file per way, where fuzzers and the system tests find them too. EVENT_CORPUS is its directory. */
#include "herald/event.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herald/clock.h"

#define NOW_MS INT64_C(1767261600000) /* 2026-01-01T10:00:00Z */
#define DAY_MS INT64_C(86400000)

/* What the default source of the corpus says; a system test's source has to say the same. */
static const char *const volatile_members[] = {"confirmedAt", NULL};
static const struct event_rules open_rules = {
    .space = "order-confirmed", .volatile_members = volatile_members, .recipient_in_event = true};

static struct event event;
static struct err err;

static void tear_down(void)
{
    event_done(&event);
}

TestSuite(event, .fini = tear_down);

static bool read_with(const struct event_rules *rules, const char *text)
{
    event_done(&event);
    return event_read(text, strlen(text), rules, NOW_MS, &event, &err);
}

static void read_text(const char *text)
{
    cr_assert(read_with(&open_rules, text), "%s: %s", text, err.text);
}

/* Every file of the corpus, and what is said of it; NULL: it is accepted. */
static const struct corpus_row {
    const char *file, *complaint;
} corpus[] = {
    /* clang-format off */
    {"empty.bad", "at byte 0: expected a value"},
    {"only-white-space.bad", "at byte 4: expected a value"},
    {"plain-text.bad", "at byte 0: expected a value"},
    {"byte-order-mark.bad", "at byte 0: a byte-order mark is not allowed"},
    {"utf-16.bad", "at byte 1: expected a member name in quotes"},
    {"nul-bytes-only.bad", "at byte 0: expected a value"},
    {"root-is-array.bad", "expected an object, found another JSON value"},
    {"root-is-string.bad", "expected an object, found another JSON value"},
    {"root-is-number.bad", "expected an object, found another JSON value"},
    {"root-is-null.bad", "expected an object, found another JSON value"},
    {"truncated.bad", "at byte 29: expected the closing quote of a string"},
    {"truncated-before-brace.bad", "at byte 16: expected ',' or '}'"},
    {"second-value.bad", "at byte 17: expected nothing behind the value"},
    {"nul-behind.bad", "at byte 17: expected nothing behind the value"},
    {"trailing-comma.bad", "at byte 17: expected a member name in quotes"},
    {"comment.bad", "at byte 16: expected ',' or '}'"},
    {"single-quotes.bad", "at byte 1: expected a member name in quotes"},
    {"bare-name.bad", "at byte 1: expected a member name in quotes"},
    {"python-repr.bad", "at byte 24: expected a value"},
    {"nan.bad", "at byte 25: expected a value"},
    {"leading-zero.bad", "at byte 24: a number does not begin with 0"},
    {"redis-protocol.bad", "at byte 0: expected a value"},
    {"xml.bad", "at byte 0: expected a value"},
    {"base64.bad", "at byte 0: expected a value"},
    {"too-deep.bad", "at byte 52: nested too deeply"},
    {"unclosed-nesting.bad", "at byte 32: nested too deeply"},
    {"invalid-utf-8.bad", "at byte 14: invalid UTF-8"},
    {"latin-1.bad", "at byte 29: invalid UTF-8"},
    {"overlong-slash.bad", "at byte 14: invalid UTF-8"},
    {"overlong-nul.bad", "at byte 14: invalid UTF-8"},
    {"surrogate-in-utf-8.bad", "at byte 14: invalid UTF-8"},
    {"past-unicode.bad", "at byte 14: invalid UTF-8"},
    {"cut-utf-8.bad", "at byte 14: invalid UTF-8"},
    {"raw-nul.bad", "at byte 15: a control character has to be escaped"},
    {"escaped-nul.bad", "at byte 15: a NUL is not allowed"},
    {"escaped-nul-in-name.bad", "at byte 19: a NUL is not allowed"},
    {"escaped-nul-in-data.bad", "at byte 35: a NUL is not allowed"},
    {"raw-line-break.bad", "at byte 15: a control character has to be escaped"},
    {"lone-high-surrogate.bad", "at byte 22: a high surrogate without a low one"},
    {"lone-low-surrogate.bad", "at byte 22: a low surrogate without a high one"},
    {"swapped-surrogates.bad", "at byte 22: a low surrogate without a high one"},
    {"unknown-escape.bad", "at byte 23: expected one of \" \\ / b f n r t u behind a backslash"},
    {"duplicate-id.bad", "at byte 18: duplicate member name"},
    {"duplicate-id-escaped.bad", "at byte 18: duplicate member name"},
    {"duplicate-to.bad", "at byte 52: duplicate member name"},
    {"duplicate-in-nested.bad", "at byte 29: duplicate member name"},
    {"duplicate-email.bad", "at byte 51: duplicate member name"},
    {"id-is-null.bad", "orderId: expected a string or an integer"},
    {"id-is-true.bad", "orderId: expected a string or an integer"},
    {"id-is-fraction.bad", "orderId: expected a string or an integer"},
    {"id-is-exponent.bad", "orderId: expected a string or an integer"},
    {"id-is-array.bad", "orderId: expected a string or an integer"},
    {"id-is-object.bad", "orderId: expected a string or an integer"},
    {"id-is-empty.bad", "orderId: expected 1 to 128 bytes, found 0"},
    {"id-too-long.bad", "orderId: expected 1 to 128 bytes, found 129"},
    {"id-too-long-in-bytes.bad", "orderId: expected 1 to 128 bytes, found 130"},
    {"id-integer-too-long.bad", "orderId: expected 1 to 128 bytes, found 129"},
    {"id-with-line-break.bad", "orderId: byte 3: U+000D is a control character"},
    {"id-with-escape-sequence.bad", "orderId: byte 0: U+001B is a control character"},
    {"id-with-c1-control.bad", "orderId: byte 1: U+0085 is a control character"},
    {"id-with-delete.bad", "orderId: byte 1: U+007F is a control character"},
    {"event-id-wins-though-bad.bad", "eventId: expected a string or an integer"},
    {"user-id-is-null.bad", "userId: expected a string or an integer"},
    {"user-id-is-fraction.bad", "userId: expected a string or an integer"},
    {"user-id-is-empty.bad", "userId: expected 1 to 128 bytes, found 0"},
    {"user-id-too-long.bad", "userId: expected 1 to 128 bytes, found 129"},
    {"user-id-with-line-break.bad", "userId: byte 1: U+000A is a control character"},
    {"send-at-number.bad", "sendAt: expected a time such as \"2026-01-01T10:00:00Z\" (RFC 3339)"},
    {"send-at-null.bad", "sendAt: expected a time such as \"2026-01-01T10:00:00Z\" (RFC 3339)"},
    {"send-at-empty.bad", "sendAt: expected a time such as \"2026-01-01T10:00:00Z\" (RFC 3339)"},
    {"send-at-date-only.bad", "sendAt: expected a time such as \"2026-01-01T10:00:00Z\" (RFC 3339)"},
    {"send-at-no-zone.bad", "sendAt: expected a time such as \"2026-01-01T10:00:00Z\" (RFC 3339)"},
    {"send-at-thirtieth-of-february.bad", "sendAt: expected a time such as \"2026-01-01T10:00:00Z\" (RFC 3339)"},
    {"send-at-behind-garbage.bad", "sendAt: expected a time such as \"2026-01-01T10:00:00Z\" (RFC 3339)"},
    {"send-at-too-long.bad", "sendAt: expected a time such as \"2026-01-01T10:00:00Z\" (RFC 3339)"},
    {"send-at-too-far-ahead.bad", "sendAt: more than 366 days ahead"},
    {"expires-at-word.bad", "expiresAt: expected a time such as \"2026-01-01T10:00:00Z\" (RFC 3339)"},
    {"expires-at-too-far-ahead.bad", "expiresAt: more than 366 days ahead"},
    {"expires-before-send.bad", "expiresAt: before sendAt"},
    {"to-is-string.bad", "to: expected an object"},
    {"to-is-null.bad", "to: expected an object"},
    {"to-is-array.bad", "to: expected an object"},
    {"to-with-cc.bad", "to: at byte 51: expected email, name, locale or push"},
    {"email-smtp-injection.bad", "to.email: byte 5: 0x3e is not allowed in the domain"},
    {"email-line-break.bad", "to.email: byte 16: 0x0d is not allowed in the domain"},
    {"email-line-feed.bad", "to.email: byte 16: 0x0a is not allowed in the domain"},
    {"email-line-break-in-local.bad", "to.email: byte 3: 0x0d is not allowed in the part before '@'"},
    {"email-two.bad", "to.email: byte 16: 0x2c is not allowed in the domain"},
    {"email-two-by-space.bad", "to.email: byte 16: 0x20 is not allowed in the domain"},
    {"email-angle-brackets.bad", "to.email: byte 0: 0x3c is not allowed in the part before '@'"},
    {"email-with-name.bad", "to.email: byte 3: 0x20 is not allowed in the part before '@'"},
    {"email-parameter.bad", "to.email: byte 16: 0x20 is not allowed in the domain"},
    {"email-quoted-local.bad", "to.email: byte 0: 0x22 is not allowed in the part before '@'"},
    {"email-literal.bad", "to.email: byte 4: 0x5b is not allowed in the domain"},
    {"email-number-domain.bad", "to.email: byte 12: a domain can't end in a number"},
    {"email-two-at.bad", "to.email: byte 16: 0x40 is not allowed in the domain"},
    {"email-percent-route.bad", "to.email: byte 0: nothing before '@'"},
    {"email-no-at.bad", "to.email: byte 3: expected '@'"},
    {"email-empty.bad", "to.email: byte 0: expected '@'"},
    {"email-no-dot.bad", "to.email: byte 4: expected a domain with a dot in it"},
    {"email-dots.bad", "to.email: byte 4: a dot has to stand between two other characters"},
    {"email-long-local.bad", "to.email: byte 64: more than 64 bytes before '@'"},
    {"email-too-long.bad", "to.email: 308 bytes, at most 254 are allowed"},
    {"email-non-ascii-local.bad", "to.email: byte 4: 0xc3 is not allowed in the part before '@'"},
    {"email-ideographic-stop.bad", "to.email: byte 8: U+3002 is not allowed in the domain"},
    {"email-full-width-at.bad", "to.email: byte 8: U+FF20 is not allowed in the domain"},
    {"email-right-to-left.bad", "to.email: byte 4: U+202E is not allowed in the domain"},
    {"email-zero-width.bad", "to.email: byte 8: U+200B is not allowed in the domain"},
    {"email-is-array.bad", "to.email: expected a string"},
    {"name-header-injection.bad", "to.name: byte 3: U+000D is a control character"},
    {"name-tab.bad", "to.name: byte 3: U+0009 is a control character"},
    {"name-c1-next-line.bad", "to.name: byte 3: U+0085 is a control character"},
    {"name-too-long.bad", "to.name: 257 bytes, at most 256 are allowed"},
    {"locale-path.bad", "to.locale: byte 0: expected letters, digits and hyphens"},
    {"locale-encoding.bad", "to.locale: byte 5: expected letters, digits and hyphens"},
    {"locale-too-long.bad", "to.locale: 36 bytes, at most 35 are allowed"},
    {"push-is-object.bad", "to.push: expected an array"},
    {"push-of-strings.bad", "to.push[0]: expected an object"},
    {"push-without-provider.bad", "to.push[0].provider: expected a string"},
    {"push-provider-control.bad", "to.push[0].provider: byte 1: U+000A is a control character"},
    {"push-provider-too-long.bad", "to.push[0].provider: expected 1 to 64 bytes, found 65"},
    {"push-too-many.bad", "to.push: more than 16 devices"},
    {"push-device-too-large.bad", "to.push[0]: 5027 bytes, at most 4096 are allowed"},
    {"three-members.good", NULL},
    {"no-identity.good", NULL},
    {"integer-ids.good", NULL},
    {"huge-integer-id.good", NULL},
    {"negative-id.good", NULL},
    {"longest-id.good", NULL},
    {"id-of-every-printable.good", NULL},
    {"event-id-and-order-id.good", NULL},
    {"white-space-everywhere.good", NULL},
    {"escaped-names.good", NULL},
    {"times.good", NULL},
    {"epoch.good", NULL},
    {"traceparent.good", NULL},
    {"traceparent-malformed.good", NULL},
    {"to-whole.good", NULL},
    {"to-empty.good", NULL},
    {"to-idn.good", NULL},
    {"to-sixteen-devices.good", NULL},
    {"mustache-in-data.good", NULL},
    {"html-in-data.good", NULL},
    {"crlf-in-data.good", NULL},
    {"deepest.good", NULL},
    {"numbers.good", NULL},
    {"bidi-in-data.good", NULL},
    {"empty-name.good", NULL},
    {"format-string.good", NULL},
    {"prototype-names.good", NULL},
    /* clang-format on */
};

#define CORPUS_ROWS (sizeof(corpus) / sizeof(corpus[0]))

/* Exactly the file on the heap, so that a sanitizer sees a byte read too many. */
static char *load(const char *name, size_t *ret_len)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", EVENT_CORPUS, name);
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s", path);
    char *bytes = malloc(EVENT_MAX_BYTES + 1);
    *ret_len = fread(bytes, 1, EVENT_MAX_BYTES + 1, file);
    fclose(file);
    return realloc(bytes, *ret_len > 0 ? *ret_len : 1);
}

static void replay(const struct corpus_row *row)
{
    size_t len;
    char *bytes = load(row->file, &len);
    struct event read = {.id = "untouched"};

    err = (struct err){0};
    bool is_read = event_read(bytes, len, &open_rules, NOW_MS, &read, &err);
    cr_expect_eq(is_read, row->complaint == NULL, "%s: %s", row->file, err.text);
    if (!is_read) {
        cr_expect_eq(err.kind, ERR_INPUT, "%s", row->file);
        cr_expect_str_eq(err.text, row->complaint ? row->complaint : "", "%s: %s", row->file, err.text);
        cr_expect_str_eq(read.id, "untouched", "%s", row->file);
    } else {
        cr_expect_eq(strlen(read.eid), EVENT_EID_CHARS, "%s", row->file);
        cr_expect_eq(strlen(read.content), EVENT_EID_CHARS, "%s", row->file);
        event_done(&read);
    }
    free(bytes);
}

Test(event, each_way_of_being_wrong_is_refused_with_its_own_complaint)
{
    for (size_t i = 0; i < CORPUS_ROWS; i++)
        replay(&corpus[i]);
}

Test(event, a_file_name_in_the_corpus_says_whether_it_is_accepted)
{
    for (size_t i = 0; i < CORPUS_ROWS; i++) {
        const char *ending = strrchr(corpus[i].file, '.');
        cr_expect_str_eq(ending, corpus[i].complaint ? ".bad" : ".good", "%s", corpus[i].file);
    }
}

static bool is_listed(const char *file)
{
    for (size_t i = 0; i < CORPUS_ROWS; i++)
        if (strcmp(corpus[i].file, file) == 0)
            return true;
    return false;
}

Test(event, no_file_of_the_corpus_is_forgotten)
{
    DIR *directory = opendir(EVENT_CORPUS);
    cr_assert_not_null(directory);
    for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory))
        if (entry->d_name[0] != '.')
            cr_expect(is_listed(entry->d_name), "%s has no row", entry->d_name);
    closedir(directory);
}

Test(event, every_beginning_of_an_event_is_refused)
{
    size_t len;
    char *bytes = load("to-whole.good", &len);

    for (size_t cut = 0; cut < len; cut++) {
        char *exact = malloc(cut > 0 ? cut : 1);
        memcpy(exact, bytes, cut);
        cr_expect_not(event_read(exact, cut, &open_rules, NOW_MS, &event, &err), "%zu", cut);
        free(exact);
    }
    free(bytes);
}

Test(event, an_event_larger_than_allowed_is_refused)
{
    char *bytes = malloc(EVENT_MAX_BYTES + 1);
    memset(bytes, ' ', EVENT_MAX_BYTES + 1);
    memcpy(bytes, "{}", 2);
    cr_expect(event_read(bytes, EVENT_MAX_BYTES, &open_rules, NOW_MS, &event, &err));
    event_done(&event);
    cr_expect_not(event_read(bytes, EVENT_MAX_BYTES + 1, &open_rules, NOW_MS, &event, &err));
    cr_expect_str_eq(err.text, "at byte 262144: too large: 262145 bytes");
    free(bytes);
}

Test(event, the_three_members_that_shops_publish_are_read)
{
    read_text("{\"orderId\":\"o-1001\",\"userId\":\"u-7\",\"confirmedAt\":\"2026-01-01T10:00:00Z\"}");
    cr_assert_str_eq(event.id, "o-1001");
    cr_assert_str_eq(event.user_id, "u-7");
    cr_assert_eq(event.send_at_ms, 0);
    cr_assert_eq(event.expires_at_ms, 0);
    cr_assert_str_eq(event.traceparent, "");
    cr_assert_not(event.has_to);
}

Test(event, the_hashes_are_the_same_on_every_machine_and_in_every_version)
{
    /* SHA-256 over (length, space, length, id), and over {"orderId":"o-1001","userId":"u-7"}; computed
     * independently. */
    read_text("{\"userId\":\"u-7\", \"orderId\":\"o-1001\",\"confirmedAt\":\"2026-01-01T10:00:00Z\"}");
    cr_assert_str_eq(event.eid, "de9daab6dd4d527569dfa253");
    cr_assert_str_eq(event.content, "e28ba8ac0d1213b87865a58c");
}

Test(event, the_eid_depends_on_space_and_id_alone)
{
    char eid[EVENT_EID_CHARS + 1], other[EVENT_EID_CHARS + 1];
    struct event_rules rules = open_rules;

    event_eid("order-confirmed", "o-1", eid);
    read_text("{\"orderId\":\"o-1\",\"total\":1}");
    cr_expect_str_eq(event.eid, eid);
    read_text("{\"orderId\":\"o-1\",\"total\":2}");
    cr_expect_str_eq(event.eid, eid);
    rules.space = "order-shipped";
    cr_assert(read_with(&rules, "{\"orderId\":\"o-1\"}"));
    cr_expect_str_neq(event.eid, eid);
    event_eid("order-confirmedo", "-1", other);
    cr_expect_str_neq(other, eid);
}

Test(event, an_integer_id_is_its_decimal_text)
{
    char eid[EVENT_EID_CHARS + 1];

    event_eid("order-confirmed", "1001", eid);
    read_text("{\"orderId\":1001,\"userId\":-7}");
    cr_assert_str_eq(event.id, "1001");
    cr_assert_str_eq(event.user_id, "-7");
    cr_assert_str_eq(event.eid, eid);
    read_text("{\"orderId\":123456789012345678901234567890}");
    cr_assert_str_eq(event.id, "123456789012345678901234567890");
}

Test(event, the_id_is_the_source_s_member_else_event_id_else_order_id)
{
    struct event_rules rules = open_rules;

    read_text("{\"eventId\":\"e-1\",\"orderId\":\"o-1\"}");
    cr_expect_str_eq(event.id, "e-1");
    read_text("{\"orderId\":\"o-1\",\"id\":\"i-1\"}");
    cr_expect_str_eq(event.id, "o-1");
    rules.id_member = "id";
    cr_assert(read_with(&rules, "{\"eventId\":\"e-1\",\"orderId\":\"o-1\",\"id\":\"i-1\"}"));
    cr_expect_str_eq(event.id, "i-1");
    cr_assert_not(read_with(&rules, "{\"eventId\":\"e-1\",\"orderId\":\"o-1\"}"));
    cr_expect_str_eq(err.text, "id: missing; this source's events are known by it");
}

Test(event, without_an_id_the_content_is_the_identity)
{
    char first[EVENT_EID_CHARS + 1];

    read_text("{\"a\":1,\"b\":2,\"confirmedAt\":\"2026-01-01T10:00:00Z\"}");
    cr_assert_str_eq(event.id, "");
    memcpy(first, event.eid, sizeof(first));
    read_text("{\"b\":2,\"a\":1}");
    cr_assert_str_eq(event.eid, first);
    read_text("{\"b\":2,\"a\":2}");
    cr_assert_str_neq(event.eid, first);
    struct event_rules rules = open_rules;
    rules.space = "other";
    cr_assert(read_with(&rules, "{\"b\":2,\"a\":1}"));
    cr_assert_str_neq(event.eid, first);
}

Test(event, what_means_the_same_has_the_same_content)
{
    static const char *const same[] = {
        "{\"orderId\":\"o-1\",\"total\":1.50,\"items\":[1,2]}",
        " { \"items\" : [ 1, 2 ], \"total\" : 1.50, \"order\\u0049d\" : \"o\\u002d1\" } ",
        "{\"orderId\":\"o-1\",\"total\":1.50,\"items\":[1,2],\"confirmedAt\":\"2026-01-01T10:00:00Z\"}",
        "{\"orderId\":\"o-1\",\"total\":1.50,\"items\":[1,2],\"confirmedAt\":{\"any\":\"thing\"}}",
        "{\"orderId\":\"o-1\",\"total\":1.50,\"items\":[1,2],\"traceparent\":\"x\"}",
    };
    static const char *const other[] = {
        "{\"orderId\":\"o-1\",\"total\":1.5,\"items\":[1,2]}",
        "{\"orderId\":\"o-1\",\"total\":1.50,\"items\":[2,1]}",
        "{\"orderId\":\"o-1\",\"total\":1.50}",
        "{\"orderId\":\"o-1\",\"total\":\"1.50\",\"items\":[1,2]}",
        "{\"orderId\":\"o-1\",\"total\":1.50,\"items\":[1,2],\"userId\":\"u-7\"}",
        "{\"orderId\":\"o-1\",\"total\":1.50,\"items\":[1,2,{\"confirmedAt\":1}]}",
        "{\"orderId\":\"o-1\",\"total\":1.50,\"items\":[1,2],\"sendAt\":\"2025-01-01T00:00:00Z\"}",
    };
    char content[EVENT_EID_CHARS + 1];

    read_text(same[0]);
    memcpy(content, event.content, sizeof(content));
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        read_text(same[i]);
        cr_expect_str_eq(event.content, content, "row %zu", i);
    }
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        read_text(other[i]);
        cr_expect_str_neq(event.content, content, "row %zu", i);
    }
}

Test(event, as_many_volatile_members_as_allowed_are_left_out)
{
    const char *names[EVENT_MAX_VOLATILE + 1] = {NULL};
    char storage[EVENT_MAX_VOLATILE][16], content[EVENT_EID_CHARS + 1];
    struct event_rules rules = {.space = "s", .volatile_members = names};

    for (int i = 0; i < EVENT_MAX_VOLATILE; i++) {
        snprintf(storage[i], sizeof(storage[i]), "v%d", i);
        names[i] = storage[i];
    }
    cr_assert(read_with(&rules, "{\"a\":1}"));
    memcpy(content, event.content, sizeof(content));
    cr_assert(read_with(&rules, "{\"v31\":0,\"v0\":1,\"a\":1,\"traceparent\":2}"));
    cr_assert_str_eq(event.content, content);
}

Test(event, a_source_may_have_no_volatile_members)
{
    struct event_rules rules = {.space = "s"};
    char content[EVENT_EID_CHARS + 1];

    cr_assert(read_with(&rules, "{\"confirmedAt\":1}"));
    memcpy(content, event.content, sizeof(content));
    cr_assert(read_with(&rules, "{\"confirmedAt\":2}"));
    cr_assert_str_neq(event.content, content);
}

Test(event, times_are_read_and_bounded)
{
    read_text("{\"sendAt\":\"2026-01-01T12:00:00.250+01:00\",\"expiresAt\":\"2026-01-02T10:00:00Z\"}");
    cr_expect_eq(event.send_at_ms, NOW_MS + 3600250);
    cr_expect_eq(event.expires_at_ms, NOW_MS + DAY_MS);
    /* 366 days ahead, and not a second more */
    read_text("{\"sendAt\":\"2027-01-02T10:00:00Z\"}");
    cr_expect_eq(event.send_at_ms, NOW_MS + EVENT_SEND_AT_MAX_MS);
    cr_expect_not(read_with(&open_rules, "{\"sendAt\":\"2027-01-02T10:00:01Z\"}"));
    cr_expect_not(read_with(&open_rules, "{\"expiresAt\":\"2027-01-02T10:00:01Z\"}"));
    /* equal is not before */
    read_text("{\"sendAt\":\"2026-01-02T10:00:00Z\",\"expiresAt\":\"2026-01-02T11:00:00+01:00\"}");
    /* escapes are text like any other */
    read_text("{\"sendAt\":\"2026\\u002d01-01T10:00:00Z\"}");
    cr_expect_eq(event.send_at_ms, NOW_MS);
}

Test(event, what_expired_at_the_epoch_does_not_live_for_ever)
{
    read_text("{\"expiresAt\":\"1970-01-01T00:00:00Z\"}");
    cr_assert_eq(event.expires_at_ms, 1);
}

Test(event, only_a_well_formed_traceparent_is_kept)
{
    static const char *const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    static const char *const bad[] = {
        "\"\"",
        "1",
        "null",
        "[]",
        "\"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\"",
        "\"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01\"",
        "\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0\"",
        "\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011\"",
        "\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g\"",
        "\"00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01\"",
        "\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01\"",
        "\"00-00000000000000000000000000000000-b7ad6b7169203331-01\"",
        "\"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01\"",
        "\"00-0af7651916cd43dd8448eb211c80319\\n-b7ad6b7169203331-01\"",
        "\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333\\r-01\"",
    };
    char text[256];

    snprintf(text, sizeof(text), "{\"orderId\":\"o-1\",\"traceparent\":\"%s\"}", good);
    read_text(text);
    cr_expect_str_eq(event.traceparent, good);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), "{\"orderId\":\"o-1\",\"traceparent\":%s}", bad[i]);
        read_text(text);
        cr_expect_str_eq(event.traceparent, "", "%s", bad[i]);
    }
}

Test(event, a_recipient_in_the_event_is_taken_only_where_the_source_allows_it)
{
    struct event_rules rules = open_rules;
    const char *text = "{\"orderId\":\"o-1\",\"to\":{\"email\":\"ann@shop.example\"}}";

    read_text(text);
    cr_expect(event.has_to);
    cr_expect_str_eq(event.to.email, "ann@shop.example");
    rules.recipient_in_event = false;
    cr_expect_not(read_with(&rules, text));
    cr_expect_str_eq(err.text, "to: this source does not allow a recipient in the event");
    cr_expect_not(read_with(&rules, "{\"orderId\":\"o-1\",\"to\":null}"));
    cr_expect(read_with(&rules, "{\"orderId\":\"o-1\",\"data\":{\"to\":{\"email\":\"x\"}}}"));
    cr_expect_not(event.has_to);
}

Test(event, a_complaint_does_not_repeat_the_event)
{
    static const char *const rows[] = {"{\"orderId\":\"secret\\n\"}",
                                       "{\"secret\":1,\"secret\":2}",
                                       "{\"orderId\":\"o\",\"sendAt\":\"secret\"}",
                                       "{\"orderId\":\"o\",\"to\":{\"email\":\"secret@secret@x\"}}",
                                       "{\"orderId\":\"o\",\"to\":{\"secret\":1}}",
                                       "{\"orderId\":\"o\",\"to\":{\"locale\":\"secret!\"}}",
                                       "secret"};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_expect_not(read_with(&open_rules, rows[i]), "%s", rows[i]);
        cr_expect_null(strstr(err.text, "secret"), "%s", err.text);
    }
}

/* The loop reads every event itself: the bound is far above what it takes (milliseconds) and far below what
 * is quadratic (seconds). */
Test(event, the_worst_event_for_its_size_does_not_stall_the_loop)
{
    struct buffer text;
    const char *names[EVENT_MAX_VOLATILE + 1] = {NULL};
    struct event_rules rules = {.space = "s", .volatile_members = names};

    for (int i = 0; i < EVENT_MAX_VOLATILE; i++)
        names[i] = "nnnnnn-";
    buffer_init(&text, EVENT_MAX_BYTES);
    buffer_char(&text, '{');
    for (int i = 0; text.len < EVENT_MAX_BYTES - 20; i++)
        buffer_printf(&text, "\"nnnnnn%05d\":1,", i * 7919 % 99991);
    buffer_text(&text, "\"\":1}");
    int64_t start = clock_mono_us();
    cr_expect(event_read(text.data, text.len, &rules, NOW_MS, &event, &err), "%s", err.text);
    int64_t took = clock_mono_us() - start;
    cr_expect_lt(took, 500000, "%lld us", (long long)took);
    buffer_done(&text);
}
