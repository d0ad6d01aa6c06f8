/* check.h - `heraldd --check`: is the configuration good, and can what it names be reached? Start-up only;
 * blocks on files, and on the network where asked to. Writes to standard output. */
#ifndef HERALD_APP_CHECK_H
#define HERALD_APP_CHECK_H

#include <stdbool.h>

#include "herald/config.h"
#include "herald/err.h"

/* What each provider's own code has to say about its section. *err is ERR_CONFIG. */
bool check_providers(const struct config *config, struct err *err) MUST_CHECK;

/* A line for each of config_each_doubt. */
void check_doubts(const struct config *config);

/* Connects to Redis and to every provider, one after the other, says a line about each, and sends nothing.
 * False: at least one can't be used; its line says why. */
bool check_connections(const struct config *config) MUST_CHECK;

#endif
