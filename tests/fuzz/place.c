/* place.c - see place.h. What goes wrong here is the machine's fault and ends the program. */
#include "place.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[PLACE_PATH / 2];

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info, (void)kind, (void)walk;
    return remove(path);
}

static void remove_all(void)
{
    nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void fail(const char *what)
{
    perror(what);
    _exit(2);
}

const char *place(void)
{
    const char *parent = getenv("TMPDIR");
    if (directory[0] != '\0')
        return directory;
    char resolved[4096];
    if (realpath(parent != NULL ? parent : "/tmp", resolved) == NULL || strlen(resolved) > 200)
        fail("TMPDIR");
    snprintf(directory, sizeof(directory), "%.200s/herald-fuzz-XXXXXX", resolved);
    if (mkdtemp(directory) == NULL)
        fail(directory);
    atexit(remove_all);
    return directory;
}

void place_path(const char *name, char ret[PLACE_PATH])
{
    snprintf(ret, PLACE_PATH, "%s/%s", place(), name);
}

void place_write(const char *name, const void *bytes, size_t len)
{
    char path[PLACE_PATH];
    place_path(name, path);
    FILE *file = fopen(path, "wb");
    if (file == NULL || (len > 0 && fwrite(bytes, 1, len, file) != len) || fclose(file) != 0)
        fail(path);
}

void place_make_directory(const char *name)
{
    char path[PLACE_PATH];
    place_path(name, path);
    if (mkdir(path, 0700) != 0)
        fail(path);
}
