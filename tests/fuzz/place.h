/* place.h - a directory for one target's files: made at the first call, gone when the program ends. */
#ifndef HERALD_FUZZ_PLACE_H
#define HERALD_FUZZ_PLACE_H

#include <stddef.h>

const char *place(void); /* its absolute path, under $TMPDIR or /tmp */

#define PLACE_PATH 512
/* "DIRECTORY/name" */
void place_path(const char *name, char ret[PLACE_PATH]);
/* Writes a file in it, anew. */
void place_write(const char *name, const void *bytes, size_t len);
void place_make_directory(const char *name);

#endif
