/* secret.h - files that hold a password, a token or keys, and where relative names lead. Blocks on files. */
#ifndef HERALD_CONF_SECRET_H
#define HERALD_CONF_SECRET_H

#include <stddef.h>

#include "herald/err.h"
#include "herald/event.h"

#define SECRET_MAX_BYTES 4096 /* of a file: the longest bearer tokens in use are near 2 KiB */
#define SECRET_KEY_MIN 16     /* bytes of a signing key: 128 bits, below which guessing is thinkable */

/* `name` itself if absolute, else directory/name; heap, NULL when memory is out. */
char *secret_path(const char *directory, const char *name);

/* Reads a secret: a relative name is looked up in $CREDENTIALS_DIRECTORY first, then in `directory`. One
 * newline at the end is dropped; what is left must be UTF-8 without controls. *ret is a heap string. The
 * complaint (ERR_CONFIG) names the file and never its content. */
bool secret_read(const char *directory, const char *name, char **ret, struct err *err) MUST_CHECK;

/* Reads one or two signing keys, a line each: "whsec_" and base64 (as Standard Webhooks writes them), or any
 * other text, which is the key as it stands. On true the caller owns each key's bytes. */
bool secret_read_keys(const char *directory, const char *name, struct event_key ret[2], size_t *ret_count,
                      struct err *err) MUST_CHECK;

/* Overwrites and frees; NULL is fine. */
void secret_free(char *secret);

#endif
