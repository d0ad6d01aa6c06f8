/* sandbox.h - an empty directory to be in, with the templates of "order-confirmed", and an environment that
 * says nothing. */
#ifndef HERALD_TESTS_CONF_SANDBOX_H
#define HERALD_TESTS_CONF_SANDBOX_H

#include "herald/config.h"

void sandbox_enter(void); /* a Criterion init: the working directory is the new one */
void sandbox_leave(void); /* a Criterion fini: removes it */

/* Writes a file, and the directories on the way to it. */
void sandbox_write(const char *name, const char *text);
void sandbox_write_bytes(const char *name, const char *bytes, size_t len);

/* Loads ./herald.conf; a complaint fails the test. */
struct config *sandbox_load(void);
/* The complaint that loading ./herald.conf with this text ends in; "" if it loads. Static; good until the
 * next call. */
const char *sandbox_refusal(const char *text);

/* What a configuration needs so that nothing is amiss. */
#define SOURCE "[source orders]\nchannel = order:confirmed\nnotification = order-confirmed\n"
#define NOTIFICATION "[notification order-confirmed]\nchannels = email\n"

#endif
