/* delivery.c - the promises of delivery.h: the payload's way to Redis and back. */
#include "herald/delivery.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define EID "0123456789abcdef01234567"
#define DEVICE "{\"provider\":\"apns\",\"token\":\"t\"}"
#define TRACEPARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define EVENT                                                                                                \
    "{\"orderId\":\"o-1\",\n\"note\":\"two\nlines\"}" /* raw line breaks: the event is the rest, whatever is \
                                                         in it */

/* Of (channel, userId), and of (channel, address), as the protocol defines them; computed independently. */
#define SCOPE_EMAIL "53b28cd42ed1a253"
#define SCOPE_PUSH "73826995be011f82"
#define SCOPE_WEBHOOK "3d1032cf6b26fc53"
#define SCOPE_ADDRESS "7d963cafff8c7dad"
#define SCOPE_DEVICE "2a4db5ca6d3bb82f"
#define SCOPE_NOBODY "63ca88da6ab7e5a1"

static struct event event;
static struct payload_target targets[3];
static struct payload payload;
static struct buffer buffer;
static struct delivery *delivery;
static struct err err;

static void set_up(void)
{
    event = (struct event){
        .id = "o-1", .user_id = "u-7", .send_at_ms = 11, .expires_at_ms = 22, .traceparent = TRACEPARENT};
    targets[0] =
        (struct payload_target){.channel = CHANNEL_EMAIL, .provider = "mail", .email = "ann@shop.example"};
    targets[1] = (struct payload_target){.channel = CHANNEL_PUSH, .provider = "apns", .device = DEVICE};
    targets[2] = (struct payload_target){.channel = CHANNEL_WEBHOOK, .provider = "hook"};
    payload = (struct payload){.notification = "order-confirmed",
                               .source = "orders",
                               .event = &event,
                               .name = "Ann \"\xC3\x89\"",
                               .locale = "pt-BR",
                               .targets = targets,
                               .target_count = 3,
                               .bytes = EVENT,
                               .bytes_len = strlen(EVENT)};
    buffer_init(&buffer, 1 << 20);
}

static void tear_down(void)
{
    buffer_done(&buffer);
    delivery_free(delivery);
    delivery = NULL;
}

TestSuite(delivery, .init = set_up, .fini = tear_down);

static bool read_text(const char *text, unsigned ordinal)
{
    delivery_free(delivery);
    delivery = NULL;
    /* Exactly the bytes on the heap, so that a sanitizer sees one read too many. */
    size_t len = strlen(text);
    char *exact = malloc(len > 0 ? len : 1);
    memcpy(exact, text, len);
    bool is_read = delivery_from_payload(exact, len, EID, ordinal, &delivery, &err);
    free(exact);
    return is_read;
}

static void read_back(unsigned ordinal)
{
    buffer_reset(&buffer);
    payload_write(&payload, &buffer);
    cr_assert_not(buffer.failed);
    cr_assert(read_text(buffer.data, ordinal), "%s", err.text);
}

Test(delivery, a_payload_is_written_as_the_protocol_says)
{
    payload_write(&payload, &buffer);
    cr_assert_str_eq(
        buffer.data,
        "1 order-confirmed orders 3 11 22\n" SCOPE_EMAIL
        " {\"channel\":\"email\",\"provider\":\"mail\",\"email\":\"ann@shop.example\",\"name\":\"Ann "
        "\\\"\xC3\x89\\\"\",\"locale\":\"pt-BR\"}\n" SCOPE_PUSH
        " {\"channel\":\"push\",\"provider\":\"apns\",\"name\":\"Ann \\\"\xC3\x89\\\"\",\"locale\":\"pt-BR\","
        "\"device\":" DEVICE "}\n" SCOPE_WEBHOOK " {\"channel\":\"webhook\",\"provider\":\"hook\",\"name\":"
        "\"Ann \\\"\xC3\x89\\\"\",\"locale\":\"pt-BR\"}\n"
        "{\"id\":\"o-1\",\"userId\":\"u-7\",\"traceparent\":\"" TRACEPARENT "\"}\n" EVENT);
}

