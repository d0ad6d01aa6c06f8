/* ledger_world.c - see ledger_world.h. Main thread; everything blocks, with a deadline. */
#include "ledger_world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uv.h>

#include "loop.h"
#include "redis_server.h"

#define DEADLINE_MS 20000 /* of any wait: a loaded machine with sanitizers is slow */

struct err world_err;
unsigned world_limiter_errors;

static struct {
    struct redis_server *server;
    volatile int64_t *clock_us;
    redisContext *redis;
    redisReply *reply; /* of the last world_ask */
    uv_loop_t loop;
    struct config_redis config;
    struct link *link;
    bool is_link_closed;
    struct ledger *ledger;
    struct ledger *others[8];
    size_t other_count;
    bool is_answered;
} world;

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "ledger_world: %s\n", what);
    abort();
}

/* ── the server ── */

static void start_server(void)
{
    int fd = memfd_create("clock", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, sizeof *world.clock_us) != 0)
        give_up("no clock");
    void *page = mmap(NULL, sizeof *world.clock_us, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        give_up("no clock page");
    world.clock_us = page;
    *world.clock_us = INT64_C(1790000000000000); /* any time will do; an even microsecond */
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)getpid(), fd);
    setenv("SETTABLE_CLOCK", path, 1);
    setenv("LD_PRELOAD", SETTABLE_CLOCK_SO, 1);
    world.server = redis_server_new(NULL);
    unsetenv("LD_PRELOAD");
    close(fd);
    world.redis = redisConnectUnix(redis_server_socket(world.server));
    if (world.redis == NULL || world.redis->err != 0)
        give_up("no connection to redis-server");
}

static void stop_server(void)
{
    redisFree(world.redis);
    if (world.reply != NULL)
        freeReplyObject(world.reply);
    redis_server_free(world.server);
    munmap((void *)(uintptr_t)world.clock_us, sizeof *world.clock_us);
}

int64_t world_now_ms(void)
{
    return *world.clock_us / 1000;
}

void world_advance_us(int64_t us)
{
    *world.clock_us += us;
}

void world_advance_ms(int64_t ms)
{
    world_advance_us(ms * 1000);
}

static redisReply *ask(const char *format, va_list args)
{
    if (world.reply != NULL)
        freeReplyObject(world.reply);
    world.reply = redisvCommand(world.redis, format, args);
    if (world.reply == NULL)
        give_up(world.redis->errstr);
    return world.reply;
}

redisContext *world_redis(void)
{
    return world.redis;
}

redisReply *world_ask(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = ask(format, args);
    va_end(args);
    return reply;
}

int64_t world_number(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const redisReply *reply = ask(format, args);
    va_end(args);
    if (reply->type == REDIS_REPLY_INTEGER)
        return reply->integer;
    return reply->type == REDIS_REPLY_STRING ? strtoll(reply->str, NULL, 10) : INT64_MIN;
}

const char *world_text(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const redisReply *reply = ask(format, args);
    va_end(args);
    return reply->type == REDIS_REPLY_NIL ? NULL : reply->str;
}

/* ── the loop ── */

static void on_ready(void *arg)
{
    (void)arg;
}

static void on_lost(void *arg, const char *reason)
{
    (void)arg;
    (void)reason;
}

static void on_failed(void *arg, unsigned attempt, const char *reason)
{
    (void)arg;
    (void)attempt;
    (void)reason;
}

static bool is_link_ready(void *arg)
{
    (void)arg;
    return link_is_ready(world.link);
}

static bool is_nothing_pending(void *arg)
{
    (void)arg;
    size_t pending = ledger_pending(world.ledger);
    for (size_t i = 0; i < world.other_count; i++)
        pending += ledger_pending(world.others[i]);
    return pending == 0;
}

static bool is_answered(void *arg)
{
    (void)arg;
    return world.is_answered;
}

static bool is_link_closed(void *arg)
{
    (void)arg;
    return world.is_link_closed;
}

static bool run_until(bool (*is_done)(void *arg))
{
    return loop_until(&world.loop, is_done, NULL, DEADLINE_MS);
}

