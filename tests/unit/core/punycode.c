/* Domain names in ASCII: the examples of RFC 3492 section 7.1 and the limits of a label. */
#include "punycode.h"

#include <criterion/criterion.h>
#include <string.h>

#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10

Test(punycode, labels_become_ascii)
{
    static const struct {
        const char *domain, *wanted;
    } rows[] = {
        {"shop.example", "shop.example"},
        {"SHOP.Example", "shop.example"},
        {"b\xC3\xBC"
         "cher.example",
         "xn--bcher-kva.example"},
        {"www.B\xC3\xBC"
         "cher.example",
         "www.xn--bcher-kva.example"},
        {"\xC3\xBC", "xn--tda"},
        {"\xE4\xBE\x8B\xE3\x81\x88.\xE3\x83\x86\xE3\x82\xB9\xE3\x83\x88", "xn--r8jz45g.xn--zckzah"},
        /* RFC 3492 7.1 (B), Chinese; (L), Japanese with ASCII and hyphens. */
        {"\xE4\xBB\x96\xE4\xBB\xAC\xE4\xB8\xBA\xE4\xBB\x80\xE4\xB9\x88\xE4\xB8\x8D\xE8\xAF\xB4\xE4\xB8\xAD"
         "\xE6\x96\x87",
         "xn--ihqwcrb4cv8a8dqg056pqjye"},
        {"3\xE5\xB9\xB4"
         "b\xE7\xB5\x84\xE9\x87\x91\xE5\x85\xAB\xE5\x85\x88\xE7\x94\x9F",
         "xn--3b-ww4c5e180e575a65lsy2b"},
        {"\xF0\x9F\x92\xA9.la", "xn--ls8h.la"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct buffer out;
        buffer_init(&out, 1 << 10);
        cr_expect(punycode_domain(rows[i].domain, &out));
        cr_expect_str_eq(out.data, rows[i].wanted);
        buffer_done(&out);
    }
}

Test(punycode, labels_that_get_too_long_are_refused)
{
    static const struct {
        const char *domain;
        bool wanted;
    } rows[] = {
        {X60 "xxx.example", true},
        {X60 "xxxx.example", false},
        /* "xn--", the ASCII, "-" and what the letter takes: 63, then 64. */
        {"\xC3\xBC" X10 X10 X10 X10 X10 "xxxxx", true},
        {"\xC3\xBC" X10 X10 X10 X10 X10 "xxxxxx", false},
        {"\xC3\xBC" X60, false},
        {"\xC3\xBC" X60 "xx", false},
        {"a\xFF.example", false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct buffer out;
        buffer_init(&out, 1 << 10);
        cr_expect_eq(punycode_domain(rows[i].domain, &out), rows[i].wanted, "%s", rows[i].domain);
        buffer_done(&out);
    }
}
