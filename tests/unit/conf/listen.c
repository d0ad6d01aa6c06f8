/* listen.c - where an option may have us listen, and where not. */
#include "herald/listen.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

Test(listen, an_address_of_the_loopback_is_taken)
{
    struct listen_address at;
    cr_assert(listen_parse("127.0.0.1:9464", &at));
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&at.address;
    cr_expect(at.len == sizeof *v4 && v4->sin_family == AF_INET && v4->sin_port == htons(9464) &&
              v4->sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    cr_assert(listen_parse("[::1]:1", &at));
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&at.address;
    cr_expect(at.len == sizeof *v6 && v6->sin6_family == AF_INET6 && v6->sin6_port == htons(1) &&
              IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr));
    cr_assert(listen_parse("127.1.2.3:65535", &at));
    cr_assert(listen_parse("unix:/run/herald/metrics.sock", &at));
    const struct sockaddr_un *un = (const struct sockaddr_un *)&at.address;
    cr_expect(un->sun_family == AF_UNIX);
    cr_expect_str_eq(un->sun_path, "/run/herald/metrics.sock");
}

Test(listen, another_address_is_taken_only_where_public_is_said)
{
    static const char *const texts[] = {"0.0.0.0:9464",    "10.0.0.5:9464", "[::]:9464",
                                        "[2001:db8::1]:1", "128.0.0.1:1",   "126.255.255.255:1"};
    struct listen_address at;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char text[64];
        snprintf(text, sizeof text, "public %s", texts[i]);
        cr_expect_not(listen_parse(texts[i], &at), "%s", texts[i]);
        cr_expect(listen_parse(text, &at), "%s", text);
    }
}

Test(listen, anything_else_is_refused_and_leaves_the_result_alone)
{
    static const char *const texts[] = {
        "",
        "9464",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        ":9464",
        "localhost:1",
        "127.0.0.1:9464x",
        "::1:9464",
        "[::1]9464",
        "[::1]",
        "[127.0.0.1]:1",
        "unix:",
        "unix:metrics",
        "public",
        "public ",
        "public localhost:1",
        "public 127.0.0.1",
        "127.0.0.1:-1",
        "127.0.0.1: 1",
        "unix:/"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaa",
    };
    struct listen_address at = {.len = 7};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_expect_not(listen_parse(texts[i], &at), "%s", texts[i]);
    cr_expect_eq(at.len, 7);
}
