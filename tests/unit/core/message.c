/* Whole messages, what they refuse, and mailboxes read from a configuration. */
#include "herald/message.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct message plain(void)
{
    return (struct message){
        .from = {"Example Shop", "orders@shop.example"},
        .to = {"Ann Lee", "ann@mail.example"},
        .subject = "Order o-1",
        .text = "Hello\n",
        .text_len = 6,
        .date_ms = 1767261600000,
        .key = "0123456789abcdef",
        .domain = "shop.example",
    };
}

Test(message, a_text_alone_is_one_part)
{
    struct message message = plain();
    struct err err = {0};
    struct buffer out;

    buffer_init(&out, 1 << 16);
    buffer_text(&out, "before ");
    cr_assert(message_build(&message, &out, &err), "%s", err.text);
    cr_expect_str_eq(out.data, "before "
                               "Date: Thu, 01 Jan 2026 10:00:00 +0000\r\n"
                               "From: Example Shop <orders@shop.example>\r\n"
                               "To: Ann Lee <ann@mail.example>\r\n"
                               "Subject: Order o-1\r\n"
                               "Message-ID: <0123456789abcdef@shop.example>\r\n"
                               "MIME-Version: 1.0\r\n"
                               "Auto-Submitted: auto-generated\r\n"
                               "Content-Type: text/plain; charset=utf-8\r\n"
                               "Content-Transfer-Encoding: quoted-printable\r\n"
                               "\r\n"
                               "Hello\r\n");
    buffer_done(&out);
}

Test(message, two_bodies_are_alternatives_with_the_text_first)
{
    struct message message = plain();
    struct err err = {0};
    struct buffer out;

    message.reply_to = (struct mailbox_address){NULL, "help@b\xC3\xBC"
                                                      "cher.example"};
    message.html = "<p>Hello";
    message.html_len = 8;
    message.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    buffer_init(&out, 1 << 16);
    cr_assert(message_build(&message, &out, &err), "%s", err.text);
    cr_expect_str_eq(out.data, "Date: Thu, 01 Jan 2026 10:00:00 +0000\r\n"
                               "From: Example Shop <orders@shop.example>\r\n"
                               "To: Ann Lee <ann@mail.example>\r\n"
                               "Reply-To: help@xn--bcher-kva.example\r\n"
                               "Subject: Order o-1\r\n"
                               "Message-ID: <0123456789abcdef@shop.example>\r\n"
                               "MIME-Version: 1.0\r\n"
                               "Auto-Submitted: auto-generated\r\n"
                               "X-Trace-Id: 4bf92f3577b34da6a3ce929d0e0e4736\r\n"
                               "Content-Type: multipart/alternative;\r\n"
                               " boundary=\"=_0123456789abcdef\"\r\n"
                               "\r\n"
                               "--=_0123456789abcdef\r\n"
                               "Content-Type: text/plain; charset=utf-8\r\n"
                               "Content-Transfer-Encoding: quoted-printable\r\n"
                               "\r\n"
                               "Hello\r\n"
                               "\r\n"
                               "--=_0123456789abcdef\r\n"
                               "Content-Type: text/html; charset=utf-8\r\n"
                               "Content-Transfer-Encoding: quoted-printable\r\n"
                               "\r\n"
                               "<p>Hello\r\n"
                               "\r\n"
                               "--=_0123456789abcdef--\r\n");
    buffer_done(&out);
}

Test(message, the_same_parts_give_the_same_bytes)
{
    struct message message = plain();
    struct err err = {0};
    struct buffer first;
    struct buffer second;

    buffer_init(&first, 1 << 16);
    buffer_init(&second, 1 << 16);
    cr_assert(message_build(&message, &first, &err));
    cr_assert(message_build(&message, &second, &err));
    cr_expect_str_eq(first.data, second.data);
    buffer_done(&first);
    buffer_done(&second);
}

Test(message, a_subject_is_one_line_whatever_it_was)
{
    struct message message = plain();
    struct err err = {0};
    struct buffer out;

    message.subject = "\r\n one\r\nBcc: x@y\ttwo \x7F\xC2\x85\xE2\x80\xA8 three \n";
    buffer_init(&out, 1 << 16);
    cr_assert(message_build(&message, &out, &err), "%s", err.text);
    cr_expect_not_null(strstr(out.data, "\r\nSubject: one Bcc: x@y two three\r\n"));
    buffer_done(&out);
}

