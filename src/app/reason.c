/* The closed list of reasons: how a text begins, and the word for it. The first that fits counts. */
#include "reason.h"

#include <string.h>

static const struct {
    const char *begins, *label;
} reasons[] = {
    /* why an event was refused */
    {"at byte ", "json"},
    {"expected an object", "json"},
    {"too large", "too large"},
    {"the event and its recipients are too large", "too large"},
    {"signature", "signature"},
    {"time: ", "signature"},
    {"the key of this event", "damaged"},
    {"to: ", "recipient"},
    {"eventId: ", "identity"},
    {"orderId: ", "identity"},
    {"sendAt: ", "time"},
    {"expiresAt: ", "time"},
    /* what became of an attempt: outcome.c's list, without the exact code */
    {"smtp 4", "smtp 4xx"},
    {"smtp 5", "smtp 5xx"},
    {"smtp ", "smtp"},
    {"http 3", "http 3xx"},
    {"http 4", "http 4xx"},
    {"http 5", "http 5xx"},
    {"http ", "http"},
    {"resolve", "resolve"},
    {"connect", "connect"},
    {"tls", "tls"},
    {"login", "login"},
    {"timeout", "timeout"},
    {"broken connection", "broken connection"},
    {"refused stream", "refused stream"},
    {"internal", "internal"},
    {"lease", "lease"},
    {"stopped", "stopped"},
    {"render", "render"},
    {"content", "content"},
    /* why the ledger gave up */
    {"no recipient", "no recipient"},
    {"no lane", "no lane"},
    {"expired", "expired"},
    {"too old", "too old"},
    {"limited until ", "limited"},
    {"payload is damaged", "damaged"},
};

const char *reason_label(const char *text, size_t len)
{
    if (len == 0)
        return "";
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        size_t prefix = strlen(reasons[i].begins);
        if (len >= prefix && memcmp(text, reasons[i].begins, prefix) == 0)
            return reasons[i].label;
    }
    return "other";
}
