/* url.c - tests of conf/url: the parts of a URL, and Redis's. */
#include "conf/url.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "herald/config.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

Test(url, has_its_parts)
{
    static const struct {
        const char *text, *scheme, *host;
        int port;
        const char *rest;
    } rows[] = {
        {"smtp://127.0.0.1:25", "smtp", "127.0.0.1", 25, ""},
        {"https://push.shop.example/a/b?c=d", "https", "push.shop.example", 0, "/a/b?c=d"},
        {"smtps://[::1]:465", "smtps", "::1", 465, ""},
        {"http://[fe80::1]", "http", "fe80::1", 0, ""},
        {"redis://my_redis:6380/3", "redis", "my_redis", 6380, "/3"},
        {"unix:///run/redis.sock", "unix", "", 0, "/run/redis.sock"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct url url;
        cr_assert(url_split(rows[i].text, &url), "%s", rows[i].text);
        cr_expect_str_eq(url.scheme, rows[i].scheme);
        cr_expect_str_eq(url.host, rows[i].host);
        cr_expect_eq(url.port, rows[i].port);
        cr_expect_str_eq(url.rest, rows[i].rest);
        cr_expect_null(url.user);
    }
}

Test(url, the_user_ends_at_the_last_at_sign_before_the_path)
{
    struct url url;
    cr_assert(url_split("redis://a:b@c@host/x@y", &url));
    cr_expect_eq(url.user_len, 5);
    cr_expect_eq(strncmp(url.user, "a:b@c", 5), 0);
    cr_expect_str_eq(url.host, "host");
}

Test(url, what_is_not_one_is_refused)
{
    static const char *const rows[] = {
        "",
        "host",
        "://host",
        "http:host",
        "http://",
        "http://?a",
        "http://a b",
        "http://a\tb",
        "http://a\r\nb",
        "http://a#b",
        "http://a/\"",
        "http://\xc3\xa9",
        "http://a:",
        "http://a:0",
        "http://a:65536",
        "http://a:123456",
        "http://a:8o",
        "http://a:-1",
        "http://[::1",
        "http://[::1]x",
        "http://[1.2.3.4]",
        "http://[a:b]",
        "http://a,b",
        "http://-a",
        "http://:80",
        "waytoolong://a",
        "http://a/<x>",
        "http://a/\\",
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct url url;
        cr_expect_not(url_split(rows[i], &url), "%s", rows[i]);
    }
}

Test(url, loopback_is_an_address_and_not_a_name_that_looks_like_one)
{
    static const struct {
        const char *text;
        bool expected;
    } rows[] = {
        {"http://localhost", true},
        {"http://127.0.0.1", true},
        {"http://127.9.9.9:1", true},
        {"http://[::1]:8080/x", true},
        {"http://127.0.0.1.evil.example", false},
        {"http://localhost.example", false},
        {"http://10.0.0.1", false},
        {"http://[::2]", false},
        {"http://126.0.0.1", false},
        {"http://128.0.0.1", false},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct url url;
        cr_assert(url_split(rows[i].text, &url), "%s", rows[i].text);
        cr_expect_eq(url_is_loopback(&url), rows[i].expected, "%s", rows[i].text);
    }
}

static const char *or_dash(const char *text)
{
    return text != NULL ? text : "-";
}

Test(url, of_redis_says_where_and_who)
{
    static const struct {
        const char *text, *host;
        int port;
        const char *path;
        int database;
        const char *user, *password;
    } rows[] = {
        {"redis://127.0.0.1", "127.0.0.1", 6379, "-", 0, "-", "-"},
        {"redis://127.0.0.1/", "127.0.0.1", 6379, "-", 0, "-", "-"},
        {"redis://r:6380/3", "r", 6380, "-", 3, "-", "-"},
        {"redis://[::1]:6380", "::1", 6380, "-", 0, "-", "-"},
        {"redis://herald:s3cret@r", "r", 6379, "-", 0, "herald", "s3cret"},
        {"redis://:s3cret@r", "r", 6379, "-", 0, "-", "s3cret"},
        {"redis://herald@r", "r", 6379, "-", 0, "herald", "-"},
        {"redis://h:a%40b%3ac%2F%25@r", "r", 6379, "-", 0, "h", "a@b:c/%"},
        {"unix:///run/redis.sock", "-", 6379, "/run/redis.sock", 0, "-", "-"},
        {"unix:///run/redis.sock?db=2", "-", 6379, "/run/redis.sock", 2, "-", "-"},
        {"unix://herald@/run/redis.sock", "-", 6379, "/run/redis.sock", 0, "herald", "-"},
        {"unix://herald:s3cret@/run/redis.sock?db=2", "-", 6379, "/run/redis.sock", 2, "herald", "s3cret"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct config_redis redis;
        struct err err;
        cr_assert(url_read_redis(rows[i].text, &redis, &err), "%s", rows[i].text);
        cr_expect_str_eq(or_dash(redis.host), rows[i].host);
        cr_expect_eq(redis.port, rows[i].port);
        cr_expect_str_eq(or_dash(redis.socket_path), rows[i].path);
        cr_expect_eq(redis.database, rows[i].database);
        cr_expect_str_eq(or_dash(redis.user), rows[i].user);
        cr_expect_str_eq(or_dash(redis.password), rows[i].password);
        free(redis.host);
        free(redis.socket_path);
        free(redis.user);
        free(redis.password);
    }
}

Test(url, of_redis_that_is_wrong_is_refused_without_being_repeated)
{
    static const char *const rows[] = {
        "s3cret",
        "http://s3cret",
        "redis://",
        "redis:///0",
        "redis://r/s3cret",
        "redis://r/65536",
        "redis://r/1/2",
        "redis://r?db=1",
        "redis://:s3cret%4@r",
        "redis://:s3cret%zz@r",
        "redis://:s3cret%00@r",
        "redis://@r",
        "unix://r/run/s3cret",
        "unix:///",
        "unix:///run/x?db=",
        "unix:///run/x?s3cret=1",
        "unix://@/run/s3cret",
        "unix://:s3cret@r/run/x",
        "rediss://:s3cret@r",
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct config_redis redis;
        struct err err = {.text = ""};
        cr_expect_not(url_read_redis(rows[i], &redis, &err), "%s", rows[i]);
        cr_expect_not_null(strstr(err.text, "expected redis://"), "%s: %s", rows[i], err.text);
        cr_expect_null(strstr(err.text, "s3cret"), "%s", err.text);
    }
}