bool world_await(void)
{
    return run_until(is_nothing_pending);
}

void world_reconnect(void)
{
    if (!run_until(is_link_ready))
        give_up("the link did not become ready");
}

void world_cut(void)
{
    world_ask("CLIENT KILL TYPE normal SKIPME yes");
}

struct ledger_options world_options(void)
{
    return (struct ledger_options){.link = world.link,
                                   .prefix = "herald",
                                   .incarnation = WORLD_OWNER,
                                   .lease_ms = WORLD_LEASE_MS,
                                   .retain_ms = WORLD_RETAIN_MS};
}

struct ledger *world_ledger(void)
{
    return world.ledger;
}

struct ledger *world_other_ledger(const struct ledger_options *options)
{
    struct err err;
    struct ledger **ret = &world.others[world.other_count];
    if (!ledger_new(options, ret, &err))
        give_up(err.text);
    world.other_count++;
    return *ret;
}

void world_start(void)
{
    struct err err;
    start_server();
    uv_loop_init(&world.loop);
    world.config = (struct config_redis){.socket_path = (char *)(uintptr_t)redis_server_socket(world.server),
                                         .connect_timeout_ms = DEADLINE_MS,
                                         .command_timeout_ms = DEADLINE_MS};
    struct link_options options = {.loop = &world.loop,
                                   .redis = &world.config,
                                   .client_name = "ledger-test",
                                   .callbacks = {on_ready, on_lost, on_failed, NULL}};
    if (!link_open(&options, &world.link, &err))
        give_up(err.text);
    world_reconnect();
    struct ledger_options own = world_options();
    if (!ledger_new(&own, &world.ledger, &err))
        give_up(err.text);
}

static void on_closed(void *arg)
{
    (void)arg;
    world.is_link_closed = true;
}

void world_stop(void)
{
    static char complaints[4096];
    snprintf(complaints, sizeof complaints, "%s", world_fsck());
    world_claim(NULL, (struct claim_call){0});
    link_close(world.link, on_closed, NULL);
    if (!run_until(is_link_closed))
        give_up("the link did not close");
    ledger_free(world.ledger);
    for (size_t i = 0; i < world.other_count; i++)
        ledger_free(world.others[i]);
    bool is_clean = loop_finish(&world.loop);
    stop_server();
    if (complaints[0] != '\0')
        give_up(complaints);
    if (!is_clean)
        give_up("a handle was left on the loop");
}

struct ledger_record world_record(const char *eid, unsigned ordinal)
{
    struct ledger_record record = {0};
    const char *text = world_text("HGET herald:{0}:e:%s %u", eid, ordinal);
    if (text != NULL && !ledger_read_record(text, strlen(text), &record))
        give_up(text);
    return record;
}

bool world_history_has(const char *eid, const char *text)
{
    const redisReply *lines = world_ask("HVALS herald:{0}:x:%s", eid);
    for (size_t i = 0; i < lines->elements; i++)
        if (strstr(lines->element[i]->str, text) != NULL)
            return true;
    return false;
}

/* ── calls ── */

static void note_err(const struct err *err)
{
    world_err = err != NULL ? *err : (struct err){0};
}

static bool await_answer(bool is_sent)
{
    if (!is_sent)
        return false;
    if (!run_until(is_answered))
        give_up("no answer");
    return world_err.kind == ERR_NONE;
}

static void on_accepted(void *arg, const struct accept_result *results, size_t count, unsigned limiter_errors,
                        const struct err *err)
{
    note_err(err);
    world_limiter_errors = limiter_errors;
    if (err == NULL)
        memcpy(arg, results, count * sizeof *results);
    world.is_answered = true;
}

void world_accept_call(struct ledger *ledger, const struct accept_call *call, struct accept_result *ret)
{
    world.is_answered = false;
    await_answer(ledger_accept(ledger, call, on_accepted, ret, &world_err));
}

static const char *scope_of(const struct order *order)
{
    return order->scope != NULL ? order->scope : "00000000000000aa";
}