Test(delivery, a_payload_says_nothing_of_what_is_absent)
{
    event = (struct event){0};
    payload.name = payload.locale = NULL;
    payload_write(&payload, &buffer);
    cr_assert_str_eq(
        buffer.data,
        "1 order-confirmed orders 3 0 0\n" SCOPE_ADDRESS
        " {\"channel\":\"email\",\"provider\":\"mail\",\"email\":\"ann@shop.example\"}\n" SCOPE_DEVICE
        " {\"channel\":\"push\",\"provider\":\"apns\",\"device\":" DEVICE "}\n" SCOPE_NOBODY
        " {\"channel\":\"webhook\",\"provider\":\"hook\"}\n{\"id\":\"\"}\n" EVENT);
}

Test(delivery, what_was_written_is_read_back)
{
    static const struct {
        enum channel channel;
        const char *provider, *email, *device, *key;
    } rows[] = {
        {CHANNEL_EMAIL, "mail", "ann@shop.example", "", "c53224d20624ba3058c6e75f74e28caa"},
        {CHANNEL_PUSH, "apns", "", DEVICE, "cc0d5c91cbaba5ab1a073db04cfc7417"},
        {CHANNEL_WEBHOOK, "hook", "", "", "e967705f466e09bfa61f7ff2920199d3"},
    };

    for (unsigned i = 0; i < 3; i++) {
        read_back(i);
        cr_expect_str_eq(delivery->eid, EID);
        cr_expect_eq(delivery->ordinal, i);
        cr_expect_eq(delivery->channel, rows[i].channel);
        cr_expect_str_eq(delivery->provider, rows[i].provider);
        cr_expect_str_eq(delivery->email, rows[i].email);
        cr_expect_str_eq(delivery->device, rows[i].device);
        cr_expect_str_eq(delivery->key, rows[i].key, "%u: %s", i, delivery->key);
        cr_expect_str_eq(delivery->notification, "order-confirmed");
        cr_expect_str_eq(delivery->source, "orders");
        cr_expect_str_eq(delivery->id, "o-1");
        cr_expect_str_eq(delivery->user_id, "u-7");
        cr_expect_str_eq(delivery->name, "Ann \"\xC3\x89\"");
        cr_expect_str_eq(delivery->locale, "pt-BR");
        cr_expect_str_eq(delivery->traceparent, TRACEPARENT);
        cr_expect_eq(delivery->send_at_ms, 11);
        cr_expect_eq(delivery->expires_at_ms, 22);
        cr_expect_eq(delivery->event_len, strlen(EVENT));
        cr_expect_str_eq(delivery->event, EVENT);
        cr_expect_geq(delivery->bytes_len, strlen(EVENT));
        cr_expect_eq(delivery->fence, 0);
        cr_expect_null(delivery->config);
        cr_expect_eq(atomic_load(&delivery->lease_until_ms), 0);
    }
}

Test(delivery, what_is_absent_is_read_back_as_empty)
{
    event = (struct event){0};
    payload.name = payload.locale = NULL;
    read_back(2);
    cr_expect_str_eq(delivery->id, "");
    cr_expect_str_eq(delivery->user_id, "");
    cr_expect_str_eq(delivery->name, "");
    cr_expect_str_eq(delivery->locale, "");
    cr_expect_str_eq(delivery->traceparent, "");
    cr_expect_str_eq(delivery->email, "");
    cr_expect_str_eq(delivery->device, "");
}

Test(delivery, an_id_of_any_characters_survives_the_way)
{
    memcpy(event.id, "a \"\\/{}\xF0\x9F\x98\x80", 12);
    read_back(0);
    cr_assert_str_eq(delivery->id, "a \"\\/{}\xF0\x9F\x98\x80");
}

Test(delivery, as_many_deliveries_as_allowed_find_their_line)
{
    struct payload_target many[DELIVERY_MAX_PER_EVENT];
    for (unsigned i = 0; i < DELIVERY_MAX_PER_EVENT; i++)
        many[i] = targets[i % 3];
    payload.targets = many;
    payload.target_count = DELIVERY_MAX_PER_EVENT;
    for (unsigned i = 0; i < DELIVERY_MAX_PER_EVENT; i++) {
        read_back(i);
        cr_expect_eq(delivery->channel, many[i].channel);
    }
    cr_expect_not(read_text(buffer.data, DELIVERY_MAX_PER_EVENT));
    cr_expect_str_eq(err.text, "payload: no delivery 24 of 24");
}

