/* maildir.c - mail into a directory, for whoever has no mail server yet. It does not deliver, and STATUS says
 * so.
 *
 * The Maildir form (https://cr.yp.to/proto/maildir.html): written to tmp, flushed, renamed into new. The name
 * comes from the delivery's key and time of acceptance, so a repeat overwrites its own file; one that a mail
 * reader has moved to cur by then stays there. The directory is bounded by max_messages: the threads of a
 * lane divide what room there is and count again when that is used up, so it can be passed by the number of
 * threads, not more. The lane's threads; blocks on files. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver.h"
#include "herald/clock.h"
#include "render.h"

#define NAME_BYTES 80  /* seconds, key, ".herald" */
#define PATH_BYTES 128 /* and a folder in front, process and thread behind */

struct maildir {
    struct worker *worker; /* borrowed: owns us */
    struct buffer message;
    size_t room; /* messages this thread may write before it counts again */
};

static bool check(const struct config_provider *provider, struct err *err)
{
    struct stat stat_now;

    if (provider->path == NULL || provider->path[0] == '\0')
        return err_set(err, ERR_CONFIG, "path: missing");
    if (stat(provider->path, &stat_now) != 0) {
        if (errno == ENOENT)
            return true; /* made when the first mail comes */
        return err_set(err, ERR_CONFIG, "path: %s: %s", provider->path, strerror(errno));
    }
    if (!S_ISDIR(stat_now.st_mode))
        return err_set(err, ERR_CONFIG, "path: %s: not a directory", provider->path);
    if (access(provider->path, W_OK | X_OK) != 0)
        return err_set(err, ERR_CONFIG, "path: %s: %s", provider->path, strerror(errno));
    return true;
}

static void shape(const struct config_provider *provider, size_t *ret_threads, size_t *ret_transfers)
{
    *ret_threads = *ret_transfers = provider->connections;
}

static bool open_worker(struct worker *worker, void **ret, struct err *err)
{
    struct maildir *maildir = calloc(1, sizeof(*maildir));

    if (maildir == NULL)
        return err_set(err, ERR_NOMEM, "maildir: out of memory");
    maildir->worker = worker;
    buffer_init(&maildir->message, RENDER_MAX_BYTES);
    *ret = maildir;
    return true;
}

static void close_worker(void *state)
{
    struct maildir *maildir = state;

    if (maildir == NULL)
        return;
    buffer_done(&maildir->message);
    free(maildir);
}

/* ---- the directory ------------------------------------------------------------------------------------ */

static bool fail(struct err *err, const char *what)
{
    return err_set(err, errno == EMFILE || errno == ENFILE || errno == ENOMEM ? ERR_NOMEM : ERR_TRANSIENT,
                   "%s: %s", what, strerror(errno));
}

/* Parents too, like mkdir -p. */
static bool make_path(const char *path, struct err *err)
{
    char *copy = strdup(path);
    bool is_made = copy != NULL;

    for (char *at = copy; is_made && (at = strchr(at + 1, '/')) != NULL;) {
        *at = '\0';
        is_made = mkdir(copy, 0700) == 0 || errno == EEXIST;
        *at = '/';
    }
    is_made = is_made && (mkdir(copy, 0700) == 0 || errno == EEXIST);
    if (!is_made)
        fail(err, path);
    free(copy);
    return is_made;
}

/* *ret is a descriptor of the directory, with its three folders. */
static bool open_directory(const char *path, int *ret, struct err *err)
{
    static const char *const folders[] = {"tmp", "new", "cur"};

    if (!make_path(path, err))
        return false;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, path);
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        if (mkdirat(fd, folders[i], 0700) != 0 && errno != EEXIST) {
            fail(err, folders[i]);
            close(fd);
            return false;
        }
    }
    *ret = fd;
    return true;
}

/* How many messages a folder holds; with `name`, whether one of them is that, whatever flags its reader has
 * put behind it. */
static bool scan(int directory, const char *folder, const char *name, size_t *ret_count, bool *ret_has,
                 struct err *err)
{
    int fd = openat(directory, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);

    if (entries == NULL) {
        fail(err, folder);
        if (fd >= 0)
            close(fd);
        return false;
    }
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        ++*ret_count;
        size_t len = name != NULL ? strlen(name) : 0;
        if (name != NULL && strncmp(entry->d_name, name, len) == 0 &&
            (entry->d_name[len] == '\0' || entry->d_name[len] == ':'))
            *ret_has = true;
    }
    closedir(entries);
    return true;
}

