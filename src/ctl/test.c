/* heraldctl test: one real message through one provider, with the lane that the daemon sends with, and what
 * the provider says to it. Neither Redis nor a limit is asked, and nothing is tried a second time. */
#include <errno.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "herald/address.h"
#include "herald/clock.h"
#include "herald/json.h"
#include "herald/lane.h"
#include "sample.h"
#include "text.h"

#define BUILT_IN "heraldctl:test" /* no notification of a file has such a name */
#define LEASE_MS                                                                                             \
    (INT64_C(86400000)) /* longer than any provider's time limit: nobody else has this delivery */

static const char *const texts[CONTENT_PART_COUNT] = {
    [CONTENT_SUBJECT] = "Test message from herald on {{instance}}",
    [CONTENT_TEXT] = "heraldctl test on {{instance}} sent this through the provider {{provider}}.\n"
                     "If you can read it, that way works. Nothing has to be done.\n",
};

/* What is to be sent, and to whom. */
struct trial {
    const struct config *config;
    const struct config_provider *provider;
    const char *notification; /* its name */
    const char *email;        /* NULL unless the channel is email */
    struct buffer device;     /* empty unless the channel is push */
    struct buffer event;
};

/* ── what is sent ── */

static bool targets_channel(const struct config_notification *notification, enum channel channel)
{
    for (size_t i = 0; i < notification->target_count; i++)
        if (notification->targets[i].channel == channel)
            return true;
    return false;
}

/* Only a template of the operator's knows the form that a push provider wants. */
static const char *first_with_push(const struct config *config)
{
    for (size_t i = 0; i < config->notification_count; i++)
        if (targets_channel(&config->notifications[i], CHANNEL_PUSH))
            return config->notifications[i].name;
    return NULL;
}

static bool choose_notification(struct trial *trial, const char *wanted, struct err *err)
{
    const enum channel channel = trial->provider->channel;
    struct content *content = NULL;
    if (wanted == NULL && channel == CHANNEL_PUSH && (wanted = first_with_push(trial->config)) == NULL)
        return err_set(err, ERR_INPUT, "no notification has a push message to send");
    if (wanted != NULL) {
        const struct config_notification *notification = config_notification(trial->config, wanted);
        if (notification == NULL || !targets_channel(notification, channel))
            return err_set(err, ERR_INPUT, "no notification '%s' that is sent by %s is configured", wanted,
                           channel_name(channel));
        trial->notification = notification->name;
        return true;
    }
    trial->notification = BUILT_IN;
    /* The snapshot is ours alone, and no lane has begun. */
    return content_make(BUILT_IN, texts, &content, err) &&
           config_add_notification((struct config *)trial->config, BUILT_IN, content, err);
}

static void put_member(struct buffer *text, const char *name, const char *value)
{
    buffer_printf(text, "%s\"%s\":\"", text->len > 1 ? "," : "", name);
    json_escape(value, strlen(value), text);
    buffer_char(text, '"');
}

/* Sample data: an id that no other has, so that each test is a message of its own. */
static void write_event(struct trial *trial)
{
    char id[64];
    snprintf(id, sizeof id, "test-%" PRId64 "-%ld", clock_wall_ms(), (long)getpid());
    buffer_char(&trial->event, '{');
    put_member(&trial->event, "eventId", id);
    put_member(&trial->event, "orderId", id);
    put_member(&trial->event, "provider", trial->provider->name);
    put_member(&trial->event, "instance", trial->config->instance);
    buffer_text(&trial->event, ",\"test\":true}");
}

/* ── to whom ── */

static bool choose_email(struct trial *trial, const char *to, struct err *err)
{
    if (trial->config->redirect_to != NULL) {
        fputs("redirect_to: it goes to ", stderr);
        text_print(stderr, trial->config->redirect_to);
        fputs(" instead\n", stderr);
        to = trial->config->redirect_to;
    } else if (!address_check(to, strlen(to), err)) {
        return err_wrap(err, "--to");
    } else if (!config_allows(trial->config, to)) {
        return err_set(err, ERR_INPUT, "--to: its domain is not in allow_domains");
    }
    trial->email = to;
    return true;
}

/* A token, or a whole device as a recipient's record has it. */
static bool choose_device(struct trial *trial, const char *to, struct err *err)
{
    struct json json = {0};
    if (to[0] != '{') {
        buffer_char(&trial->device, '{');
        put_member(&trial->device, "provider", trial->provider->name);
        put_member(&trial->device, "token", to);
        buffer_char(&trial->device, '}');
        return true;
    }
    if (!json_parse(to, strlen(to), &json, err))
        return err_wrap(err, "--to");
    json_canonical(&json, NULL, &trial->device);
    json_done(&json);
    return true;
}

static bool choose_recipient(struct trial *trial, const char *to, struct err *err)
{
    const enum channel channel = trial->provider->channel;
    if (channel == CHANNEL_WEBHOOK)
        return to == NULL || err_set(err, ERR_CONFIG, "--to: a webhook goes to its provider's url");
    if (to == NULL)
        return err_set(err, ERR_CONFIG, "test needs --to: an address, or a push provider's token or device");
    return channel == CHANNEL_EMAIL ? choose_email(trial, to, err) : choose_device(trial, to, err);
}

/* ── sending it ── */

