/* restatement.c - see restatement.h. The payload is the only copy of who was to get what; it is read the way
 * a claim reads it. Loop thread. */
#include "restatement.h"

#include <stdlib.h>
#include <string.h>

#include "herald/delivery.h"

/* A full one is sent; what comes in one piece (all of one bucket of what is held) may go past it. */
#define ROOM_EVENTS 64
#define ROOM_BYTES (1024 * 1024)

struct restatement {
    const struct config *config; /* borrowed */
    struct accept_event *events; /* owned */
    struct scopes {
        char of[DELIVERY_MAX_PER_EVENT][PAYLOAD_SCOPE_CHARS + 1];
    } * scopes; /* owned: the events', in their order */
    size_t count, cap, bytes;
    struct accept_lane lanes[CONFIG_MAX_SECTIONS];
    struct accept_notification notifications[CONFIG_MAX_SECTIONS];
};

struct restatement *restatement_new(const struct config *config)
{
    struct restatement *restatement = calloc(1, sizeof *restatement);
    if (restatement == NULL)
        return NULL;
    restatement->config = config;
    for (size_t i = 0; i < config->provider_count; i++)
        restatement->lanes[i] = (struct accept_lane){.name = config->providers[i].name};
    for (size_t i = 0; i < config->notification_count; i++)
        restatement->notifications[i] =
            (struct accept_notification){config->notifications[i].name, config->notifications[i].rate};
    return restatement;
}

void restatement_free(struct restatement *restatement)
{
    if (restatement == NULL)
        return;
    free(restatement->events);
    free(restatement->scopes);
    free(restatement);
}

bool restatement_has_room(const struct restatement *restatement)
{
    return restatement == NULL || (restatement->count < ROOM_EVENTS && restatement->bytes < ROOM_BYTES);
}

bool restatement_is_empty(const struct restatement *restatement)
{
    return restatement != NULL && restatement->count == 0;
}

static bool grow(struct restatement *restatement)
{
    size_t cap = restatement->cap == 0 ? ROOM_EVENTS : restatement->cap * 2;
    struct accept_event *events = realloc(restatement->events, cap * sizeof *events);
    if (events != NULL)
        restatement->events = events;
    struct scopes *scopes = events == NULL ? NULL : realloc(restatement->scopes, cap * sizeof *scopes);
    if (scopes == NULL)
        return false;
    restatement->scopes = scopes;
    restatement->cap = cap;
    return true;
}

/* One delivery of the payload; the event's own facts are taken from it too. */
static void add_target(const struct config *config, const struct delivery *delivery,
                       struct accept_event *event, struct scopes *scopes)
{
    const struct config_provider *provider = config_provider(config, delivery->provider);
    const struct config_notification *notification = config_notification(config, delivery->notification);
    size_t i = event->target_count++;
    payload_scope(delivery->channel, delivery->user_id,
                  delivery->channel == CHANNEL_EMAIL  ? delivery->email
                  : delivery->channel == CHANNEL_PUSH ? delivery->device
                                                      : "",
                  scopes->of[i]);
    event->notification = notification != NULL ? notification->index : 0;
    event->send_at_ms = delivery->send_at_ms;
    event->expires_at_ms = delivery->expires_at_ms;
    event->targets[i] = (struct accept_target){
        .lane = provider != NULL ? provider->index : 0,
        .max_age_ms = provider != NULL ? provider->max_age_ms : config->dedupe_window_ms,
        .hold = provider != NULL && provider->on_unknown == ON_UNKNOWN_HOLD,
        .dead_reason = provider != NULL                       ? NULL
                       : strcmp(delivery->provider, "-") == 0 ? "no recipient"
                                                              : "no lane",
    };
}

void restatement_add(struct restatement *restatement, const char *eid, const char *content,
                     const char *payload, size_t payload_len)
{
    struct delivery *delivery;
    struct err err;
    if (restatement == NULL || (restatement->count == restatement->cap && !grow(restatement)))
        return;
    struct accept_event *event = &restatement->events[restatement->count];
    *event =
        (struct accept_event){.eid = eid, .content = content, .payload = payload, .payload_len = payload_len};
    while (event->target_count < DELIVERY_MAX_PER_EVENT &&
           delivery_from_payload(payload, payload_len, eid, (unsigned)event->target_count, &delivery, &err)) {
        add_target(restatement->config, delivery, event, &restatement->scopes[restatement->count]);
        delivery_free(delivery);
    }
    if (event->target_count == 0)
        return;
    restatement->count++;
    restatement->bytes += payload_len;
}

bool restatement_send(struct restatement *restatement, struct ledger *ledger, ledger_accept_fn *on_accepted,
                      void *arg, struct err *err)
{
    if (restatement == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    /* The scopes are put in only now: growing moves them. */
    for (size_t i = 0; i < restatement->count; i++)
        for (size_t j = 0; j < restatement->events[i].target_count; j++)
            restatement->events[i].targets[j].scope = restatement->scopes[i].of[j];
    const struct accept_call call = {
        .lanes = restatement->lanes,
        .lane_count = restatement->config->provider_count,
        .notifications = restatement->notifications,
        .notification_count = restatement->config->notification_count,
        .events = restatement->events,
        .event_count = restatement->count,
    };
    return ledger_accept(ledger, &call, on_accepted, arg, err);
}