Test(message, what_can_not_be_written_safely_is_refused_and_leaves_the_buffer_as_it_was)
{
    static char long_key[66];
    static char long_name[258];
    memset(long_key, 'a', 65);
    memset(long_name, 'n', 257);
    struct message rows[] = {plain(), plain(), plain(), plain(), plain(), plain(), plain(), plain(),
                             plain(), plain(), plain(), plain(), plain(), plain(), plain(), plain()};
    const char *wanted[] = {"a message needs",
                            "From: ",
                            "To: ",
                            "Reply-To: ",
                            "From: name: ",
                            "To: name: ",
                            "To: name: ",
                            "Subject: byte 3 isn't UTF-8",
                            "Message-ID: ",
                            "Message-ID: ",
                            "Message-ID: ",
                            "Message-ID: ",
                            "X-Trace-Id: ",
                            "X-Trace-Id: ",
                            "Reply-To: name: ",
                            "To: the domain has no ASCII form"};

    rows[0].text = NULL;
    rows[1].from.address = "orders@shop.example\r\nBcc: x@y.example";
    rows[2].to.address = "ann";
    rows[3].reply_to.address = "a b@shop.example";
    rows[4].from.name = "Shop\r\nBcc: x@y.example";
    rows[5].to.name = "Ann\x01";
    rows[6].to.name = long_name;
    rows[7].subject = "abc\xFF";
    rows[8].key = "";
    rows[9].key = "xyz";
    rows[10].key = long_key;
    rows[11].domain = "shop.example\r\nBcc: x";
    rows[12].trace_id = "a\nb";
    rows[13].trace_id = "";
    rows[14].reply_to = (struct mailbox_address){"\xC3", "help@shop.example"};
    rows[15].to.address = "ann@\xC3\xBCxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.example";
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct err err = {0};
        struct buffer out;

        buffer_init(&out, 1 << 16);
        buffer_text(&out, "before");
        cr_expect_not(message_build(&rows[i], &out, &err), "row %zu", i);
        cr_expect_eq(err.kind, ERR_PERMANENT, "row %zu", i);
        cr_expect_eq(strncmp(err.text, wanted[i], strlen(wanted[i])), 0, "row %zu: got <%s>, wanted <%s>", i,
                     err.text, wanted[i]);
        cr_expect_str_eq(out.data, "before");
        cr_expect_not(out.failed);
        buffer_done(&out);
    }
}

Test(message, errors_do_not_repeat_names_or_addresses)
{
    struct message message = plain();
    struct err err = {0};
    struct buffer out;

    buffer_init(&out, 1 << 16);
    message.to.address = "secret.person@secret..example";
    cr_assert_not(message_build(&message, &out, &err));
    cr_expect_null(strstr(err.text, "secret"), "%s", err.text);
    message = plain();
    message.to.name = "secret\n";
    cr_assert_not(message_build(&message, &out, &err));
    cr_expect_null(strstr(err.text, "secret"), "%s", err.text);
    buffer_done(&out);
}

Test(message, a_message_past_the_buffers_bound_is_refused)
{
    struct message message = plain();
    struct err err = {0};
    struct buffer out;

    for (size_t max = 0; max < 400; max++) {
        buffer_init(&out, max);
        if (!message_build(&message, &out, &err)) {
            cr_expect_eq(err.kind, ERR_PERMANENT, "%zu: %s", max, err.text);
            cr_expect_eq(out.len, 0);
            cr_expect_not(out.failed);
        } else {
            cr_expect_gt(max, 300); /* the message has some 350 bytes */
        }
        buffer_done(&out);
    }
}

Test(message, mailboxes_are_read)
{
    static const struct {
        const char *text, *name, *address;
    } rows[] = {
        {"orders@shop.example", "", "orders@shop.example"},
        {"  <orders@shop.example>\t", "", "orders@shop.example"},
        {"\"Example Shop\" <orders@shop.example>", "Example Shop", "orders@shop.example"},
        {"\"Example, \\\"the\\\" \\\\ Shop\"<orders@shop.example>", "Example, \"the\" \\ Shop",
         "orders@shop.example"},
        {"Example Shop <orders@shop.example>", "Example Shop", "orders@shop.example"},
        {" \t Shop, Inc.   <  orders@shop.example  > ", "Shop, Inc.", "orders@shop.example"},
        {"B\xC3\xBC"
         "cher <orders@shop.example>",
         "B\xC3\xBC"
         "cher",
         "orders@shop.example"},
        {"\"\" <orders@shop.example>", "", "orders@shop.example"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char *name = NULL;
        char *address = NULL;
        struct err err = {0};
        cr_assert(message_parse_mailbox(rows[i].text, &name, &address, &err), "%s: %s", rows[i].text,
                  err.text);
        cr_expect_str_eq(name, rows[i].name);
        cr_expect_str_eq(address, rows[i].address);
        free(name);
        free(address);
    }
}

Test(message, broken_mailboxes_are_refused)
{
    static const char form[] = "expected \"Name\" <local@domain> or local@domain";
    static const struct {
        const char *text, *wanted; /* NULL: address.h says what */
    } rows[] = {
        {"", NULL},
        {"Example Shop", form},
        {"\"Example Shop\"", form},
        {"\"Example Shop <orders@shop.example>", form},
        {"\"Example\" Shop <orders@shop.example>", form},
        {"Example \"Shop\" <orders@shop.example>", form},
        {"<orders@shop.example", form},
        {"<orders@shop.example> x", form},
        {"<orders@shop.example>, <x@shop.example>", form},
        {"<<orders@shop.example>>", NULL},
        {"orders@shop.example x@shop.example", form},
        {"orders@shop.example>", NULL},
        {"Shop <>", NULL},
        {"Shop <orders>", NULL},
        {"\"Shop\r\nBcc: x\" <orders@shop.example>", NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char *name = NULL;
        char *address = NULL;
        struct err err = {0};
        cr_expect_not(message_parse_mailbox(rows[i].text, &name, &address, &err), "%s", rows[i].text);
        cr_expect_eq(err.kind, ERR_CONFIG);
        cr_expect_neq(err.text[0], '\0');
        if (rows[i].wanted != NULL)
            cr_expect_str_eq(err.text, rows[i].wanted, "%s: %s", rows[i].text, err.text);
        cr_expect_null(name);
        cr_expect_null(address);
    }
}
