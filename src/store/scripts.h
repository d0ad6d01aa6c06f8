/* scripts.h - the Lua scripts as they are compiled in. */
#ifndef HERALD_STORE_SCRIPTS_H
#define HERALD_STORE_SCRIPTS_H

#include <stddef.h>

enum script_id {
    SCRIPT_ACCEPT,
    SCRIPT_CLAIM,
    SCRIPT_START,
    SCRIPT_EXTEND,
    SCRIPT_RELEASE,
    SCRIPT_SENT,
    SCRIPT_FAIL,
    SCRIPT_REAP,
    SCRIPT_REPLAY,
    SCRIPT_DROP,
    SCRIPT_CANCEL,
    SCRIPT_TRIM,
    SCRIPT_MOVE,
    SCRIPT_BURY,
    SCRIPT_OWNED,
    SCRIPT_FSCK,
    SCRIPT_REJECT,
    SCRIPT_DEPTH,
    SCRIPT_PAUSE,
    SCRIPT_COUNT
};

struct script {
    const char *name;
    const char *text;
    size_t len;
    const char *sha; /* SHA-1 in hex, as EVALSHA wants it */
};

extern const struct script scripts[SCRIPT_COUNT];

#endif
