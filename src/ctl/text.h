/* text.h - text that somebody else wrote (an id, a provider's reply), on its way
 * to a terminal or a script. */
#ifndef HERALD_CTL_TEXT_H
#define HERALD_CTL_TEXT_H

#include <stddef.h>
#include <stdio.h>

/* Printable ASCII as it is, an ellipsis as three dots, anything else as \xNN and a backslash as \\: nothing
 * moves a cursor, hides or turns round. */
void text_print(FILE *file, const char *text);

/* A JSON string with its quotes: valid whatever the bytes are, and without controls. */
void text_json(FILE *file, const char *text, size_t len);

#endif
