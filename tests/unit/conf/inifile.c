/* inifile.c - tests of conf/inifile: what is handed on, with which line, and what is refused. */
#include "conf/inifile.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sandbox.h"

TestSuite(inifile, .init = sandbox_enter, .fini = sandbox_leave);

struct heard {
    char text[8192];
    const char *refused; /* the name whose entry is refused */
};

static void hear(struct heard *heard, int line, const char *a, const char *b)
{
    size_t len = strlen(heard->text);
    snprintf(heard->text + len, sizeof(heard->text) - len, "%d<%s><%s>", line, a, b);
}

static bool on_section(void *arg, const char *section, int line, struct err *err)
{
    (void)err;
    hear(arg, line, "[", section);
    return true;
}

static bool on_entry(void *arg, const char *name, const char *value, int line, struct err *err)
{
    struct heard *heard = arg;
    hear(heard, line, name, value);
    if (heard->refused != NULL && strcmp(name, heard->refused) == 0)
        return err_set(err, ERR_CONFIG, "not %s", name);
    return true;
}

static bool read_bytes(const char *bytes, size_t len, struct heard *heard, struct err *err)
{
    struct inifile_callbacks callbacks = {on_section, on_entry, heard};
    *err = (struct err){.text = ""};
    sandbox_write_bytes("a.ini", bytes, len);
    return inifile_read("a.ini", &callbacks, err);
}

Test(inifile, headings_and_entries_come_with_their_lines)
{
    static const struct {
        const char *text, *heard;
    } rows[] = {
        {"", ""},
        {"; talk\n# talk\n\n   \n", ""},
        {"[a]\n[b c]\n", "1<[><a>2<[><b c>"},
        {"[a]\nx = 1\n\ny=2", "1<[><a>2<x><1>4<y><2>"},
        {"[a] ; talk\nx = 1 ; talk\ny = 1;2\n", "1<[><a>2<x><1>3<y><1;2>"},
        {"[a]\r\nx = 1\r\n", "1<[><a>2<x><1>"},
        {"\xef\xbb\xbf[a]\nx = 1\n", "1<[><a>2<x><1>"},
        {"  [a]\n\tx\t=\t1\t\n", "1<[><a>2<x><1>"},
        {"[a]\nx = \n", "1<[><a>2<x><>"},
        {"[a]\nx = b = c: d\n", "1<[><a>2<x><b = c: d>"},
        {"[a]\nx = 1\n  y = 2\n", "1<[><a>2<x><1>3<y><2>"},
        {"[a]\n# [b]\nx = [c]\n", "1<[><a>3<x><[c]>"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct heard heard = {.text = ""};
        struct err err;
        cr_expect(read_bytes(rows[i].text, strlen(rows[i].text), &heard, &err), "row %zu: %s", i, err.text);
        cr_expect_str_eq(heard.text, rows[i].heard, "row %zu: %s", i, heard.text);
    }
}

Test(inifile, a_line_that_is_neither_ends_it)
{
    static const struct {
        const char *text, *complaint;
    } rows[] = {
        {"x = 1\n", "a.ini:1: expected a [SECTION] before the first option"},
        {"[a]\nx\ny = 1\n", "a.ini:2: expected NAME = VALUE"},
        {"[a]\nx = 1\nlast", "a.ini:3: expected NAME = VALUE"},
        {"[a]\n= 1\n", "a.ini:2: expected NAME = VALUE"},
        {"[a\nx = 1\n", "a.ini:1: expected [SECTION] alone on its line"},
        {"[a] x = 1\n", "a.ini:1: expected [SECTION] alone on its line"},
        {"[a ;]\n", "a.ini:1: expected [SECTION] alone on its line"},
        {"[a]\nx = \x01\n", "a.ini:2: expected UTF-8 text without control characters"},
        {"[a]\n# \xff\n", "a.ini:2: expected UTF-8 text without control characters"},
        {"[a]\nx = 1\r2\n", "a.ini:2: expected UTF-8 text without control characters"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct heard heard = {.text = ""};
        struct err err;
        cr_expect_not(read_bytes(rows[i].text, strlen(rows[i].text), &heard, &err), "row %zu", i);
        cr_expect_eq(err.kind, ERR_CONFIG);
        cr_expect_str_eq(err.text, rows[i].complaint);
    }
}

Test(inifile, a_nul_is_a_control_character)
{
    struct heard heard = {.text = ""};
    struct err err;
    cr_expect_not(read_bytes("[a]\nx = 1\0\ny = 2\n", 17, &heard, &err));
    cr_expect_str_eq(err.text, "a.ini:2: expected UTF-8 text without control characters");
}

Test(inifile, a_long_line_is_whole_or_refused)
{
    struct heard heard = {.text = ""};
    struct err err;
    char line[INIFILE_LINE_BYTES + 8] = "[a]\nx = ";
    size_t head = strlen(line);
    memset(line + head, 'v', INIFILE_LINE_BYTES - 4);
    cr_expect(read_bytes(line, 4 + INIFILE_LINE_BYTES, &heard, &err), "%s", err.text);
    cr_expect_eq(strlen(heard.text), strlen("1<[><a>2<x><>") + INIFILE_LINE_BYTES - 4);

    heard.text[0] = '\0';
    line[4 + INIFILE_LINE_BYTES] = 'v';
    cr_expect_not(read_bytes(line, 5 + INIFILE_LINE_BYTES, &heard, &err));
    cr_expect_str_eq(err.text, "a.ini:2: expected a line of at most 2048 bytes");
}

Test(inifile, what_a_callback_refuses_ends_it)
{
    struct heard heard = {.text = "", .refused = "x"};
    struct err err;
    cr_expect_not(read_bytes("[a]\nx = 1\ny = 2\nz\n", 18, &heard, &err));
    cr_expect_str_eq(err.text, "not x");
    cr_expect_str_eq(heard.text, "1<[><a>2<x><1>");
}

Test(inifile, a_file_that_cannot_be_read_is_said_by_name)
{
    struct heard heard = {.text = ""};
    struct inifile_callbacks callbacks = {on_section, on_entry, &heard};
    struct err err = {.text = ""};
    cr_expect_not(inifile_read("nothing.ini", &callbacks, &err));
    cr_expect_str_eq(err.text, "nothing.ini: No such file or directory");
    cr_expect_not(inifile_read("templates", &callbacks, &err));
    cr_expect_str_eq(err.text, "templates: expected a regular file");
}

Test(inifile, a_fifo_is_refused_without_waiting_for_it, .timeout = 10)
{
    struct heard heard = {.text = ""};
    struct inifile_callbacks callbacks = {.on_section = on_section, .on_entry = on_entry, .arg = &heard};
    struct err err = {.text = ""};
    cr_assert_eq(mkfifo("pipe.conf", 0600), 0);
    cr_expect_not(inifile_read("pipe.conf", &callbacks, &err));
    cr_expect_str_eq(err.text, "pipe.conf: expected a regular file");
}
