/* replay.c - stands in for libFuzzer: gives every file of a directory to
 * the target once. So what was found once, and what was thought of by hand, is tried by every build and every
 * compiler. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_FILE (1024 * 1024) /* seeds are small; one that isn't was put there by mistake */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* In memory of exactly its length, so that AddressSanitizer sees a byte read behind it. */
static int replay(const char *path)
{
    static uint8_t room[MAX_FILE];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return -1;
    }
    size_t len = fread(room, 1, sizeof(room), file);
    int is_bad = ferror(file) || len == sizeof(room);
    fclose(file);
    uint8_t *bytes = malloc(len > 0 ? len : 1);
    if (is_bad || bytes == NULL) {
        fprintf(stderr, "%s: could not be read, or is too large\n", path);
        free(bytes);
        return -1;
    }
    for (size_t i = 0; i < len; i++)
        bytes[i] = room[i];
    printf("%s\n", path);
    fflush(stdout); /* the last line names the file that an assertion fell over */
    int status = LLVMFuzzerTestOneInput(bytes, len);
    free(bytes);
    return status;
}

int main(int argc, char **argv)
{
    int count = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    DIR *directory = opendir(argv[1]);
    if (directory == NULL) {
        perror(argv[1]);
        return 2;
    }
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
        if (replay(path) != 0)
            return 1;
        count++;
    }
    closedir(directory);
    if (count == 0) {
        fprintf(stderr, "%s: there is nothing in it\n", argv[1]);
        return 1;
    }
    return 0;
}
