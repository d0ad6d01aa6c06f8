/* reload.c - a new configuration: read on a thread of the pool, checked, and put in force between two
 * batches; or refused, and the old one stays. Loop thread, but for load_next. */
#include <stdio.h>

#include "daemon_private.h"
#include "herald/fault.h"
#include "herald/lane.h"
#include "herald/log.h"
#include "service.h"

static void say_reload_failed(const struct err *err)
{
    LOG(LOG_LEVEL_ERROR, "config.refused", "the old configuration stays",
        log_text(LOG_KEY_REASON, err->text));
}

/* The manager waits for READY after RELOADING, whichever way it went. */
static void say_loaded(const struct daemon *daemon)
{
    char status[DAEMON_STATUS_BYTES];
    daemon_write_status(daemon, status);
    service_ready(status);
}

static void begin(struct daemon *daemon);

/* What was asked for meanwhile, any number of times, is one more reload. */
static void begin_again(struct daemon *daemon)
{
    if (daemon->is_reload_due && !daemon->is_reloading && daemon->next == NULL && !daemon->is_draining)
        begin(daemon);
}

/* Between two batches: intake names lanes by their place in the configuration. */
void reload_apply(struct daemon *daemon)
{
    struct err err;
    struct config *next = daemon->next;
    daemon->next = NULL;
    FAULT("reload-read");
    if (!dispatch_reload(daemon->dispatch, next, &err)) {
        say_reload_failed(&err);
        config_unref(next);
    } else {
        intake_reload(daemon->intake, next);
        intake_reload(daemon->stream_intake, next);
        upkeep_reload(daemon->upkeep, next);
        log_set_level(next->log_level);
        log_set_rate(next->log_rate);
        config_unref(daemon->config);
        daemon->config = next;
        watch_reload(daemon->watch);
        FAULT("reloaded");
        LOG(LOG_LEVEL_NOTICE, "config.reloaded", "the new configuration is in force",
            log_text(LOG_KEY_REASON, daemon->path));
    }
    say_loaded(daemon);
    begin_again(daemon);
}

/* On a thread of libuv's pool: it reads files. What it finds is the loop's only after it has ended. */
static void load_next(uv_work_t *work)
{
    struct daemon *daemon = work->data;
    struct config *loaded;
    if (!config_load(daemon->path, &loaded, &daemon->reload_err))
        return;
    for (size_t i = 0; i < loaded->provider_count; i++) {
        if (!lane_check(&loaded->providers[i], &daemon->reload_err)) {
            config_unref(loaded);
            return;
        }
    }
    daemon->loaded = loaded;
}

static void on_loaded(uv_work_t *work, int status)
{
    struct daemon *daemon = work->data;
    struct config *loaded = daemon->loaded;
    (void)status;
    daemon->loaded = NULL;
    daemon->is_reloading = false;
    if (daemon->is_draining) {
        config_unref(loaded);
        return;
    }
    if (loaded != NULL && !config_can_replace(daemon->config, loaded, &daemon->reload_err)) {
        config_unref(loaded);
        loaded = NULL;
    }
    if (loaded == NULL) {
        say_reload_failed(&daemon->reload_err);
        say_loaded(daemon);
        begin_again(daemon);
        return;
    }
    daemon->next = loaded;
    if (daemon_is_idle(daemon))
        reload_apply(daemon);
}

static void begin(struct daemon *daemon)
{
    daemon->is_reloading = true;
    daemon->is_reload_due = false;
    service_reloading();
    daemon->reload.data = daemon;
    uv_queue_work(&daemon->loop, &daemon->reload, load_next, on_loaded);
}

void reload_begin(struct daemon *daemon)
{
    /* The file may have changed since the one under way was read. */
    daemon->is_reload_due = true;
    begin_again(daemon);
}
