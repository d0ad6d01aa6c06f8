/* confirm.c - see confirm.h. */
#include "confirm.h"

#include <stdio.h>
#include <unistd.h>

bool confirm(const struct context *context, const char *question, struct err *err)
{
    if (context->is_sure)
        return true;
    if (!isatty(STDIN_FILENO))
        return err_set(err, ERR_CONFIG, "%s Nobody is there to be asked: expected --yes", question);
    char answer[16];
    fprintf(stderr, "%s [y/N] ", question);
    if (fgets(answer, sizeof answer, stdin) == NULL || (answer[0] != 'y' && answer[0] != 'Y'))
        return err_set(err, ERR_PERMANENT, "nothing was done");
    return true;
}
