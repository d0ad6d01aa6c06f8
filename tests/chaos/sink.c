/* sink.c - the receiver of the fault suite: SMTP and HTTP/1.1 on 127.0.0.1, quick enough to be no part of
 * what is tested. What came in, and what it will be told, is on disk before the answer is on the wire: one
 * sync for all that a turn of the loop has to say. Times are taken before it.
 *
 * usage: chaos_sink LOG SEED smtp:NAME:PORT http:NAME:PORT ...; one thread, until SIGTERM.
 *
 * A line of LOG, its fields tab-separated, times in microseconds of the wall clock:
 *     D time name serial id recipient hash order mark     the final dot, or a request's last byte, is here
 *     R time serial code                                  what it is about to be told; 0: nothing, and closed
 *     N time name stage code                              refused before that
 *
 * A line of standard input is a rule, "NAME STAGE WHAT PERCENT [MS]": at that stage (connect, ehlo, mail,
 * rcpt, data, final) so many in a hundred get WHAT: "drop", "slow" (by MS) or a reply's code (421 closes
 * too). "NAME clear" takes its rules away. NAME "*" means all. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CLIENTS 512   /* two instances' connections to four ports, and those that are closing */
#define MAX_SERVICES 8    /* lanes of a test's configuration */
#define MAX_RULES 16      /* of one service */
#define MAX_BUFFER 65536  /* the suite's messages have 2 KiB */
#define MAX_NOTES 1048576 /* of one turn: every client once, at under 1 KiB */

enum stage { CONNECT, EHLO, MAIL, RCPT, DATA, FINAL, STAGES };
static const char *const stage_names[STAGES] = {"connect", "ehlo", "mail", "rcpt", "data", "final"};

struct rule {
    enum stage stage;
    int code; /* 0: drop, -1: slow */
    int slow_ms;
    int percent;
};

struct service {
    char name[32];
    bool is_http;
    struct rule rules[MAX_RULES];
    size_t rule_count;
};

struct client {
    struct service *service;
    char buffer[MAX_BUFFER];
    size_t len;
    bool is_data;
    char recipient[256];
    unsigned long serial; /* of what is being answered; 0: a step before the final one */
    char reply[128];      /* "": nothing to say */
    int code;
    bool is_last; /* closed once the reply is out */
    int64_t due_us;
};

static struct service services[MAX_SERVICES];
static size_t service_count;
static struct client *clients[MAX_CLIENTS];
static struct pollfd polled[1 + MAX_SERVICES + MAX_CLIENTS]; /* standard input, listeners, clients */
static char notes[MAX_NOTES];
static size_t notes_len;
static unsigned long serials;
static int log_fd;

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

#define NOTE(...) (notes_len += (size_t)snprintf(notes + notes_len, sizeof notes - notes_len, __VA_ARGS__))

static void write_notes(void)
{
    if (notes_len == 0)
        return;
    if (notes_len >= sizeof notes || write(log_fd, notes, notes_len) != (ssize_t)notes_len ||
        fdatasync(log_fd) < 0) {
        perror("chaos_sink: log");
        exit(1); /* a judge without evidence is worse than no test */
    }
    notes_len = 0;
}

/* ---- what to answer ----------------------------------------------------------------------------------- */

static void answer(struct client *client, enum stage stage, int code, const char *text)
{
    int64_t delay_ms = 0;
    bool is_decided = false;

    client->code = code;
    client->is_last = false;
    for (size_t i = 0; i < client->service->rule_count; i++) {
        const struct rule *rule = &client->service->rules[i];
        if (rule->stage != stage || random() % 100 >= rule->percent)
            continue;
        if (rule->code < 0) {
            delay_ms += rule->slow_ms;
        } else if (!is_decided) {
            is_decided = true;
            client->code = rule->code;
            client->is_last = rule->code == 0 || rule->code == 421;
        }
    }
    client->due_us = now_us() + delay_ms * 1000;
    if (client->code == 0)
        client->reply[0] = '\0';
    else if (client->service->is_http)
        snprintf(client->reply, sizeof client->reply, "HTTP/1.1 %d as told\r\nContent-Length: 0\r\n\r\n",
                 client->code);
    else
        snprintf(client->reply, sizeof client->reply, "%d %s\r\n", client->code,
                 is_decided ? "as told" : text);
}

