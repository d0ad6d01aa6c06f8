/* daemon.h - everything wired together, from start to the last closed handle. Loop thread. */
#ifndef HERALD_APP_DAEMON_H
#define HERALD_APP_DAEMON_H

#include <stdbool.h>

#include "herald/config.h"
#include "herald/err.h"

/* Runs until a signal ends it. Takes the reference to `config`; `path` is where a reload reads it again
 * (borrowed). False with ERR_CONFIG or ERR_NOMEM if it could not start; true after an orderly end. */
bool daemon_run(const char *path, struct config *config, struct err *err) MUST_CHECK;

#endif
