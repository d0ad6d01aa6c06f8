/* stamp_sink.c - an SMTP receiver that knows how old a mail's first body byte is. The publisher puts
 * CLOCK_MONOTONIC, in nanoseconds and 19 digits, into the order's id; the subject carries it here as
 * "t<digits>". The age is taken when the bytes after 354 are first readable, before anything is done with
 * them. A program of its own, because a receiver in Python would measure itself.
 *
 * usage: stamp_sink PORT FILE; appends one line per mail, the age in microseconds or -1 without a stamp. One
 * thread, until SIGTERM.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CLIENTS 256
#define MAX_BUFFER 65536 /* the benchmark's mails are 2 KiB */
#define STAMP_DIGITS 19

struct client {
    char buffer[MAX_BUFFER];
    size_t len;
    bool is_data;
    int64_t first_byte_ns; /* of the mail that is coming in; 0: none yet */
};

static struct client clients[MAX_CLIENTS];
static struct pollfd polled[MAX_CLIENTS + 1]; /* the last is the listener */
static FILE *ages;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void say(int fd, const char *line)
{
    ssize_t written = write(fd, line, strlen(line));
    (void)written; /* a client that is gone is seen when reading */
}

static void note_age(const struct client *client, const char *end)
{
    const char *digits = NULL;
    for (const char *at = client->buffer; at + STAMP_DIGITS < end && digits == NULL; at++) {
        if (*at == 't' && strspn(at + 1, "0123456789") >= STAMP_DIGITS)
            digits = at + 1;
    }
    if (digits == NULL) {
        fprintf(ages, "-1\n");
        return;
    }
    char stamp[STAMP_DIGITS + 1] = {0};
    memcpy(stamp, digits, STAMP_DIGITS);
    fprintf(ages, "%lld\n", (long long)((client->first_byte_ns - strtoll(stamp, NULL, 10)) / 1000));
}

/* Takes one command line or one whole mail off the buffer; false if there is none yet. */
static bool take_one(struct client *client, int fd)
{
    const char *mark = client->is_data ? "\r\n.\r\n" : "\r\n";
    char *found = memmem(client->buffer, client->len, mark, strlen(mark));
    if (found == NULL)
        return false;
    char *next = found + strlen(mark);
    if (client->is_data) {
        note_age(client, found);
        client->is_data = false;
        client->first_byte_ns = 0;
        say(fd, "250 2.0.0 Ok\r\n");
    } else if (strncasecmp(client->buffer, "DATA", 4) == 0) {
        client->is_data = true;
        say(fd, "354 End data with <CR><LF>.<CR><LF>\r\n");
    } else if (strncasecmp(client->buffer, "QUIT", 4) == 0) {
        say(fd, "221 2.0.0 Bye\r\n");
    } else {
        say(fd, "250 Ok\r\n");
    }
    client->len -= (size_t)(next - client->buffer);
    memmove(client->buffer, next, client->len);
    return true;
}

/* False when the client is gone, or says more than fits. */
static bool serve(struct client *client, int fd)
{
    int64_t readable_ns = now_ns();
    ssize_t got = read(fd, client->buffer + client->len, sizeof client->buffer - client->len);
    if (got <= 0)
        return false;
    if (client->is_data && client->first_byte_ns == 0)
        client->first_byte_ns = readable_ns;
    client->len += (size_t)got;
    while (take_one(client, fd))
        continue;
    return client->len < sizeof client->buffer;
}

static void take_client(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    for (size_t i = 0; i < MAX_CLIENTS; i++) {
        if (polled[i].fd < 0) {
            int on = 1;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            polled[i].fd = fd;
            clients[i].len = 0;
            clients[i].is_data = false;
            clients[i].first_byte_ns = 0;
            say(fd, "220 stamp.test ESMTP\r\n");
            return;
        }
    }
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: stamp_sink PORT FILE\n");
        return 2;
    }
    ages = fopen(argv[2], "w");
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (ages == NULL || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, MAX_CLIENTS) != 0) {
        perror("stamp_sink");
        return 1;
    }
    setvbuf(ages, NULL, _IOLBF, 0); /* the benchmark counts the lines as they come */
    for (size_t i = 0; i < MAX_CLIENTS; i++)
        polled[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    polled[MAX_CLIENTS] = (struct pollfd){.fd = listener, .events = POLLIN};
    for (;;) {
        if (poll(polled, MAX_CLIENTS + 1, -1) < 0)
            continue;
        for (size_t i = 0; i < MAX_CLIENTS; i++) {
            if (polled[i].fd >= 0 && polled[i].revents != 0 && !serve(&clients[i], polled[i].fd)) {
                close(polled[i].fd);
                polled[i].fd = -1;
            }
        }
        if (polled[MAX_CLIENTS].revents != 0)
            take_client(listener);
    }
}