static bool has_room(struct maildir *maildir, int directory, struct err *err)
{
    const struct config_provider *provider = maildir->worker->provider;
    size_t count = 0;
    bool has = false;

    if (maildir->room > 0)
        return true;
    if (!scan(directory, "new", NULL, &count, &has, err) || !scan(directory, "cur", NULL, &count, &has, err))
        return false;
    if (count >= provider->max_messages)
        return err_set(err, ERR_TRANSIENT,
                       "%s holds %zu messages, max_messages is %u: empty it or configure a mail server",
                       provider->path, count, provider->max_messages);
    maildir->room = (provider->max_messages - count) / maildir->worker->count;
    if (maildir->room == 0)
        maildir->room = 1;
    return true;
}

static bool write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, bytes, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        bytes += written;
        len -= (size_t)written;
    }
    return true;
}

/* Into tmp, flushed. The file is gone again on false. */
static bool write_file(int directory, const char *name, const struct buffer *message, struct err *err)
{
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return fail(err, name);
    bool is_written = write_all(fd, message->data, message->len) && fsync(fd) == 0;
    if (!is_written)
        fail(err, name);
    if (close(fd) != 0 && is_written) {
        is_written = false;
        fail(err, name);
    }
    if (!is_written)
        unlinkat(directory, name, 0);
    return is_written;
}

static bool flush_folder(int directory, const char *folder)
{
    int fd = openat(directory, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_flushed = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    return is_flushed;
}

/* ---- one mail ----------------------------------------------------------------------------------------- */

/* The rename is the commit point. False with an empty *err: the delivery may no longer be sent. */
static bool commit(struct maildir *maildir, int directory, struct delivery *delivery, const char *tmp,
                   const char *name, struct err *err)
{
    struct attempt *attempt = &delivery->attempt;
    char target[PATH_BYTES];

    snprintf(target, sizeof(target), "new/%s", name);
    if (!worker_commit(maildir->worker, delivery)) {
        attempt->abort = ABORT_LEASE;
        return false;
    }
    attempt->first_byte_mono_us = clock_mono_us();
    if (renameat(directory, tmp, directory, target) != 0) {
        attempt->is_committed = false; /* a rename happens or doesn't */
        return fail(err, target);
    }
    return true;
}

static bool deliver(struct maildir *maildir, int directory, struct delivery *delivery, struct err *err)
{
    struct attempt *attempt = &delivery->attempt;
    char name[NAME_BYTES];
    char tmp[PATH_BYTES];
    size_t count = 0;
    bool has = false;

    snprintf(name, sizeof(name), "%lld.%s.herald", (long long)(delivery->accepted_ms / 1000), delivery->key);
    snprintf(tmp, sizeof(tmp), "tmp/%s.%ld.%zu", name, (long)getpid(), maildir->worker->index);
    if (delivery->attempt_number > 1 || delivery->crashes > 0) { /* an earlier attempt may have got there */
        if (!scan(directory, "cur", name, &count, &has, err))
            return false;
        if (has) {
            attempt->is_committed = true;
            return true;
        }
    }
    if (!has_room(maildir, directory, err) || !write_file(directory, tmp, &maildir->message, err))
        return false;
    if (!commit(maildir, directory, delivery, tmp, name, err)) {
        unlinkat(directory, tmp, 0);
        return false;
    }
    maildir->room--;
    if (!flush_folder(directory, "new")) {
        attempt->transport = TRANSPORT_BROKEN; /* it is there, and may be gone after a power cut */
        return fail(err, "new");
    }
    return true;
}

static void send_mail(struct maildir *maildir, struct delivery *delivery)
{
    struct attempt *attempt = &delivery->attempt;
    struct err err = {0};
    int directory = -1;

    bool is_done = open_directory(maildir->worker->provider->path, &directory, &err) &&
                   deliver(maildir, directory, delivery, &err);
    if (directory >= 0)
        close(directory);
    if (is_done) {
        attempt->code = 250;
        return;
    }
    if (attempt->abort == ABORT_NONE && !attempt->is_committed)
        attempt->transport = err.kind == ERR_NOMEM ? TRANSPORT_INTERNAL : TRANSPORT_CONNECT;
    worker_note(attempt, err.text, strlen(err.text));
}

static void begin(void *state, struct delivery *delivery)
{
    struct maildir *maildir = state;

    if (worker_render(maildir->worker, delivery, &maildir->message))
        send_mail(maildir, delivery);
    worker_finish(maildir->worker, delivery);
    worker_trim(&maildir->message);
}

const struct driver driver_maildir = {
    .name = "maildir",
    .protocol = ATTEMPT_LOCAL,
    .check = check,
    .shape = shape,
    .open = open_worker,
    .close = close_worker,
    .begin = begin,
};
