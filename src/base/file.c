/* file.c - opening regular files without waiting; see file.h. */
#include "herald/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int file_open_regular(const char *path, const char **ret_complaint)
{
    struct stat info;
    /* Non-blocking: opening a FIFO waits for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        *ret_complaint = strerror(errno);
        return -1;
    }
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
        return fd;
    close(fd);
    errno = EINVAL;
    *ret_complaint = "expected a regular file";
    return -1;
}