/* The value of a header that begins a line within [from, end), cut at its line's end. */
static void header(const char *from, const char *end, const char *name, char *ret, size_t room)
{
    size_t name_len = strlen(name);

    snprintf(ret, room, "-");
    for (const char *line = from; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        stop = stop != NULL ? stop : end;
        if ((size_t)(stop - line) > name_len && strncasecmp(line, name, name_len) == 0 &&
            line[name_len] == ':') {
            const char *value = line + name_len + 1;
            while (value < stop && *value == ' ')
                value++;
            size_t len = strcspn(value, "\r\n");
            snprintf(ret, room, "%.*s", (int)len, value);
            return;
        }
        line = stop + 1;
    }
}

/* What follows `name` in [from, end), to the next of `stops`. */
static void behind(const char *from, const char *end, const char *name, const char *stops, char *ret,
                   size_t room)
{
    const char *found = memmem(from, (size_t)(end - from), name, strlen(name));

    snprintf(ret, room, "-");
    if (found == NULL)
        return;
    found += strlen(name);
    size_t len = 0;
    while (found + len < end && strchr(stops, found[len]) == NULL)
        len++;
    snprintf(ret, room, "%.*s", (int)len, found);
}

static uint64_t hash_of(const char *bytes, size_t len)
{
    uint64_t hash = 1469598103934665603u; /* FNV-1a: it only has to tell two messages apart */
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211u;
    return hash;
}

static void note_arrival(struct client *client, const char *head, const char *body, const char *end,
                         const char *hashed)
{
    bool is_http = client->service->is_http;
    char id[160], order[64], mark[128];

    header(head, body, is_http ? "Idempotency-Key" : "Message-ID", id, sizeof id);
    if (is_http) {
        behind(body, end, "\"orderId\":\"", "\"", order, sizeof order);
        behind(body, end, "\"userId\":\"", "\"", mark, sizeof mark);
    } else {
        header(head, body, "Subject", order, sizeof order);
        behind(body, end, "mark:", ":\r\n", mark, sizeof mark);
    }
    client->serial = ++serials;
    NOTE("D\t%lld\t%s\t%lu\t%s\t%s\t%016llx\t%s\t%s\n", (long long)now_us(), client->service->name,
         client->serial, id, client->recipient[0] != '\0' ? client->recipient : "-",
         (unsigned long long)hash_of(hashed, (size_t)(end - hashed)), order, mark);
}

static void step(struct client *client, enum stage stage, int code, const char *text)
{
    answer(client, stage, code, text);
    if (stage != FINAL && (client->code < 200 || client->code >= 400))
        NOTE("N\t%lld\t%s\t%s\t%d\n", (long long)now_us(), client->service->name, stage_names[stage],
             client->code);
}

/* ---- SMTP and HTTP ------------------------------------------------------------------------------------ */

