/* listen.c - a place to listen at, from its text. Pure; any thread. */
#include "herald/listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#include "herald/value.h"

#define UNIX_PREFIX "unix:"
#define PUBLIC_PREFIX "public "

static bool parse_unix(const char *path, struct listen_address *ret)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (path[0] != '/' || len >= sizeof address.sun_path)
        return false;
    memcpy(address.sun_path, path, len);
    *ret = (struct listen_address){.len = sizeof address};
    memcpy(&ret->address, &address, sizeof address);
    return true;
}

static bool parse_port(const char *text, in_port_t *ret)
{
    int64_t port;
    if (!value_count(text, &port) || port < 1 || port > UINT16_MAX)
        return false;
    *ret = htons((uint16_t)port);
    return true;
}

static bool parse_v6(const char *host, in_port_t port, bool is_public, struct listen_address *ret)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = port};
    if (inet_pton(AF_INET6, host, &address.sin6_addr) != 1 ||
        (!is_public && !IN6_IS_ADDR_LOOPBACK(&address.sin6_addr)))
        return false;
    *ret = (struct listen_address){.len = sizeof address};
    memcpy(&ret->address, &address, sizeof address);
    return true;
}

static bool parse_v4(const char *host, in_port_t port, bool is_public, struct listen_address *ret)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = port};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1 ||
        (!is_public && ntohl(address.sin_addr.s_addr) >> IN_CLASSA_NSHIFT != IN_LOOPBACKNET))
        return false;
    *ret = (struct listen_address){.len = sizeof address};
    memcpy(&ret->address, &address, sizeof address);
    return true;
}

bool listen_parse(const char *text, struct listen_address *ret)
{
    char host[INET6_ADDRSTRLEN];
    in_port_t port;
    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
        return parse_unix(text + strlen(UNIX_PREFIX), ret);
    bool is_public = strncmp(text, PUBLIC_PREFIX, strlen(PUBLIC_PREFIX)) == 0;
    const char *from = is_public ? text + strlen(PUBLIC_PREFIX) : text;
    bool is_v6 = from[0] == '[';
    from += is_v6;
    const char *end = is_v6 ? strstr(from, "]:") : strchr(from, ':');
    if (end == NULL || (size_t)(end - from) >= sizeof host || !parse_port(end + (is_v6 ? 2 : 1), &port))
        return false;
    memcpy(host, from, (size_t)(end - from));
    host[end - from] = '\0';
    return is_v6 ? parse_v6(host, port, is_public, ret) : parse_v4(host, port, is_public, ret);
}

bool listen_is_valid(const char *text, size_t max)
{
    struct listen_address ignored;
    (void)max;
    return listen_parse(text, &ignored);
}
