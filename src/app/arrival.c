/* One message: from bytes to the question for the ledger. No I/O. Loop thread. */
#include "arrival.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "herald/clock.h"

/* the event and a line of at most 4 KiB for each target */
#define PAYLOAD_MAX_BYTES (EVENT_MAX_BYTES + 128 * 1024)

void arrival_read(struct arrival *arrival, int64_t now_ms, int64_t dedupe_window_ms)
{
    const struct config_source *source = arrival->source;
    arrival->bytes = arrival->message;
    arrival->len = arrival->message_len;
    buffer_init(&arrival->payload, PAYLOAD_MAX_BYTES);
    if (arrival->refusal != NULL) {
        arrival->is_rejected = true;
        err_set(&arrival->reason, ERR_INPUT, "%s", arrival->refusal);
        return;
    }
    if (arrival->total_len > arrival->message_len || arrival->total_len > EVENT_MAX_BYTES) {
        arrival->is_rejected = true;
        err_set(&arrival->reason, ERR_INPUT, "too large: %zu bytes, at most %d are taken", arrival->total_len,
                EVENT_MAX_BYTES);
        return;
    }
    if (source->signing_key_count > 0) {
        if (!event_open_envelope(arrival->message, arrival->message_len, source->signing_keys,
                                 source->signing_key_count, now_ms, dedupe_window_ms, &arrival->opened,
                                 &arrival->len, &arrival->reason)) {
            arrival->is_rejected = true;
            return;
        }
        arrival->bytes = arrival->opened;
    }
    const struct event_rules rules = {
        .space = source->space,
        .id_member = source->id_member,
        .volatile_members = (const char *const *)source->volatile_members,
        .recipient_in_event = source->recipient_in_event,
    };
    arrival->is_rejected =
        !event_read(arrival->bytes, arrival->len, &rules, now_ms, &arrival->event, &arrival->reason);
    arrival->needs_record =
        !arrival->is_rejected && !arrival->event.has_to && arrival->event.user_id[0] != '\0';
}

static void note(struct arrival *arrival, const char *what)
{
    size_t used = strlen(arrival->note);
    snprintf(arrival->note + used, sizeof arrival->note - used, "%s%s", used > 0 ? "; " : "", what);
}

void arrival_set_record(struct arrival *arrival, const struct recipient_record *record)
{
    /* A field that is not usable is left out, and costs nothing but itself: a mail without the name, or in
     * the default language, is better than none. */
    struct recipient_record usable = *record;
    const struct {
        const char *name, **text;
    } fields[] = {
        {"email", &usable.email}, {"name", &usable.name}, {"locale", &usable.locale}, {"push", &usable.push}};
    struct err err;
    if (record->email == NULL && record->name == NULL && record->locale == NULL && record->push == NULL)
        note(arrival, "no record of this user");
    for (size_t left = 4; !recipient_from_record(&usable, &arrival->recipient, &err) && left > 0; left--) {
        char text[120];
        snprintf(text, sizeof text, "the user's record: %.80s", err.text);
        note(arrival, text);
        for (size_t i = 0; i < 4; i++)
            if (strncmp(err.text, fields[i].name, strlen(fields[i].name)) == 0)
                *fields[i].text = NULL;
    }
}

static void add_target(struct arrival *arrival, const struct config_provider *provider,
                       struct payload_target *targets, const char *email, const char *device)
{
    struct accept_event *accept = &arrival->accept;
    size_t i = accept->target_count;
    if (i == DELIVERY_MAX_PER_EVENT) {
        note(arrival, "too many recipients");
        return;
    }
    targets[i] = (struct payload_target){
        .channel = provider->channel, .provider = provider->name, .email = email, .device = device};
    payload_scope(provider->channel, arrival->event.user_id,
                  email != NULL    ? email
                  : device != NULL ? device
                                   : "",
                  arrival->scopes[i]);
    accept->targets[i] = (struct accept_target){
        .lane = provider->index,
        .scope = arrival->scopes[i],
        .max_age_ms = provider->max_age_ms,
        .hold = provider->on_unknown == ON_UNKNOWN_HOLD,
    };
    arrival->providers[i] = provider;
    accept->target_count++;
}