static size_t take_smtp(struct client *client)
{
    const char *mark = client->is_data ? "\r\n.\r\n" : "\r\n";
    char *end = memmem(client->buffer, client->len, mark, strlen(mark));

    if (end == NULL)
        return 0;
    if (client->is_data) {
        const char *body = memmem(client->buffer, (size_t)(end - client->buffer), "\r\n\r\n", 4);
        client->is_data = false;
        note_arrival(client, client->buffer, body != NULL ? body : end, end, client->buffer);
        step(client, FINAL, 250, "2.0.0 Ok");
    } else if (strncasecmp(client->buffer, "EHLO", 4) == 0) {
        step(client, EHLO, 250, "chaos.test");
    } else if (strncasecmp(client->buffer, "MAIL", 4) == 0) {
        step(client, MAIL, 250, "2.1.0 Ok");
    } else if (strncasecmp(client->buffer, "RCPT", 4) == 0) {
        behind(client->buffer, end, "<", ">", client->recipient, sizeof client->recipient);
        step(client, RCPT, 250, "2.1.5 Ok");
    } else if (strncasecmp(client->buffer, "DATA", 4) == 0) {
        step(client, DATA, 354, "End data with <CR><LF>.<CR><LF>");
        client->is_data = client->code == 354;
    } else if (strncasecmp(client->buffer, "QUIT", 4) == 0) {
        snprintf(client->reply, sizeof client->reply, "221 2.0.0 Bye\r\n");
        client->is_last = true;
    } else {
        snprintf(client->reply, sizeof client->reply, "250 Ok\r\n");
    }
    return (size_t)(end - client->buffer) + strlen(mark);
}

static size_t take_http(struct client *client)
{
    char *body = memmem(client->buffer, client->len, "\r\n\r\n", 4);
    char length[32];

    if (body == NULL)
        return 0;
    body += 4;
    header(client->buffer, body, "Content-Length", length, sizeof length);
    size_t whole = (size_t)(body - client->buffer) + strtoul(length, NULL, 10);
    if (client->len < whole)
        return 0;
    note_arrival(client, client->buffer, body, client->buffer + whole, body);
    step(client, FINAL, 200, "");
    return whole;
}

static bool has_reply(const struct client *client)
{
    return client->reply[0] != '\0' || client->is_last;
}

/* Takes one command, mail or request after the other off the buffer; the next one
 * waits for this one's reply. */
static void take(struct client *client)
{
    size_t used = 0;
    if (!has_reply(client))
        used = client->service->is_http ? take_http(client) : take_smtp(client);
    client->len -= used;
    memmove(client->buffer, client->buffer + used, client->len);
}

static void drop(size_t i)
{
    struct pollfd *pollfd = &polled[1 + MAX_SERVICES + i];
    close(pollfd->fd);
    pollfd->fd = -1;
    free(clients[i]);
    clients[i] = NULL;
}

static void receive(size_t i)
{
    struct client *client = clients[i];
    ssize_t got = read(polled[1 + MAX_SERVICES + i].fd, client->buffer + client->len,
                       sizeof client->buffer - client->len);
    if (got <= 0) {
        if (client->serial != 0) /* it left before it was told */
            NOTE("R\t%lld\t%lu\t%d\n", (long long)now_us(), client->serial, client->code);
        drop(i);
        return;
    }
    client->len += (size_t)got;
    take(client);
}

/* Says what is due; before that the log has it. */
static void reply_all(void)
{
    static bool is_due[MAX_CLIENTS];
    int64_t now = now_us();

    for (size_t i = 0; i < MAX_CLIENTS; i++) {
        struct client *client = clients[i];
        is_due[i] = client != NULL && has_reply(client) && client->due_us <= now;
        if (is_due[i] && client->serial != 0) {
            NOTE("R\t%lld\t%lu\t%d\n", (long long)now, client->serial, client->code);
            client->serial = 0;
        }
    }
    write_notes();
    for (size_t i = 0; i < MAX_CLIENTS; i++) {
        if (!is_due[i])
            continue;
        struct client *client = clients[i];
        ssize_t written =
            send(polled[1 + MAX_SERVICES + i].fd, client->reply, strlen(client->reply), MSG_NOSIGNAL);
        (void)written; /* a client that is gone is seen when reading */
        client->reply[0] = '\0';
        if (client->is_last)
            drop(i);
        else
            take(client);
    }
}

static int next_due_ms(void)
{
    int64_t first = -1, now = now_us();
    for (size_t i = 0; i < MAX_CLIENTS; i++)
        if (clients[i] != NULL && has_reply(clients[i]) && (first < 0 || clients[i]->due_us < first))
            first = clients[i]->due_us;
    if (first < 0)
        return -1;
    return first <= now ? 0 : (int)((first - now) / 1000 + 1);
}