static const char *notification_of(const struct order *order)
{
    return order->notification != NULL ? order->notification : "note";
}

void world_payload(const struct order *order, struct buffer *ret)
{
    unsigned targets = order->targets > 0 ? order->targets : 1;
    buffer_printf(ret, "1 %s orders %u %" PRId64 " %" PRId64 "\n", notification_of(order), targets,
                  order->send_at_ms, order->expires_at_ms);
    for (unsigned i = 0; i < targets; i++)
        buffer_printf(ret, "%s {\"channel\":\"webhook\",\"provider\":\"mail\"}\n", scope_of(order));
    buffer_printf(ret, "{\"id\":\"id-%s\"}\n{\"orderId\":\"id-%s\",\"pad\":\"", order->eid, order->eid);
    for (size_t i = 0; i < order->event_bytes; i++)
        buffer_char(ret, 'x');
    buffer_text(ret, "\"}");
}

struct accept_result world_accept(struct ledger *ledger, struct order order)
{
    static struct accept_result result;
    struct buffer payload;
    buffer_init(&payload, 1 << 20);
    if (order.payload != NULL)
        buffer_text(&payload, order.payload);
    else
        world_payload(&order, &payload);
    struct accept_lane lane = {.name = order.lane != NULL ? order.lane : "mail",
                               .capacity = order.capacity,
                               .provider = order.provider,
                               .recipient = order.recipient};
    struct accept_notification notification = {.name = notification_of(&order), .rate = order.rate};
    struct accept_event event = {.eid = order.eid,
                                 .content = order.content != NULL ? order.content : "c0",
                                 .payload = payload.data,
                                 .payload_len = payload.len,
                                 .send_at_ms = order.send_at_ms,
                                 .expires_at_ms = order.expires_at_ms,
                                 .note = order.note,
                                 .target_count = order.targets > 0 ? order.targets : 1};
    for (size_t i = 0; i < event.target_count; i++)
        event.targets[i] =
            (struct accept_target){.scope = scope_of(&order),
                                   .max_age_ms = order.max_age_ms > 0 ? order.max_age_ms : WORLD_MAX_AGE_MS,
                                   .hold = order.hold,
                                   .dead_reason = order.dead_reason};
    struct accept_call call = {.lanes = &lane,
                               .lane_count = 1,
                               .notifications = &notification,
                               .notification_count = 1,
                               .events = &event,
                               .event_count = 1};
    memset(&result, 0, sizeof result);
    world_accept_call(ledger, &call, &result);
    buffer_done(&payload);
    return result;
}

static struct claimed claimed;

static const char *keep(const char *text)
{
    for (size_t i = 0; i < sizeof claimed.texts / sizeof *claimed.texts; i++) {
        if (claimed.texts[i][0] == '\0') {
            snprintf(claimed.texts[i], sizeof claimed.texts[i], "%s", text);
            return claimed.texts[i];
        }
    }
    return "";
}

static void keep_notices(const struct claim_notice *notices, size_t count, struct claim_notice *ret)
{
    for (size_t i = 0; i < count; i++) {
        ret[i] = notices[i];
        ret[i].text = keep(notices[i].text);
        ret[i].meta = notices[i].meta[0] != '\0' ? keep(notices[i].meta) : "";
    }
}

static void on_claimed(void *arg, const struct claim_result *result, const struct err *err)
{
    (void)arg;
    note_err(err);
    world.is_answered = true;
    if (err != NULL)
        return;
    claimed.result = *result;
    size_t count = 0;
    for (struct delivery *delivery = result->claimed; delivery != NULL; delivery = delivery->next)
        claimed.claimed[count++] = delivery;
    keep_notices(result->limited, result->limited_count, claimed.limited);
    keep_notices(result->dead, result->dead_count, claimed.dead);
}

