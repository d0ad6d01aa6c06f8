/* The templates that are shipped, with the least an event holds and with all they know of. */
#include "herald/content.h"

#include <criterion/criterion.h>
#include <json-c/json.h>
#include <string.h>

#include "herald/template.h"

static const char least[] =
    "{\"orderId\":\"o-1001\",\"userId\":\"u-7\",\"confirmedAt\":\"2026-01-01T10:00:00Z\","
    "\"recipient\":{\"email\":\"ann@mail.example\",\"name\":null,\"userId\":\"u-7\"},"
    "\"device\":{\"provider\":\"push\",\"token\":\"t\\\"1\"}}";
static const char most[] =
    "{\"orderId\":1001,\"userId\":\"u-7\",\"confirmedAt\":\"2026-01-01T10:00:00Z\",\"shopName\":\"Cups & "
    "\\\"Co\\\"\","
    "\"total\":29.70,\"items\":[{\"name\":\"Cup <large>\",\"quantity\":2,\"price\":\"9.90 "
    "EUR\"},{\"name\":\"Plate\"}],"
    "\"recipient\":{\"email\":\"ann@mail.example\",\"name\":\"Ann & Lee\"},\"device\":{\"token\":\"t\"}}";

static void render(enum content_part part, const char *locale, const char *json, struct buffer *out)
{
    struct content *content = NULL;
    struct json_object *data = json_tokener_parse(json);
    struct err err = {0};

    cr_assert(content_load(TEMPLATES, "order-confirmed", &content, &err), "%s", err.text);
    buffer_init(out, TEMPLATE_MAX_OUTPUT);
    cr_assert(content_render(content, part, locale, data, out, &err), "%s", err.text);
    content_free(content);
    json_object_put(data);
}

static void check(enum content_part part, const char *locale, const char *json, const char *wanted)
{
    struct buffer out;

    render(part, locale, json, &out);
    cr_expect_str_eq(out.data, wanted, "got <%s>, wanted <%s>", out.data, wanted);
    buffer_done(&out);
}

Test(default_templates, subjects_name_the_order)
{
    check(CONTENT_SUBJECT, "en", least, "Your order o-1001 is confirmed");
    check(CONTENT_SUBJECT, "en", most, "Cups & \"Co\": Your order 1001 is confirmed");
    check(CONTENT_SUBJECT, "de-AT", least, "Ihre Bestellung o-1001 ist bestätigt");
}

Test(default_templates, texts_read_well_with_the_least_and_with_the_most)
{
    check(CONTENT_TEXT, "", least,
          "Hello,\n\nThank you for your order. It is confirmed.\n\nOrder: o-1001\nConfirmed: "
          "2026-01-01T10:00:00Z\n\n"
          "You receive this message because of your order.\n");
    check(CONTENT_TEXT, "", most,
          "Hello Ann & Lee,\n\nThank you for your order at Cups & \"Co\". It is confirmed.\n\nOrder: 1001\n"
          "Confirmed: 2026-01-01T10:00:00Z\n- 2 x Cup <large>, 9.90 EUR\n- Plate\nTotal: 29.70\n\n"
          "You receive this message because of your order.\n");
    check(CONTENT_TEXT, "de", least,
          "Guten Tag,\n\nvielen Dank für Ihre Bestellung. Sie ist bestätigt.\n\nBestellung: o-1001\n"
          "Bestätigt: 2026-01-01T10:00:00Z\n\nSie erhalten diese Nachricht wegen Ihrer Bestellung.\n");
}

Test(default_templates, html_escapes_what_it_is_given_and_loads_nothing)
{
    static const char *const locales[] = {"", "de"};
    static const char *const wanted[][4] = {
        {"<html lang=\"en\">", ">Hello,<", ">Hello Ann &amp; Lee,<", "at Cups &amp; &quot;Co&quot;. It is"},
        {"<html lang=\"de\">", ">Guten Tag,<", ">Guten Tag Ann &amp; Lee,<",
         "bei Cups &amp; &quot;Co&quot;. Sie ist"},
    };

    for (size_t i = 0; i < 2; i++) {
        struct buffer out;

        render(CONTENT_HTML, locales[i], least, &out);
        cr_expect_eq(strncmp(out.data, "<!DOCTYPE html>\n", 16), 0);
        cr_expect_not_null(strstr(out.data, wanted[i][0]));
        cr_expect_not_null(strstr(out.data, wanted[i][1]));
        cr_expect_not_null(strstr(out.data, ">o-1001<"));
        cr_expect_null(strstr(out.data, "://"));
        cr_expect_null(strstr(out.data, "{{"));
        buffer_done(&out);

        render(CONTENT_HTML, locales[i], most, &out);
        cr_expect_not_null(strstr(out.data, wanted[i][2]));
        cr_expect_not_null(strstr(out.data, wanted[i][3]));
        cr_expect_not_null(strstr(out.data, ">2 &times; Cup &lt;large&gt;<"));
        cr_expect_not_null(strstr(out.data, ">29.70<"));
        buffer_done(&out);
    }
}

Test(default_templates, pushes_are_json_for_the_device)
{
    check(CONTENT_PUSH, "", least,
          "{\n  \"token\": \"t\\\"1\",\n  \"title\": \"Order confirmed\",\n"
          "  \"body\": \"Your order o-1001 is confirmed.\",\n  \"data\": {\"orderId\": \"o-1001\"}\n}\n");
    check(CONTENT_PUSH, "de", most,
          "{\n  \"token\": \"t\",\n  \"title\": \"Cups & \\\"Co\\\"\",\n"
          "  \"body\": \"Ihre Bestellung 1001 ist bestätigt.\",\n  \"data\": {\"orderId\": \"1001\"}\n}\n");
}