static void greet(struct service *service, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), on = 1;
    size_t i = 0;

    while (i < MAX_CLIENTS && clients[i] != NULL)
        i++;
    struct client *client = fd >= 0 && i < MAX_CLIENTS ? calloc(1, sizeof *client) : NULL;
    if (client == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    client->service = service;
    clients[i] = client;
    polled[1 + MAX_SERVICES + i] = (struct pollfd){.fd = fd, .events = POLLIN};
    if (!service->is_http)
        step(client, CONNECT, 220, "chaos.test ESMTP");
}

/* ---- rules -------------------------------------------------------------------------------------------- */

static void add_rule(struct service *service, const char *stage, const char *what, int number, int percent)
{
    struct rule rule = {.percent = percent, .slow_ms = number};

    rule.code = strcmp(what, "drop") == 0 ? 0 : strcmp(what, "slow") == 0 ? -1 : (int)strtol(what, NULL, 10);
    while (rule.stage < STAGES && strcmp(stage_names[rule.stage], stage) != 0)
        rule.stage++;
    if (rule.stage < STAGES && service->rule_count < MAX_RULES)
        service->rules[service->rule_count++] = rule;
}

static void take_rule(const char *line)
{
    char name[32], stage[16], what[16];
    int number = 0, percent = 0;
    int fields = sscanf(line, "%31s %15s %15s %d %d", name, stage, what, &percent, &number);

    for (size_t i = 0; i < service_count; i++) {
        if (strcmp(name, "*") != 0 && strcmp(name, services[i].name) != 0)
            continue;
        if (fields == 2)
            services[i].rule_count = 0;
        else if (fields >= 4)
            add_rule(&services[i], stage, what, number, percent);
    }
}

static void read_rules(void)
{
    static char text[4096];
    static size_t len;
    ssize_t got = read(STDIN_FILENO, text + len, sizeof text - 1 - len);

    if (got <= 0) {
        polled[0].fd = -1;
        return;
    }
    len += (size_t)got;
    text[len] = '\0';
    char *line = text;
    for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        take_rule(line);
    }
    len = strlen(line);
    memmove(text, line, len);
}

static bool listen_on(const char *spec)
{
    struct service *service = &services[service_count];
    char kind[8];
    unsigned port = 0;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (service_count == MAX_SERVICES || sscanf(spec, "%7[^:]:%31[^:]:%u", kind, service->name, &port) != 3)
        return false;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    service->is_http = strcmp(kind, "http") == 0;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, MAX_CLIENTS) != 0)
        return false;
    polled[1 + service_count++] = (struct pollfd){.fd = listener, .events = POLLIN};
    return true;
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof polled / sizeof polled[0]; i++)
        polled[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    polled[0].fd = STDIN_FILENO;
    log_fd = argc > 3 ? open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    bool is_well = log_fd >= 0;
    for (int i = 3; i < argc && is_well; i++)
        is_well = listen_on(argv[i]);
    if (!is_well) {
        fprintf(stderr, "usage: chaos_sink LOG SEED smtp:NAME:PORT http:NAME:PORT ...\n");
        return 2;
    }
    srandom((unsigned)strtoul(argv[2], NULL, 10));
    for (;;) {
        if (poll(polled, sizeof polled / sizeof polled[0], next_due_ms()) < 0)
            continue;
        if (polled[0].revents != 0)
            read_rules();
        for (size_t i = 0; i < service_count; i++)
            if (polled[1 + i].revents != 0)
                greet(&services[i], polled[1 + i].fd);
        for (size_t i = 0; i < MAX_CLIENTS; i++)
            if (clients[i] != NULL && polled[1 + MAX_SERVICES + i].revents != 0)
                receive(i);
        reply_all();
    }
}
