/* secret.c - tests of conf/secret: where a secret is looked for, and what may be in its file. */
#include "conf/secret.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sandbox.h"

TestSuite(secret, .init = sandbox_enter, .fini = sandbox_leave);

#define KEY "0123456789abcdef" /* 16 bytes */

static void expect_secret(const char *directory, const char *name, const char *expected)
{
    char *secret = NULL;
    struct err err = {.text = ""};
    cr_assert(secret_read(directory, name, &secret, &err), "%s", err.text);
    cr_expect_str_eq(secret, expected);
    secret_free(secret);
}

Test(secret, one_newline_at_the_end_is_not_part_of_it)
{
    sandbox_write("a", "hunter2\n");
    sandbox_write("b", " hunter 2 ");
    expect_secret(".", "a", "hunter2");
    expect_secret(".", "b", " hunter 2 ");
}

Test(secret, a_relative_name_is_a_credential_first)
{
    sandbox_write("credentials/password", "from systemd\n");
    sandbox_write("password", "from the directory\n");
    sandbox_write("other", "from the directory\n");
    setenv("CREDENTIALS_DIRECTORY", "credentials", 1);
    expect_secret(".", "password", "from systemd");
    expect_secret(".", "other", "from the directory");
}

Test(secret, an_absolute_name_is_itself)
{
    char path[] = "/tmp/herald-secret-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    sandbox_write(path, "absolute");
    setenv("CREDENTIALS_DIRECTORY", "credentials", 1);
    expect_secret("elsewhere", path, "absolute");
    remove(path);
}

Test(secret, a_file_that_is_no_secret_is_refused_by_name)
{
    char *longest = calloc(1, SECRET_MAX_BYTES + 2);
    memset(longest, 's', SECRET_MAX_BYTES + 1);
    const struct {
        const char *bytes;
        size_t len;
        const char *complaint;
    } rows[] = {
        {"", 0, "./file: is empty"},
        {"\n", 1, "./file: is empty"},
        {"two\nlines\n", 10, "file: holds more than one line, a control character or no UTF-8"},
        {"hunter2\n\n", 9, "file: holds more than one line, a control character or no UTF-8"},
        {"hunter2\r\n", 9, "file: holds more than one line, a control character or no UTF-8"},
        {"hun\0ter", 7, "file: holds more than one line, a control character or no UTF-8"},
        {"hun\xff", 4, "file: holds more than one line, a control character or no UTF-8"},
        {"\xEF\xBB\xBFhunter2", 10, "./file: begins with a byte order mark"},
        {longest, SECRET_MAX_BYTES + 1, "./file: is longer than 4096 bytes"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *secret = NULL;
        struct err err = {.text = ""};
        sandbox_write_bytes("file", rows[i].bytes, rows[i].len);
        cr_expect_not(secret_read(".", "file", &secret, &err));
        cr_expect_str_eq(err.text, rows[i].complaint);
        cr_expect_null(secret);
    }
    free(longest);
}

Test(secret, a_missing_file_is_named_with_where_it_was_looked_for_last)
{
    char *secret = NULL;
    struct err err = {.text = ""};
    cr_expect_not(secret_read("etc", "nothing", &secret, &err));
    cr_expect_str_eq(err.text, "etc/nothing: No such file or directory");
}

static bool is_key(const struct event_key *key, const char *bytes, size_t len)
{
    return key->len == len && memcmp(key->bytes, bytes, len) == 0;
}

static void free_keys(struct event_key keys[2], size_t count)
{
    for (size_t i = 0; i < count; i++)
        free((void *)keys[i].bytes);
}

Test(secret, keys_are_base64_behind_whsec_and_else_the_text_itself)
{
    struct event_key keys[2];
    size_t count = 0;
    struct err err = {.text = ""};
    sandbox_write("keys", "whsec_MDEyMzQ1Njc4OWFiY2RlZg==\nMDEyMzQ1Njc4OWFiY2RlZg==\n");
    cr_assert(secret_read_keys(".", "keys", keys, &count, &err), "%s", err.text);
    cr_assert_eq(count, 2);
    cr_expect(is_key(&keys[0], KEY, strlen(KEY)));
    cr_expect(is_key(&keys[1], "MDEyMzQ1Njc4OWFiY2RlZg==", 24));
    free_keys(keys, count);

    sandbox_write("keys", KEY);
    cr_assert(secret_read_keys(".", "keys", keys, &count, &err), "%s", err.text);
    cr_assert_eq(count, 1);
    free_keys(keys, count);
}

Test(secret, keys_that_are_weak_or_too_many_are_refused_by_line)
{
    static const struct {
        const char *text, *complaint;
    } rows[] = {
        {"", "./keys: is empty"},
        {"0123456789abcde\n", "keys: line 1: expected whsec_ and base64, or a text, of at least 16 bytes"},
        {"whsec_MDEyMzQ1Njc4OWFiY2Rl\n",
         "keys: line 1: expected whsec_ and base64, or a text, of at least 16 bytes"},
        {"whsec_!!!!\n", "keys: line 1: expected whsec_ and base64, or a text, of at least 16 bytes"},
        {KEY "\n" KEY "\r\n", "keys: line 2: expected whsec_ and base64, or a text, of at least 16 bytes"},
        {KEY "\n\n" KEY "\n", "keys: line 2: expected whsec_ and base64, or a text, of at least 16 bytes"},
        {KEY "\n" KEY "\n" KEY "\n", "keys: expected one or two lines"},
        {"\xEF\xBB\xBF" KEY "\n", "./keys: begins with a byte order mark"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct event_key keys[2];
        size_t count = 7;
        struct err err = {.text = ""};
        sandbox_write("keys", rows[i].text);
        cr_expect_not(secret_read_keys(".", "keys", keys, &count, &err), "row %zu", i);
        cr_expect_str_eq(err.text, rows[i].complaint);
        cr_expect_eq(count, 7);
    }
}

Test(secret, a_fifo_is_refused_without_waiting_for_it, .timeout = 10)
{
    char *secret = NULL;
    struct err err = {.text = ""};
    cr_assert_eq(mkfifo("pipe", 0600), 0);
    cr_expect_not(secret_read(".", "pipe", &secret, &err));
    cr_expect_str_eq(err.text, "./pipe: expected a regular file");
}