Test(delivery, the_key_differs_by_event_channel_and_recipient)
{
    char key[DELIVERY_KEY_CHARS + 1];

    read_back(0);
    memcpy(key, delivery->key, sizeof(key));
    targets[0].email = "eve@shop.example";
    read_back(0);
    cr_expect_str_neq(delivery->key, key);
    targets[0].email = "ann@shop.example";
    delivery_free(delivery);
    delivery = NULL;
    buffer_reset(&buffer);
    payload_write(&payload, &buffer);
    cr_assert(delivery_from_payload(buffer.data, buffer.len, "f123456789abcdef01234567", 0, &delivery, &err));
    cr_expect_str_neq(delivery->key, key);
}

#define FIRST "1 n s 1 0 0\n"
#define SCOPE "0123456789abcdef "
#define MAIL "{\"channel\":\"email\",\"provider\":\"p\",\"email\":\"a@b.c\"}\n"
#define LAST "{\"id\":\"o\"}\n{}"

Test(delivery, a_damaged_payload_is_refused)
{
    static const struct {
        const char *text, *complaint;
    } rows[] = {
        {"", "payload: damaged first line"},
        {"\n", "payload: damaged first line"},
        {"1 n s 1 0 0", "payload: damaged first line"},
        {"2 n s 1 0 0\n" SCOPE MAIL LAST, "payload: damaged first line"},
        {"11 n s 1 0 0\n" SCOPE MAIL LAST, "payload: damaged first line"},
        {"1  s 1 0 0\n" SCOPE MAIL LAST, "payload: damaged first line"},
        {"1 n\x01 s 1 0 0\n" SCOPE MAIL LAST, "payload: damaged first line"},
        {"1 n s 0 0 0\n" SCOPE MAIL LAST, "payload: damaged first line"},
        {"1 n s 25 0 0\n" SCOPE MAIL LAST, "payload: damaged first line"},
        {"1 n s x 0 0\n" SCOPE MAIL LAST, "payload: damaged first line"},
        {"1 n s 1 -1 0\n" SCOPE MAIL LAST, "payload: damaged first line"},
        {"1 n s 1 0\n" SCOPE MAIL LAST, "payload: damaged first line"},
        {"1 n s 1 0 \n" SCOPE MAIL LAST, "payload: damaged first line"},
        {"1 n s 1 0 0 0\n" SCOPE MAIL LAST, "payload: damaged first line"},
        {"1 n s 1 0 9999999999999999999\n" SCOPE MAIL LAST, "payload: damaged first line"},
        {FIRST, "payload: ends before delivery 0"},
        {FIRST SCOPE, "payload: ends before delivery 0"},
        {"1 n s 2 0 0\n" SCOPE MAIL, "payload: ends before delivery 1"},
        {FIRST MAIL LAST, "payload: delivery 0 has no recipient scope"},
        {FIRST "0123 " MAIL LAST, "payload: delivery 0 has no recipient scope"},
        {FIRST SCOPE MAIL, "payload: ends before the identity"},
        {FIRST SCOPE MAIL "{\"id\":\"o\"}", "payload: ends before the identity"},
        {FIRST SCOPE MAIL "{\"id\":\"o\"}\n", "payload: an event of 0 bytes"},
        {FIRST SCOPE "{\"channel\":\n" LAST, "payload: delivery 0: at byte 11: expected a value"},
        {FIRST SCOPE MAIL "nonsense\n{}", "payload: delivery 0: at byte 0: expected a value"},
        {FIRST SCOPE "[]\n" LAST, "payload: delivery 0: channel: expected email, push or webhook"},
        {FIRST SCOPE "{}\n" LAST, "payload: delivery 0: channel: expected email, push or webhook"},
        {FIRST SCOPE "{\"channel\":\"fax\"}\n" LAST,
         "payload: delivery 0: channel: expected email, push or webhook"},
        {FIRST SCOPE "{\"channel\":1}\n" LAST,
         "payload: delivery 0: channel: expected email, push or webhook"},
        {FIRST SCOPE "{\"channel\":\"email\"}\n" LAST, "payload: delivery 0: email: byte 0: expected '@'"},
        {FIRST SCOPE "{\"channel\":\"email\",\"email\":\"a@b.c>\"}\n" LAST,
         "payload: delivery 0: email: byte 5: 0x3e is not allowed in the domain"},
        {FIRST SCOPE "{\"channel\":\"email\",\"email\":\"a@b.c\\r\\nX\"}\n" LAST,
         "payload: delivery 0: email: byte 5: U+000D is a control character"},
        {FIRST SCOPE "{\"channel\":\"email\",\"email\":\"a@b.c\",\"device\":{}}\n" LAST,
         "payload: delivery 0: device: expected for push, and for push only"},
        {FIRST SCOPE "{\"channel\":\"push\",\"device\":{},\"email\":\"a@b.c\"}\n" LAST,
         "payload: delivery 0: email: expected for email only"},
        {FIRST SCOPE "{\"channel\":\"push\"}\n" LAST,
         "payload: delivery 0: device: expected for push, and for push only"},
        {FIRST SCOPE "{\"channel\":\"push\",\"device\":\"{}\"}\n" LAST,
         "payload: delivery 0: device: expected an object"},
        {FIRST SCOPE "{\"channel\":\"webhook\",\"provider\":{}}\n" LAST,
         "payload: delivery 0: provider: expected a string"},
        {FIRST SCOPE "{\"channel\":\"webhook\",\"name\":\"a\\nb\"}\n" LAST,
         "payload: delivery 0: name: byte 1: U+000A is a control character"},
        {FIRST SCOPE "{\"channel\":\"webhook\"}\n{\"id\":1}\n{}",
         "payload: delivery 0: id: expected a string"},
        {FIRST SCOPE "{\"channel\":\"webhook\"}\n{\"id\":\"\\r\\n\"}\n{}",
         "payload: delivery 0: id: byte 0: U+000D is a control character"},
        {FIRST SCOPE "{\"channel\":\"webhook\"}\n{\"traceparent\":\"x\\r\\ny: z\"}\n{}",
         "payload: delivery 0: traceparent: byte 1: U+000D is a control character"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_expect_not(read_text(rows[i].text, 0), "row %zu", i);
        cr_expect_eq(err.kind, ERR_INPUT, "row %zu", i);
        cr_expect_str_eq(err.text, rows[i].complaint, "row %zu: %s", i, err.text);
        cr_expect_null(delivery);
    }
}

Test(delivery, every_beginning_of_a_payload_up_to_the_event_is_refused)
{
    payload_write(&payload, &buffer);
    size_t event_at = buffer.len - strlen(EVENT);
    for (size_t cut = 0; cut <= event_at; cut++) {
        char *exact = malloc(cut > 0 ? cut : 1);
        memcpy(exact, buffer.data, cut);
        cr_expect_not(delivery_from_payload(exact, cut, EID, 0, &delivery, &err), "%zu", cut);
        free(exact);
    }
}

Test(delivery, members_of_a_later_version_are_passed_over)
{
    cr_assert(
        read_text(FIRST SCOPE "{\"channel\":\"webhook\",\"later\":[1]}\n{\"id\":\"o\",\"later\":2}\n{}", 0),
        "%s", err.text);
}

Test(delivery, an_eid_that_is_none_is_refused)
{
    static const char *const rows[] = {"", "0123456789abcdef0123456", "0123456789abcdef012345678",
                                       "0123456789ABCDEF01234567", "0123456789abcdef0123456:"};
    const char *text = FIRST SCOPE MAIL LAST;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_expect_not(delivery_from_payload(text, strlen(text), rows[i], 0, &delivery, &err), "row %zu", i);
        cr_expect_eq(err.kind, ERR_INPUT);
    }
}

Test(delivery, freeing_nothing_is_fine)
{
    delivery_free(NULL);
}

Test(delivery, channels_are_known_by_name)
{
    static const char *const names[CHANNEL_COUNT] = {"email", "push", "webhook"};
    enum channel channel;

    for (enum channel expected = 0; expected < CHANNEL_COUNT; expected++) {
        cr_expect_str_eq(channel_name(expected), names[expected]);
        cr_expect(channel_parse(names[expected], &channel));
        cr_expect_eq(channel, expected);
    }
    channel = CHANNEL_PUSH;
    cr_expect_not(channel_parse("", &channel));
    cr_expect_not(channel_parse("emails", &channel));
    cr_expect_not(channel_parse("Email", &channel));
    cr_expect_eq(channel, CHANNEL_PUSH);
}
