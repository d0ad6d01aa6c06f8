/* checkup_host.c - the configuration and its files, the providers, the journal: all of doctor that asks no
 * Redis. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkup.h"
#include "follow.h"
#include "herald/file.h"
#include "herald/lane.h"

#define CONFIG_MAX_BYTES (1024 * 1024) /* no configuration that was read is longer */

/* ── configuration ── */

static void on_doubt(void *arg, const char *where, const char *text)
{
    checkup_say(arg, HEALTH_WARN, "configuration", "change it, or leave it if it is meant", "%s%s%s", where,
                where[0] != '\0' ? " " : "", text);
}

static bool holds(const char *text, const char *secret)
{
    return secret != NULL && secret[0] != '\0' && strstr(text, secret) != NULL;
}

static bool holds_secret(const struct config *config, const char *text)
{
    if (holds(text, config->redis.password))
        return true;
    for (size_t i = 0; i < config->provider_count; i++)
        if (holds(text, config->providers[i].password) || holds(text, config->providers[i].token))
            return true;
    return false;
}

/* Secrets belong into files of their own; one in the configuration is as safe as that file's mode. */
static void look_for_secrets(struct checkup *checkup)
{
    const char *complaint;
    struct stat info;
    int fd = file_open_regular(checkup->config_path, &complaint);
    if (fd < 0)
        return; /* it was read a moment ago */
    bool is_open = fstat(fd, &info) == 0 && (info.st_mode & S_IROTH) != 0;
    char *text = is_open ? calloc(1, CONFIG_MAX_BYTES + 1) : NULL;
    bool is_shown =
        text != NULL && read(fd, text, CONFIG_MAX_BYTES) > 0 && holds_secret(checkup->config, text);
    free(text);
    close(fd);
    if (is_shown)
        checkup_say(
            checkup, HEALTH_WARN, "secrets",
            "put it into a file for LoadCredential= and name that with password_file or token_file; or "
            "chmod o-r",
            "%s holds a secret, and everybody on this machine can read it", checkup->config_path);
    else
        checkup_say(checkup, HEALTH_OK, "secrets", NULL, "none stands where everybody can read it");
}

void checkup_config(struct checkup *checkup)
{
    const struct config *config = checkup->config;
    checkup_say(checkup, HEALTH_OK, "configuration", NULL,
                "%s is good: sources %zu, notifications %zu, providers %zu", checkup->config_path,
                config->source_count, config->notification_count, config->provider_count);
    config_each_doubt(config, on_doubt, checkup);
    if (config->allow_unfit_redis)
        checkup_say(checkup, HEALTH_WARN, "configuration", "take allow_unfit_redis out where it matters",
                    "allow_unfit_redis: a Redis that may throw promises away is taken");
    if (config->redirect_to != NULL || config->allow_domains[0] != NULL)
        checkup_say(checkup, HEALTH_WARN, "staging", "right for a staging herald; in production take it out",
                    config->redirect_to != NULL ? "redirect_to: no mail goes to its recipient"
                                                : "allow_domains: mail to other domains is not sent");
    look_for_secrets(checkup);
}

/* ── providers ── */

static void look_at_provider(struct checkup *checkup, const struct config_provider *provider)
{
    struct err err;
    if (!lane_check(provider, &err)) {
        checkup_say(checkup, HEALTH_FAIL, "provider", "heraldd would not start with it: mend its section",
                    "%s", err.text);
        return;
    }
    if (provider->type == PROVIDER_MAILDIR || provider->type == PROVIDER_NULL) {
        checkup_say(checkup, HEALTH_WARN, "provider",
                    "fine to try things out; in production give it type = smtp or http",
                    provider->type == PROVIDER_MAILDIR
                        ? "%s delivers to nobody: type = maildir puts every mail into files on this machine"
                        : "%s delivers to nobody: type = null throws every message away",
                    provider->name);
        return;
    }
    if (provider->allow_cleartext)
        checkup_say(checkup, HEALTH_WARN, "provider", "use smtps:// or https://, or starttls = required",
                    "%s: allow_cleartext: what is sent, and its password, can be read on the way",
                    provider->name);
    if (lane_probe(provider, &err))
        checkup_say(checkup, HEALTH_OK, "provider", NULL,
                    provider->user != NULL ? "%s: reached, and takes our name and password" : "%s: reached",
                    provider->name);
    else
        checkup_say(
            checkup, HEALTH_FAIL, "provider",
            "from this machine: is its name known (getent hosts), the port open, the certificate and the "
            "password right? heraldctl test sends one message",
            "%s", err.text);
}

void checkup_providers(struct checkup *checkup)
{
    for (size_t i = 0; i < checkup->config->provider_count; i++)
        look_at_provider(checkup, &checkup->config->providers[i]);
}

/* ── the journal ── */

struct unit {
    bool is_loaded, is_active, has_limit;
};

static bool is_line(const char *line, size_t len, const char *wanted)
{
    return strlen(wanted) == len && memcmp(line, wanted, len) == 0;
}

/* Zero means the journal's own default here, and not "no limit" as it does in journald.conf. */
static bool on_property(void *arg, const char *line, size_t len)
{
    struct unit *unit = arg;
    unit->is_loaded = unit->is_loaded || is_line(line, len, "LoadState=loaded");
    unit->is_active = unit->is_active || is_line(line, len, "ActiveState=active");
    if (is_line(line, len, "LogRateLimitIntervalUSec=0") || is_line(line, len, "LogRateLimitBurst=0"))
        unit->has_limit = false;
    return true;
}

void checkup_journal(struct checkup *checkup)
{
    static char command[] = "exec systemctl show heraldd 2>&- --property="
                            "LoadState,ActiveState,LogRateLimitIntervalUSec,LogRateLimitBurst";
    static char shell[] = "sh", option[] = "-c";
    char *argv[] = {shell, option, command, NULL};
    struct unit unit = {.has_limit = true};
    struct follow follow = {.on_line = on_property, .arg = &unit};
    struct err err;
    if (!follow_program(&follow, argv, &err) || !unit.is_loaded) {
        checkup_say(checkup, HEALTH_OK, "journal", NULL,
                    "not looked at: heraldd is no unit of a systemd on this machine");
        return;
    }
    if (!unit.is_active)
        checkup_say(checkup, HEALTH_WARN, "service",
                    "systemctl start heraldd; heraldctl tail says why it ended",
                    "the unit heraldd is not active on this machine");
    if (unit.has_limit)
        checkup_say(checkup, HEALTH_OK, "journal", NULL, "the unit has a limit of lines of its own");
    else
        checkup_say(checkup, HEALTH_WARN, "journal",
                    "systemctl edit heraldd: [Service] LogRateLimitIntervalSec=1s LogRateLimitBurst=200000",
                    "past its default (10000 lines in 30 s) the journal drops heraldd's lines, errors too");
}
