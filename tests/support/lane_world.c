/* lane_world.c - a lane and all it needs, for one test; see lane_world.h. */
#include "lane_world.h"

#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "herald/clock.h"

#define PATIENCE_MS 30000
#define LEASE_MS 60000

static void __attribute__((noreturn, format(printf, 1, 2))) give_up(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("lane_world: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

static void ring(void *arg)
{
    struct lane_world *world = arg;

    (void)eventfd_write(world->bell, 1);
}

void lane_world_write(const struct lane_world *world, const char *name, const char *text)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", world->directory, name);
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0)
        give_up("%s: %s", path, strerror(errno));
}

void lane_world_init(struct lane_world *world)
{
    struct err err = {0};

    memset(world, 0, sizeof(*world));
    snprintf(world->directory, sizeof(world->directory), "/tmp/herald-lane-XXXXXX");
    if (mkdtemp(world->directory) == NULL)
        give_up("mkdtemp: %s", strerror(errno));
    lane_world_write(world, "templates/note/subject.txt", "Order {{orderId}}\n");
    lane_world_write(world, "templates/note/body.txt",
                     "Thank you, {{recipient.name}}, for {{orderId}}.\n{{words}}\n");
    lane_world_write(world, "templates/note/push.json",
                     "{\"order\":{{{orderId}}},\"to\":{{{device.token}}}}\n");
    lane_world_write(world, "templates/note/webhook.json",
                     "{\"order\":{{{orderId}}},\"key\":{{{delivery.key}}}}\n");
    world->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (world->bell < 0 || !mailbox_new(ring, world, &world->mailbox, &err))
        give_up("mailbox: %s", err.text);
}

void lane_world_configure(struct lane_world *world, enum channel channel, const char *other,
                          const char *provider)
{
    struct err err = {0};
    char text[4096];
    char path[256];

    snprintf(text, sizeof(text),
             "[herald]\ntemplates = templates\nlease_margin = 100ms\n%s\n"
             "[source s]\nchannel = c\nnotification = note\n"
             "[notification note]\nchannels = %s\n"
             "[provider p]\nchannel = %s\n%s\n",
             other != NULL ? other : "", channel_name(channel), channel_name(channel), provider);
    lane_world_write(world, "herald.conf", text);
    snprintf(path, sizeof(path), "%s/herald.conf", world->directory);
    if (!config_load(path, &world->config, &err))
        give_up("%s", err.text);
}

void lane_world_start(struct lane_world *world)
{
    struct err err = {0};
    struct lane_options options = {.config = world->config,
                                   .provider = config_provider(world->config, "p"),
                                   .mailbox = world->mailbox,
                                   .gate = &world->gate};

    if (!lane_check(options.provider, &err) || !lane_start(&options, &world->lane, &err))
        give_up("%s", err.text);
}

static int remove_one(const char *path, const struct stat *stat_now, int type, struct FTW *ftw)
{
    (void)stat_now;
    (void)type;
    (void)ftw;
    return remove(path);
}

