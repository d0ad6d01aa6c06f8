/* url.c - a URL's parts. Pure; any thread.
 *
 * Ours rather than libcurl's, which belongs to the send layer: conf needs to know a URL's scheme, host and
 * port only, and refuses more than libcurl would. */
#include "url.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "herald/config.h"
#include "herald/value.h"

#define REDIS_FORMS "expected redis://[USER:PASSWORD@]HOST[:PORT][/DB] or unix://[USER:PASSWORD@]/PATH[?db=N]"
#define REDIS_PORT 6379
#define REDIS_MAX_DATABASE 65535 /* more than any server is set up with; 16 is the default */

static bool is_plain(const char *text)
{
    size_t len = strlen(text);
    if (len > URL_MAX_BYTES)
        return false;
    for (const char *c = text; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~' || strchr("\"'<>\\#", *c) != NULL)
            return false;
    }
    return true;
}

/* Compose services are often called with underscores, so a host may have them though a domain may not. */
static bool is_host(const char *host)
{
    char plain[URL_HOST_BYTES];
    struct in6_addr address;
    if (inet_pton(AF_INET6, host, &address) == 1)
        return true;
    for (size_t i = 0; i < sizeof(plain); i++) {
        plain[i] = host[i] == '_' ? 'x' : host[i];
        if (host[i] == '\0')
            break;
    }
    return value_is_host(plain, 0);
}

bool url_split(const char *text, struct url *ret)
{
    struct url url = {.rest = ""};
    const char *colon = strstr(text, "://");
    if (!is_plain(text) || colon == NULL || colon == text || (size_t)(colon - text) >= sizeof(url.scheme))
        return false;
    memcpy(url.scheme, text, (size_t)(colon - text));

    const char *host = colon + 3;
    const char *end = host + strcspn(host, "/?");
    url.rest = end;
    const char *at = memrchr(host, '@', (size_t)(end - host));
    if (at != NULL) {
        url.user = host;
        url.user_len = (size_t)(at - host);
        host = at + 1;
    }
    const char *host_end;
    if (*host == '[') {
        host++;
        host_end = memchr(host, ']', (size_t)(end - host));
        if (host_end == NULL || memchr(host, ':', (size_t)(host_end - host)) == NULL)
            return false;
    } else {
        const char *port = memchr(host, ':', (size_t)(end - host));
        host_end = port != NULL ? port : end;
    }
    size_t host_len = (size_t)(host_end - host);
    if (host_len >= sizeof(url.host))
        return false;
    memcpy(url.host, host, host_len);
    if (host_len > 0 ? !is_host(url.host) : host_end != end || *end != '/')
        return false;

    const char *port = host_end + (*host_end == ']');
    if (port < end) {
        char digits[6]; /* 65535 */
        int64_t number;
        size_t len = (size_t)(end - port) - 1;
        if (*port != ':' || len >= sizeof(digits))
            return false;
        memcpy(digits, port + 1, len);
        digits[len] = '\0';
        if (!value_count(digits, &number) || number < 1 || number > 65535)
            return false;
        url.port = (int)number;
    }
    *ret = url;
    return true;
}

bool url_is_loopback(const struct url *url)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (strcmp(url->host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, url->host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, url->host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A heap string, or NULL if a '%' starts no code, a code is a NUL, or memory is out. */
static char *percent_decode(const char *text, size_t len)
{
    char *plain = malloc(len + 1);
    size_t out = 0;
    for (size_t i = 0; plain != NULL && i < len; i++) {
        int c = (unsigned char)text[i];
        if (c == '%') {
            int high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
            c = low < 0 ? 0 : high * 16 + low;
            i += 2;
        }
        if (c == 0) {
            free(plain);
            return NULL;
        }
        plain[out++] = (char)c;
    }
    if (plain != NULL)
        plain[out] = '\0';
    return plain;
}

static bool read_database(const char *text, int *ret)
{
    int64_t number;
    if (!value_count(text, &number) || number > REDIS_MAX_DATABASE)
        return false;
    *ret = (int)number;
    return true;
}

bool url_read_redis(const char *text, struct config_redis *ret, struct err *err)
{
    struct url url;
    int database = 0;
    char *host = NULL, *path = NULL, *user = NULL, *password = NULL;
    bool is_read = false;
    if (strncmp(text, "rediss://", strlen("rediss://")) == 0)
        return err_set(err, ERR_CONFIG, "TLS to Redis is not supported: " REDIS_FORMS);
    if (!url_split(text, &url))
        goto out;
    if (strcmp(url.scheme, "unix") == 0) {
        const char *query = strchr(url.rest, '?');
        size_t path_len = query != NULL ? (size_t)(query - url.rest) : strlen(url.rest);
        if (url.host[0] != '\0' || path_len < 2)
            goto out;
        if (query != NULL && (strncmp(query, "?db=", 4) != 0 || !read_database(query + 4, &database)))
            goto out;
        path = strndup(url.rest, path_len);
    } else {
        bool has_database = strlen(url.rest) > 1;
        if (strcmp(url.scheme, "redis") != 0 || url.host[0] == '\0' || *url.rest == '?')
            goto out;
        if (has_database && !read_database(url.rest + 1, &database))
            goto out;
        host = strdup(url.host);
    }
    if (url.user != NULL) {
        const char *colon = memchr(url.user, ':', url.user_len);
        size_t name_len = colon != NULL ? (size_t)(colon - url.user) : url.user_len;
        if (name_len > 0 && (user = percent_decode(url.user, name_len)) == NULL)
            goto out;
        if (colon != NULL && (password = percent_decode(colon + 1, url.user_len - name_len - 1)) == NULL)
            goto out;
        if (user == NULL && password == NULL)
            goto out;
    }
    if (host == NULL && path == NULL)
        goto out;
    *ret = (struct config_redis){
        .host = host,
        .port = url.port != 0 ? url.port : REDIS_PORT,
        .socket_path = path,
        .database = database,
        .user = user,
        .password = password,
    };
    host = path = user = password = NULL;
    is_read = true;
out:
    free(host);
    free(path);
    free(user);
    free(password);
    return is_read || err_set(err, ERR_CONFIG, REDIS_FORMS);
}
