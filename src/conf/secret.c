/* secret.c - files that hold a password, a token or keys.
 *
 * systemd hands credentials over as files in $CREDENTIALS_DIRECTORY, readable by the service alone;
 * everywhere else they are plain files beside the configuration. What is read here is wiped before it is
 * freed. Blocks on files. */
#include "secret.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "herald/address.h"
#include "herald/encode.h"
#include "herald/file.h"

#define KEY_PREFIX "whsec_"

char *secret_path(const char *directory, const char *name)
{
    char *path = NULL;
    if (*name == '/')
        return strdup(name);
    return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

void secret_free(char *secret)
{
    if (secret != NULL)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

/* *ret_path is a heap string, for the complaint. */
static int open_secret(const char *directory, const char *name, char **ret_path, const char **ret_complaint)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    if (credentials != NULL && *name != '/') {
        char *path = secret_path(credentials, name);
        int fd = path != NULL ? file_open_regular(path, ret_complaint) : -1;
        if (fd >= 0 || path == NULL || errno != ENOENT) {
            *ret_path = path;
            return fd;
        }
        free(path);
    }
    *ret_path = secret_path(directory, name);
    return *ret_path != NULL ? file_open_regular(*ret_path, ret_complaint) : -1;
}

/* Straight into `bytes`, so that no copy of the secret stays in a buffer of stdio's. */
static bool read_all(int fd, char *bytes, size_t size, size_t *ret_len)
{
    ssize_t got = 1;
    *ret_len = 0;
    while (got > 0 && *ret_len < size) {
        got = read(fd, bytes + *ret_len, size - *ret_len);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got > 0)
            *ret_len += (size_t)got;
    }
    return got >= 0;
}

/* The whole file, without one newline at its end, NUL-terminated in `bytes`. */
static bool read_file(const char *directory, const char *name, char bytes[SECRET_MAX_BYTES + 2],
                      size_t *ret_len, struct err *err)
{
    char *path = NULL;
    const char *complaint = NULL;
    size_t len = 0;
    int fd = open_secret(directory, name, &path, &complaint);
    if (fd >= 0) {
        complaint = NULL; /* not a credential, but found beside the configuration */
        if (!read_all(fd, bytes, SECRET_MAX_BYTES + 1, &len))
            complaint = strerror(errno);
        else if (len > SECRET_MAX_BYTES)
            complaint = "is longer than 4096 bytes";
        if (len > 0 && bytes[len - 1] == '\n')
            len--;
        if (complaint == NULL && len == 0)
            complaint = "is empty";
        /* An editor's, and it can't be seen: with it no secret would ever be the right one. */
        if (complaint == NULL && len >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0)
            complaint = "begins with a byte order mark";
        bytes[len] = '\0';
        close(fd);
    }
    if (path == NULL)
        (void)err_set(err, ERR_NOMEM, "%s: out of memory", name);
    else if (complaint != NULL)
        (void)err_set(err, ERR_CONFIG, "%s: %s", path, complaint);
    else
        *ret_len = len;
    bool is_read = path != NULL && complaint == NULL;
    free(path);
    return is_read;
}

bool secret_read(const char *directory, const char *name, char **ret, struct err *err)
{
    char bytes[SECRET_MAX_BYTES + 2];
    size_t len;
    struct err ignored;
    bool is_read = read_file(directory, name, bytes, &len, err);
    if (is_read && !address_check_text(bytes, len, SECRET_MAX_BYTES, &ignored))
        is_read =
            err_set(err, ERR_CONFIG, "%s: holds more than one line, a control character or no UTF-8", name);
    char *copy = is_read ? strdup(bytes) : NULL;
    explicit_bzero(bytes, sizeof(bytes));
    if (is_read && copy == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    if (is_read)
        *ret = copy;
    return is_read;
}

static bool read_key(const char *line, size_t len, struct event_key *ret)
{
    uint8_t bytes[SECRET_MAX_BYTES + 3];
    size_t prefix = strlen(KEY_PREFIX), count = len;
    bool is_encoded = len >= prefix && memcmp(line, KEY_PREFIX, prefix) == 0;
    struct err ignored;
    if (!is_encoded &&
        !address_check_text(line, len, len, &ignored)) /* a stray CR would become part of the key */
        return false;
    if (!is_encoded)
        memcpy(bytes, line, len);
    else if (!decode_base64(line + prefix, len - prefix, bytes, &count))
        return false;
    void *copy = count >= SECRET_KEY_MIN ? malloc(count) : NULL;
    if (copy != NULL)
        *ret = (struct event_key){memcpy(copy, bytes, count), count};
    explicit_bzero(bytes, sizeof(bytes));
    return copy != NULL;
}

bool secret_read_keys(const char *directory, const char *name, struct event_key ret[2], size_t *ret_count,
                      struct err *err)
{
    char bytes[SECRET_MAX_BYTES + 2];
    struct event_key keys[2] = {{NULL, 0}, {NULL, 0}};
    size_t len = 0, count = 0;
    bool is_read = read_file(directory, name, bytes, &len, err);
    for (size_t start = 0; is_read && start < len; count++) {
        const char *end = memchr(bytes + start, '\n', len - start);
        size_t line_len = end != NULL ? (size_t)(end - bytes) - start : len - start;
        if (count == 2)
            is_read = err_set(err, ERR_CONFIG, "%s: expected one or two lines", name);
        else if (!read_key(bytes + start, line_len, &keys[count]))
            is_read =
                err_set(err, ERR_CONFIG,
                        "%s: line %zu: expected " KEY_PREFIX " and base64, or a text, of at least %d bytes",
                        name, count + 1, SECRET_KEY_MIN);
        start += line_len + 1;
    }
    explicit_bzero(bytes, sizeof(bytes));
    if (is_read) {
        memcpy(ret, keys, sizeof(keys));
        *ret_count = count;
        return true;
    }
    for (size_t i = 0; i < 2; i++)
        free((void *)keys[i].bytes);
    return false;
}