struct claimed *world_claim(struct ledger *ledger, struct claim_call call)
{
    for (size_t i = 0; i < claimed.result.claimed_count; i++)
        delivery_free(claimed.claimed[i]);
    memset(&claimed, 0, sizeof claimed);
    if (ledger == NULL)
        return &claimed;
    if (call.lane == NULL)
        call.lane = "mail";
    if (call.max == 0)
        call.max = LEDGER_MAX_CLAIM;
    if (call.max_bytes == 0)
        call.max_bytes = LEDGER_MAX_CLAIM_BYTES;
    if (call.max_age_ms == 0)
        call.max_age_ms = WORLD_MAX_AGE_MS;
    world.is_answered = false;
    await_answer(ledger_claim(ledger, &call, on_claimed, NULL, &world_err));
    return &claimed;
}

static void on_items(void *arg, const int *answers, size_t count, const struct err *err)
{
    note_err(err);
    if (err == NULL && arg != NULL)
        memcpy(arg, answers, count * sizeof *answers);
    world.is_answered = true;
}

int world_settle_with(struct ledger *ledger, world_items_fn *call, struct ledger_item item)
{
    int answer = -1;
    world.is_answered = false;
    return await_answer(call(ledger, &item, 1, on_items, &answer, &world_err)) ? answer : -1;
}

int world_settle(world_items_fn *call, struct ledger_item item)
{
    return world_settle_with(world.ledger, call, item);
}

bool world_settle_many(world_items_fn *call, const struct ledger_item *items, size_t count, int *ret_answers)
{
    world.is_answered = false;
    return await_answer(call(world.ledger, items, count, on_items, ret_answers, &world_err));
}

int world_drop(const char *eid, unsigned ordinal)
{
    int answer = -1;
    struct ledger_item item = {.eid = eid, .ordinal = ordinal};
    world.is_answered = false;
    return await_answer(ledger_drop(world.ledger, "by an operator", &item, 1, on_items, &answer, &world_err))
               ? answer
               : -1;
}

struct owned {
    struct ledger_place *place;
    char (*eids)[EVENT_EID_CHARS + 1];
    size_t count;
};

static void on_owned(void *arg, const struct ledger_item *items, size_t count,
                     const struct ledger_place *next, const struct err *err)
{
    struct owned *owned = arg;
    note_err(err);
    for (size_t i = 0; i < count; i++)
        snprintf(owned->eids[owned->count++], EVENT_EID_CHARS + 1, "%s", items[i].eid);
    *owned->place = *next;
    world.is_answered = true;
}

size_t world_owned(struct ledger_place *place, char ret[][EVENT_EID_CHARS + 1])
{
    struct owned owned = {.place = place, .eids = ret};
    struct ledger_place from = *place;
    world.is_answered = false;
    (void)await_answer(ledger_owned(world.ledger, &from, on_owned, &owned, &world_err));
    return owned.count;
}

static void on_counts(void *arg, const int64_t counts[3], const struct err *err)
{
    note_err(err);
    memcpy(arg, counts, 3 * sizeof *counts);
    world.is_answered = true;
}

int64_t world_reap(unsigned max, int64_t counts[3])
{
    world.is_answered = false;
    return await_answer(ledger_reap(world.ledger, max, on_counts, counts, &world_err)) ? counts[0] : -1;
}

int64_t world_trim(struct ledger *ledger, int64_t max_age_ms, unsigned max_count, unsigned max,
                   int64_t counts[3])
{
    world.is_answered = false;
    return await_answer(ledger_trim(ledger, max_age_ms, max_count, max, on_counts, counts, &world_err))
               ? counts[0]
               : -1;
}

int64_t world_move(const char *from, const char *to, unsigned max, int64_t counts[3])
{
    world.is_answered = false;
    return await_answer(ledger_move(world.ledger, from, to, max, on_counts, counts, &world_err)) ? counts[0]
                                                                                                 : -1;
}

int64_t world_bury(const char *lane, int64_t max_age_ms, unsigned max, int64_t counts[3])
{
    world.is_answered = false;
    return await_answer(ledger_bury(world.ledger, lane, max_age_ms, max, on_counts, counts, &world_err))
               ? counts[0]
               : -1;
}
