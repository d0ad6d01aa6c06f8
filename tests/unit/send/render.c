/* render.c - what templates see, and what becomes of what they can't. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

TestSuite(render, .init = init, .fini = done);

/* Renders the delivery, checks that it works, and gives the text. */
static const char *render(const struct delivery *delivery)
{
    static struct buffer text;
    struct err err = {0};

    buffer_done(&text);
    buffer_init(&text, 1 << 20);
    cr_assert(render_delivery(delivery, &text, &err), "%s", err.text);
    return text.data;
}

static enum err_kind refusal(const struct delivery *delivery, const char *complaint)
{
    struct buffer text;
    struct err err = {0};

    buffer_init(&text, 1 << 20);
    cr_expect_not(render_delivery(delivery, &text, &err));
    cr_expect(strstr(err.text, complaint) != NULL, "%s", err.text);
    buffer_done(&text);
    return err.kind;
}

static void configure_mail(const char *more)
{
    char text[512];
    snprintf(text, sizeof(text), "type = null\nfrom = \"Example Shop\" <shop@shop.example>\n%s", more);
    lane_world_configure(&world, CHANNEL_EMAIL, NULL, text);
}

static void configure_push(void)
{
    lane_world_configure(&world, CHANNEL_PUSH, NULL, "type = null");
}

Test(render, a_mail_has_its_parts_and_its_senders_name)
{
    configure_mail("");
    struct delivery *delivery = lane_world_delivery(&world, CHANNEL_EMAIL, "ann@shop.example");
    const char *text = render(delivery);
    cr_expect(strstr(text, "From: Example Shop <shop@shop.example>\r\n") ||
                  strstr(text, "From: \"Example Shop\" <shop@shop.example>\r\n"),
              "%s", text);
    cr_expect(strstr(text, "ann@shop.example") != NULL, "%s", text);
    cr_expect(strstr(text, "Subject: Order o-1\r\n") != NULL, "%s", text);
    cr_expect(strstr(text, "Thank you, Ann, for o-1.") != NULL, "%s", text);
    cr_expect(strstr(text, delivery->key) != NULL, "%s", text);
    lane_world_release(&world, delivery);
}

Test(render, the_same_delivery_gives_the_same_bytes_on_every_attempt)
{
    configure_mail("");
    struct delivery *delivery = lane_world_delivery(&world, CHANNEL_EMAIL, "ann@shop.example");
    char *first = strdup(render(delivery));
    delivery->attempt_number = 5;
    cr_expect_str_eq(render(delivery), first);
    free(first);
    lane_world_release(&world, delivery);
}

Test(render, numbers_appear_as_they_were_published)
{
    static const char *const numbers[] = {"123456789012345678901234567890", "1.10",  "1e5", "-0",
                                          "18446744073709551616",           "0.1000"};
    lane_world_write(&world, "templates/note/push.json",
                     "{\"n\":\"{{orderId}}\",\"raw\":{{{orderId}}},\"in\":{{{list}}}}");
    configure_push();
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char event[256], expected[256];
        snprintf(event, sizeof(event), "{\"orderId\":%s,\"list\":[%s]}", numbers[i], numbers[i]);
        snprintf(expected, sizeof(expected), "{\"n\":\"%s\",\"raw\":%s,\"in\":[%s]}", numbers[i], numbers[i],
                 numbers[i]);
        struct delivery *delivery = lane_world_delivery_of(&world, CHANNEL_PUSH, "t", event);
        cr_expect_str_eq(render(delivery), expected);
        lane_world_release(&world, delivery);
    }
}

Test(render, all_kinds_of_json_reach_the_template)
{
    lane_world_write(&world, "templates/note/push.json", "{{{all}}}");
    configure_push();
    static const char *const values[] = {
        "{\"a\":[1,{\"b\":null},true,false,\"x\"],\"c\":{}}", "[]", "\"q\\\"\\\\\\n\"", "null", "[[[[]]]]",
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char event[256];
        snprintf(event, sizeof(event), "{\"all\":%s}", values[i]);
        struct delivery *delivery = lane_world_delivery_of(&world, CHANNEL_PUSH, "t", event);
        cr_expect_str_eq(render(delivery), values[i]);
        lane_world_release(&world, delivery);
    }
}

Test(render, our_members_win_over_the_publishers)
{
    lane_world_write(
        &world, "templates/note/push.json",
        "{\"to\":\"{{recipient.name}}\",\"token\":\"{{device.token}}\",\"key\":\"{{delivery.key}}\"}");
    configure_push();
    struct delivery *delivery = lane_world_delivery_of(
        &world, CHANNEL_PUSH, "mine",
        "{\"recipient\":{\"name\":\"Eve\"},\"device\":{\"token\":\"evil\"},\"delivery\":{\"key\":\"evil\"}}");
    char expected[128];
    snprintf(expected, sizeof(expected), "{\"to\":\"Ann\",\"token\":\"mine\",\"key\":\"%s\"}", delivery->key);
    cr_expect_str_eq(render(delivery), expected);
    lane_world_release(&world, delivery);
}

Test(render, a_webhook_has_its_own_template)
{
    lane_world_configure(&world, CHANNEL_WEBHOOK, NULL, "type = null");
    struct delivery *delivery = lane_world_delivery(&world, CHANNEL_WEBHOOK, "");
    char expected[128];
    snprintf(expected, sizeof(expected), "{\"order\":\"o-1\",\"key\":\"%s\"}", delivery->key);
    cr_expect(strncmp(render(delivery), expected, strlen(expected)) == 0, "%s", render(delivery));
    lane_world_release(&world, delivery);
}

Test(render, the_recipients_language_is_used)
{
    lane_world_write(&world, "templates/note.de/subject.txt", "Bestellung {{orderId}}");
    lane_world_write(&world, "templates/note.de/body.html", "<p>Danke</p>");
    configure_mail("");
    struct delivery *delivery = lane_world_delivery(&world, CHANNEL_EMAIL, "ann@shop.example");
    delivery->locale = "de-AT";
    cr_expect(strstr(render(delivery), "Subject: Bestellung o-1\r\n") != NULL, "%s", render(delivery));
    cr_expect(strstr(render(delivery), "<p>Danke</p>") != NULL, "%s", render(delivery));
    cr_expect(strstr(render(delivery), "Thank you") == NULL, "%s", render(delivery));
    lane_world_release(&world, delivery);
}

Test(render, what_is_missing_or_makes_no_json_is_the_operators_and_what_fails_is_the_datas)
{
    lane_world_write(&world, "templates/note/push.json", "{\"n\":{{orderId}}}");
    configure_push();
    struct delivery *delivery =
        lane_world_delivery_of(&world, CHANNEL_PUSH, "t", "{\"orderId\":\"no number\"}");
    cr_expect_eq(refusal(delivery, "notification note"), ERR_CONFIG, "a better template mends it");
    delivery->notification = "other";
    cr_expect_eq(refusal(delivery, "notification other: not configured"), ERR_CONFIG);
    delivery->notification = "note";
    delivery->event = "{\"a\":1,\"a\":2}";
    delivery->event_len = strlen(delivery->event);
    cr_expect_eq(refusal(delivery, "event: "), ERR_INPUT);
    lane_world_release(&world, delivery);
}