void lane_world_done(struct lane_world *world)
{
    if (world->lane != NULL) {
        int64_t deadline_ms = clock_mono_ms() + PATIENCE_MS;
        lane_give_back(world->lane);
        lane_stop(world->lane);
        while (!lane_is_stopped(world->lane)) {
            if (clock_mono_ms() > deadline_ms)
                give_up("the lane does not stop");
            poll(NULL, 0, 1);
        }
        lane_free(world->lane);
    }
    for (struct delivery *late = mailbox_take(world->mailbox), *next; late != NULL; late = next) {
        next = late->next;
        lane_world_release(world, late);
    }
    while (world->arrived != NULL) {
        struct delivery *next = world->arrived->next;
        lane_world_release(world, world->arrived);
        world->arrived = next;
    }
    mailbox_free(world->mailbox);
    config_unref(world->config);
    close(world->bell);
    nftw(world->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

struct delivery *lane_world_delivery_of(struct lane_world *world, enum channel channel, const char *to,
                                        const char *text)
{
    struct delivery *delivery = NULL;
    struct err err = {0};
    struct event event = {0};
    struct buffer bytes;
    char device[256];
    struct payload_target target = {.channel = channel, .provider = "p"};

    snprintf(event.id, sizeof(event.id), "o-%u", ++world->made);
    event_eid("note", event.id, event.eid);
    snprintf(event.traceparent, sizeof(event.traceparent), "00-%032x-%016x-01", world->made, world->made);
    snprintf(device, sizeof(device), "{\"provider\":\"p\",\"token\":\"%s\"}", to);
    if (channel == CHANNEL_EMAIL)
        target.email = to;
    if (channel == CHANNEL_PUSH)
        target.device = device;
    struct payload payload = {.notification = "note",
                              .source = "s",
                              .event = &event,
                              .name = "Ann",
                              .targets = &target,
                              .target_count = 1,
                              .bytes = text,
                              .bytes_len = strlen(text)};
    buffer_init(&bytes, 1 << 20);
    payload_write(&payload, &bytes);
    if (bytes.failed || !delivery_from_payload(bytes.data, bytes.len, event.eid, 0, &delivery, &err))
        give_up("delivery: %s", err.text);
    buffer_done(&bytes);
    delivery->config = config_ref(world->config);
    delivery->lane = world->lane;
    delivery->fence = 1;
    delivery->attempt_number = 1;
    delivery->accepted_ms = 1767261600000 + world->made;
    delivery->epoch = atomic_load(&world->gate.epoch);
    delivery->leased_mono_ms = clock_mono_ms();
    atomic_store(&delivery->lease_until_ms, delivery->leased_mono_ms + LEASE_MS);
    return delivery;
}

struct delivery *lane_world_delivery(struct lane_world *world, enum channel channel, const char *to)
{
    char text[64];

    snprintf(text, sizeof(text), "{\"orderId\":\"o-%u\"}", world->made + 1);
    return lane_world_delivery_of(world, channel, to, text);
}

void lane_world_push(struct lane_world *world, struct delivery *delivery)
{
    lane_push(world->lane, delivery);
}

struct delivery *lane_world_wait(struct lane_world *world)
{
    int64_t deadline_ms = clock_mono_ms() + PATIENCE_MS;

    while (world->arrived == NULL) {
        struct pollfd ready = {.fd = world->bell, .events = POLLIN};
        eventfd_t rings;
        int64_t left_ms = deadline_ms - clock_mono_ms();
        if (left_ms <= 0)
            give_up("nothing came back");
        poll(&ready, 1, (int)left_ms);
        (void)eventfd_read(world->bell, &rings);
        world->arrived = mailbox_take(world->mailbox);
    }
    struct delivery *first = world->arrived;
    world->arrived = first->next;
    first->next = NULL;
    return first;
}

void lane_world_release(struct lane_world *world, struct delivery *delivery)
{
    (void)world;
    config_unref(delivery->config);
    delivery_free(delivery);
}

struct attempt lane_world_try(struct lane_world *world, enum channel channel, const char *to)
{
    lane_world_push(world, lane_world_delivery(world, channel, to));
    struct delivery *delivery = lane_world_wait(world);
    struct attempt attempt = delivery->attempt;
    lane_world_release(world, delivery);
    return attempt;
}

char *lane_world_read(const struct lane_world *world, const char *name)
{
    char path[256];
    struct buffer text;
    char *taken = NULL;
    size_t len = 0;

    snprintf(path, sizeof(path), "%s/%s", world->directory, name);
    buffer_init(&text, 16 << 20);
    FILE *file = fopen(path, "r");
    if (file != NULL) {
        char piece[4096];
        for (size_t got; (got = fread(piece, 1, sizeof(piece), file)) > 0;)
            buffer_append(&text, piece, got);
        fclose(file);
    }
    if (!buffer_take(&text, &taken, &len))
        give_up("%s: too long", path);
    return taken;
}

size_t lane_world_count_lines(const struct lane_world *world, const char *name)
{
    char *text = lane_world_read(world, name);
    size_t lines = 0;

    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    free(text);
    return lines;
}