static void plan_email(struct arrival *arrival, const struct config *config,
                       const struct config_provider *provider, const struct recipient *recipient,
                       struct payload_target *targets)
{
    if (recipient->email == NULL)
        note(arrival, "skipped email: no address");
    else if (config->redirect_to != NULL)
        add_target(arrival, provider, targets, config->redirect_to, NULL);
    else if (!config_allows(config, recipient->email))
        note(arrival, "skipped email: its domain is not in allow_domains");
    else
        add_target(arrival, provider, targets, recipient->email, NULL);
}

static void plan_push(struct arrival *arrival, const struct config *config, const struct recipient *recipient,
                      struct payload_target *targets)
{
    if (recipient->push_count == 0)
        note(arrival, "skipped push: no device");
    for (size_t i = 0; i < recipient->push_count; i++) {
        const struct config_provider *provider = config_provider(config, recipient->push[i].provider);
        if (provider == NULL || provider->channel != CHANNEL_PUSH)
            note(arrival, "skipped push: a device's provider is not configured");
        else
            add_target(arrival, provider, targets, NULL, recipient->push[i].device);
    }
}

/* Recorded as one dead delivery of no lane, so that "why was this not sent?" has an answer. */
static void plan_nobody(struct arrival *arrival, struct payload_target *targets)
{
    /* The one channel that needs no address. */
    targets[0] = (struct payload_target){.channel = CHANNEL_WEBHOOK, .provider = "-"};
    snprintf(arrival->scopes[0], sizeof arrival->scopes[0], "-");
    arrival->accept.targets[0] =
        (struct accept_target){.scope = arrival->scopes[0], .dead_reason = "no recipient"};
    arrival->providers[0] = NULL;
    arrival->accept.target_count = 1;
}

void arrival_plan(struct arrival *arrival, const struct config *config)
{
    const struct config_notification *notification = arrival->source->notification;
    const struct event *event = &arrival->event;
    const struct recipient *recipient = event->has_to ? &event->to : &arrival->recipient;
    struct payload_target targets[DELIVERY_MAX_PER_EVENT];
    arrival->accept = (struct accept_event){
        .eid = event->eid,
        .content = event->content,
        .notification = notification->index,
        .send_at_ms = event->send_at_ms,
        .expires_at_ms = event->expires_at_ms,
    };
    for (size_t i = 0; i < notification->target_count; i++) {
        const struct config_target *target = &notification->targets[i];
        if (target->channel == CHANNEL_EMAIL)
            plan_email(arrival, config, target->provider, recipient, targets);
        else if (target->channel == CHANNEL_PUSH)
            plan_push(arrival, config, recipient, targets);
        else
            add_target(arrival, target->provider, targets, NULL, NULL);
    }
    if (arrival->accept.target_count == 0)
        plan_nobody(arrival, targets);
    const struct payload payload = {
        .notification = notification->name,
        .source = arrival->source->name,
        .event = event,
        .name = recipient->name,
        .locale = recipient->locale,
        .targets = targets,
        .target_count = arrival->accept.target_count,
        .bytes = arrival->bytes,
        .bytes_len = arrival->len,
    };
    payload_write(&payload, &arrival->payload);
    arrival->accept.payload = arrival->payload.data;
    arrival->accept.payload_len = arrival->payload.len;
    arrival->accept.note = arrival->note[0] != '\0' ? arrival->note : NULL;
}

void arrival_done(struct arrival *arrival)
{
    free(arrival->opened);
    event_done(&arrival->event);
    recipient_done(&arrival->recipient);
    buffer_done(&arrival->payload);
}
