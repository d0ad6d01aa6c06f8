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
        config_unref(daemon->config);
        daemon->config = next;
        FAULT("reloaded");
        LOG(LOG_LEVEL_NOTICE, "config.reloaded", "the new configuration is in force",
            log_text(LOG_KEY_REASON, daemon->path));
    }
    say_loaded(daemon);
}

/* On a thread of libuv's pool: it reads files. */
static void load_next(uv_work_t *work)
{
    struct daemon *daemon = work->data;
    struct config *next;
    if (!config_load(daemon->path, &next, &daemon->reload_err))
        return;
    for (size_t i = 0; i < next->provider_count; i++) {
        if (!lane_check(&next->providers[i], &daemon->reload_err)) {
            config_unref(next);
            return;
        }
    }
    daemon->next = next;
}

static void on_loaded(uv_work_t *work, int status)
{
    struct daemon *daemon = work->data;
    (void)status;
    daemon->is_reloading = false;
    if (daemon->next != NULL && !config_can_replace(daemon->config, daemon->next, &daemon->reload_err)) {
        config_unref(daemon->next);
        daemon->next = NULL;
    }
    if (daemon->is_draining) {
        config_unref(daemon->next);
        daemon->next = NULL;
        return;
    }
    if (daemon->next == NULL) {
        say_reload_failed(&daemon->reload_err);
        say_loaded(daemon);
        return;
    }
    if (daemon_is_idle(daemon))
        reload_apply(daemon);
}

void reload_begin(struct daemon *daemon)
{
    if (daemon->is_reloading || daemon->next != NULL || daemon->is_draining)
        return;
    daemon->is_reloading = true;
    service_reloading();
    daemon->reload.data = daemon;
    uv_queue_work(&daemon->loop, &daemon->reload, load_next, on_loaded);
}