static bool make_delivery(const struct trial *trial, struct delivery **ret, struct err *err)
{
    const struct event_rules rules = {.space = BUILT_IN};
    const struct payload_target target = {.channel = trial->provider->channel,
                                          .provider = trial->provider->name,
                                          .email = trial->email,
                                          .device = trial->device.len > 0 ? trial->device.data : NULL};
    struct event event = {0};
    if (trial->event.failed || trial->device.failed)
        return err_set(err, ERR_INPUT, "--to: too long");
    if (!event_read(trial->event.data, trial->event.len, &rules, clock_wall_ms(), &event, err))
        return false;
    const struct payload payload = {.notification = trial->notification,
                                    .source = "heraldctl",
                                    .event = &event,
                                    .targets = &target,
                                    .target_count = 1,
                                    .bytes = trial->event.data,
                                    .bytes_len = trial->event.len};
    bool is_done = sample_delivery(&payload, trial->config, ret, err);
    event_done(&event);
    return is_done;
}

static void on_mail(void *arg)
{
    sem_post(arg);
}

/* The delivery goes through a lane of one connection, and has its outcome then. */
static bool send_through_lane(const struct trial *trial, struct delivery *delivery, struct err *err)
{
    const struct commit_gate gate = {0};
    struct config_provider narrow = *trial->provider;
    struct mailbox *mailbox = NULL;
    struct lane *lane = NULL;
    sem_t mail;
    narrow.connections = 1;
    sem_init(&mail, 0, 0);
    if (!mailbox_new(on_mail, &mail, &mailbox, err))
        return false;
    const struct lane_options options = {
        .config = delivery->config, .provider = &narrow, .mailbox = mailbox, .gate = &gate};
    bool is_started = lane_start(&options, &lane, err);
    if (is_started) {
        delivery->attempt_number = 1;
        delivery->is_started = true;
        delivery->leased_mono_ms = clock_mono_ms();
        atomic_store(&delivery->lease_until_ms, delivery->leased_mono_ms + LEASE_MS);
        lane_push(lane, delivery);
        while (sem_wait(&mail) != 0 && errno == EINTR)
            ;
        (void)mailbox_take(mailbox); /* there is one */
        outcome_classify(&delivery->attempt, &delivery->outcome);
        lane_stop(lane);
        lane_free(lane);
    }
    mailbox_free(mailbox);
    sem_destroy(&mail);
    return is_started;
}

/* ── what came of it ── */

static const char *verdict_of(const struct delivery *delivery, enum err_kind *ret)
{
    switch (delivery->outcome.class) {
    case OUTCOME_SENT:
        *ret = ERR_NONE;
        return "accepted";
    case OUTCOME_PERMANENT:
        *ret = ERR_PERMANENT;
        return "permanent";
    case OUTCOME_UNKNOWN:
        *ret = ERR_UNKNOWN;
        return "unknown";
    default:
        *ret = ERR_TRANSIENT;
        return "temporary";
    }
}

static void print_member(const char *name, const char *text)
{
    printf(",\"%s\":", name);
    text_json(stdout, text, strlen(text));
}

static bool report(const struct context *context, const struct trial *trial, const struct delivery *delivery,
                   struct err *err)
{
    const struct attempt *attempt = &delivery->attempt;
    const int64_t ms = (attempt->ended_mono_us - attempt->started_mono_us) / 1000;
    const char *reason = delivery->outcome.reason != NULL ? delivery->outcome.reason : "";
    enum err_kind kind;
    const char *verdict = verdict_of(delivery, &kind);
    if (context->is_json) {
        printf("{\"provider\":\"%s\",\"verdict\":\"%s\",\"code\":%d,\"ms\":%" PRId64, trial->provider->name,
               verdict, attempt->code, ms);
        print_member("reason", kind == ERR_NONE ? "" : reason);
        print_member("reply", attempt->reply);
        print_member("id", delivery->id);
        puts("}");
    } else {
        printf("%s: %s in %" PRId64 " ms: ", trial->provider->name, verdict, ms);
        if (attempt->code != 0)
            printf("%d%s", attempt->code, attempt->reply[0] != '\0' ? " " : "");
        text_print(stdout, attempt->reply[0] != '\0' || attempt->code != 0 ? attempt->reply : "no answer");
        putchar('\n');
    }
    if (trial->provider->type == PROVIDER_MAILDIR || trial->provider->type == PROVIDER_NULL)
        fprintf(stderr, "the provider %s delivers to nobody\n", trial->provider->name);
    return kind == ERR_NONE || err_set(err, kind, "%s%s: %s", verdict,
                                       kind == ERR_UNKNOWN ? ", it may have been sent" : "", reason);
}

static bool run(const struct context *context, struct trial *trial, struct err *err)
{
    struct delivery *delivery = NULL;
    if (!lane_check(trial->provider, err) || !choose_recipient(trial, context->to, err) ||
        !choose_notification(trial, context->selection.notification, err))
        return false;
    write_event(trial);
    bool is_done = make_delivery(trial, &delivery, err) && send_through_lane(trial, delivery, err) &&
                   report(context, trial, delivery, err);
    sample_free(delivery);
    return is_done;
}

bool command_test(const struct context *context, int argc, char **argv, struct err *err)
{
    struct trial trial = {.config = context->config, .provider = config_provider(context->config, argv[0])};
    (void)argc;
    if (trial.provider == NULL)
        return err_set(err, ERR_INPUT, "no provider '%s' is configured", argv[0]);
    buffer_init(&trial.event, 4096);
    buffer_init(&trial.device, JSON_MAX_BYTES);
    bool is_done = run(context, &trial, err);
    buffer_done(&trial.event);
    buffer_done(&trial.device);
    return is_done;
}
