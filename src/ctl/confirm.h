/* confirm.h - a question before what can't be undone. */
#ifndef HERALD_CTL_CONFIRM_H
#define HERALD_CTL_CONFIRM_H

#include "command.h"

/* True with --yes, or when a person at a terminal says so. Else false, and nothing may be done. */
bool confirm(const struct context *context, const char *question, struct err *err) MUST_CHECK;

#endif
