/* file.c - tests of file_open_regular: what is opened, and that nothing is waited for. */
#include "herald/file.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/herald-file-XXXXXX";
static char path[64];

static void enter(void)
{
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/it", directory);
}

static void leave(void)
{
    remove(path);
    rmdir(directory);
}

TestSuite(file, .init = enter, .fini = leave);

static void expect_refused(const char *of, int number, const char *complaint)
{
    const char *said = NULL;
    errno = 0;
    cr_expect_eq(file_open_regular(of, &said), -1, "%s", of);
    cr_expect_eq(errno, number, "%s: %d", of, errno);
    cr_expect_str_eq(said, complaint);
}

Test(file, a_regular_file_is_opened_for_reading_and_not_handed_to_children)
{
    char byte;
    const char *complaint = NULL;
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs("x", file);
    fclose(file);
    int fd = file_open_regular(path, &complaint);
    cr_assert_geq(fd, 0, "%s", complaint);
    cr_expect_eq(read(fd, &byte, 1), 1);
    cr_expect_neq(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    close(fd);
}

Test(file, what_is_not_there_is_told_from_what_may_not_be_opened)
{
    expect_refused(path, ENOENT, strerror(ENOENT));
}

Test(file, a_fifo_without_a_writer_is_refused_at_once, .timeout = 10)
{
    cr_assert_eq(mkfifo(path, 0600), 0);
    expect_refused(path, EINVAL, "expected a regular file");
}

Test(file, a_directory_and_a_device_are_refused)
{
    expect_refused(directory, EINVAL, "expected a regular file");
    expect_refused("/dev/zero", EINVAL, "expected a regular file");
}
