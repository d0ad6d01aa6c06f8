/* arguments.h - the command line: options anywhere, operands in their order. */
#ifndef HERALD_CTL_ARGUMENTS_H
#define HERALD_CTL_ARGUMENTS_H

#include <stdbool.h>
#include <stdio.h>

#include "command.h"

#define ARGUMENTS_MAX_OPERANDS 8 /* two words of a command, and more than any takes */

struct arguments {
    char *operands[ARGUMENTS_MAX_OPERANDS]; /* borrowed from argv */
    int operand_count;
    unsigned options; /* which rows of the table of options were given, a bit each */
    bool is_help, is_version;
};

/* Fills in *context and *ret. *err is ERR_CONFIG and says what was expected. */
bool arguments_read(int argc, char **argv, struct context *context, struct arguments *ret,
                    struct err *err) MUST_CHECK;
/* Whether all that were given are among a command's. */
bool arguments_suit(const struct arguments *arguments, const struct command *command,
                    struct err *err) MUST_CHECK;
/* The options of a command, or with ~0u all, a line each. */
void arguments_print(FILE *file, unsigned options);

#endif
