/* file.h - opening what an operator named. Any thread; blocks on files. */
#ifndef HERALD_FILE_H
#define HERALD_FILE_H

/* A descriptor that reads the regular file at `path`, the caller's to close; or -1 with errno set and
 * *ret_complaint a text that lives until the thread's next call of strerror. Anything else that has a name (a
 * FIFO, a device, a directory) is refused with EINVAL: opening or reading it might never end. */
int file_open_regular(const char *path, const char **ret_complaint);

#endif
