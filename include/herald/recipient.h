/* recipient.h - who is to be told, and where: from the event's own `to` or from the user's record.
 * No I/O; any thread. */
#ifndef HERALD_RECIPIENT_H
#define HERALD_RECIPIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "herald/err.h"
#include "herald/json.h"

#define RECIPIENT_MAX_PUSH 16     /* devices of one user; more is a record nobody prunes */
#define RECIPIENT_MAX_NAME 256    /* bytes of a display name */
#define RECIPIENT_MAX_LOCALE 35   /* bytes; RFC 5646 4.4.1 */
#define RECIPIENT_MAX_PROVIDER 64 /* bytes of a device's provider: a configured name is shorter */
/* one device's object: the largest real ones (Web Push) are near 500 */
#define RECIPIENT_MAX_PUSH_BYTES 4096

struct recipient_push {
    char *provider; /* owned; the name in the configuration that serves this device */
    char *device;   /* owned; the whole JSON object, canonical: identity and template data */
};

struct recipient {
    char *email;  /* owned; NULL when there is none; has passed address_check */
    char *name;   /* owned or NULL */
    char *locale; /* owned or NULL: letters, digits and hyphens, at most 35 bytes (BCP 47); '_' is read as '-'
                   */
    struct recipient_push push[RECIPIENT_MAX_PUSH];
    size_t push_count;
};

void recipient_done(struct recipient *recipient); /* a zeroed struct is fine */

/* From a JSON object {email, name, locale, push:[{provider, …}]}: all optional, unknown members refused; an
 * empty name or locale is none. A device's `provider` is text of 1 to RECIPIENT_MAX_PROVIDER bytes, its other
 * members are its provider's business. A device listed twice counts once. *err: ERR_INPUT, "to.email: …",
 * "to.push[2].provider: …". */
bool recipient_from_json(const struct json *json, const struct json_token *object, struct recipient *ret,
                         struct err *err) MUST_CHECK;

/* From a record's fields as Redis returned them; NULL or of no length where a field is absent or empty.
 * `push` is the JSON list. *err: ERR_INPUT, "email: …", "push[2]: …". */
struct recipient_record {
    const char *email, *name, *locale, *push;
    size_t email_len, name_len, locale_len, push_len;
};
bool recipient_from_record(const struct recipient_record *record, struct recipient *ret,
                           struct err *err) MUST_CHECK;

#endif
