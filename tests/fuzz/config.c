/* config.c - any text as herald.conf: it is refused with file, line and reason and without a secret in the
 * reason, or what comes of it keeps its own rules. The file may name secrets and templates; some are there to
 * be found, and none outside the target's directory can be opened, whatever the file says. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "herald/address.h"
#include "herald/config.h"
#include "herald/value.h"
#include "place.h"

#define SECRET "kept-to-itself-0123456789"
#define MAX_FILE (64 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* ---- the wall ----------------------------------------------------------------------------------------- */

/* The linker leads fopen, open and opendir here (CMakeLists.txt), libFuzzer's own
 * too: so only while loading. */
FILE *__real_fopen(const char *path, const char *mode);
/* open's third argument is passed on whether there is one or not. */
int __real_open(const char *path, int flags, mode_t mode);
DIR *__real_opendir(const char *path);
FILE *__wrap_fopen(const char *path, const char *mode);
int __wrap_open(const char *path, int flags, mode_t mode);
DIR *__wrap_opendir(const char *path);

static bool is_loading;

static bool is_inside(const char *path)
{
    size_t len = strlen(place());
    if (!is_loading || (strncmp(path, place(), len) == 0 && path[len] == '/' && strstr(path, "..") == NULL))
        return true;
    errno = EACCES;
    return false;
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
    return is_inside(path) ? __real_fopen(path, mode) : NULL;
}

int __wrap_open(const char *path, int flags, mode_t mode)
{
    return is_inside(path) ? __real_open(path, flags, mode) : -1;
}

DIR *__wrap_opendir(const char *path)
{
    return is_inside(path) ? __real_opendir(path) : NULL;
}

/* ---- the target --------------------------------------------------------------------------------------- */

static void write_text(const char *name, const char *text)
{
    place_write(name, text, strlen(text));
}

static void prepare(void)
{
    static bool is_prepared;
    if (is_prepared)
        return;
    is_prepared = true;
    unsetenv("REDIS_HOST");
    unsetenv("REDIS_PORT");
    unsetenv("REDIS_PASSWORD");
    unsetenv("CREDENTIALS_DIRECTORY");
    place_make_directory("templates");
    place_make_directory("templates/n");
    write_text("templates/n/subject.txt", "Order {{order.id}}\n");
    write_text("templates/n/body.txt", "Hello {{name}}\n");
    write_text("templates/n/push.json", "{\"title\":\"{{order.id}}\"}\n");
    place_make_directory("templates/broken");
    write_text("templates/broken/push.json", "{{#a}}");
    write_text("s", SECRET "\n");
    write_text("keys", SECRET "\n" SECRET "-older\n");
    write_text("empty", "");
}

static size_t count_lines(const uint8_t *bytes, size_t len)
{
    size_t lines = 1;
    for (size_t i = 0; i < len; i++)
        lines += bytes[i] == '\n';
    return lines;
}

static void check_refusal(const struct err *err, const char *path, size_t lines, bool knows_secret)
{
    size_t path_len = strlen(path);
    assert(err->kind == ERR_CONFIG && (knows_secret || strstr(err->text, SECRET) == NULL));
    assert(strncmp(err->text, path, path_len) == 0 && err->text[path_len] == ':');
    const char *rest = err->text + path_len + 1;
    if (*rest == ' ') { /* what is not in the file has no line */
        assert(strncmp(rest, " [herald]", 9) == 0 || strncmp(rest, " [redis]", 8) == 0 ||
               strncmp(rest, " [limit recipient]", 18) == 0 || strstr(rest, "maildir") != NULL ||
               strncmp(rest, " expected a [provider]", 22) == 0);
        return;
    }
    char *end;
    size_t line = strtoul(rest, &end, 10);
    assert(end > rest && strncmp(end, ": ", 2) == 0 && end[2] != '\0' && line >= 1 && line <= lines);
    assert(address_check_text(err->text, strlen(err->text), sizeof(err->text), &(struct err){0}));
}

static void check_provider(const struct config *config, const struct config_provider *provider)
{
    assert(config_provider(config, provider->name) == provider);
    assert(value_is_name(provider->name, 0) || strcmp(provider->name, "maildir") == 0);
    assert(provider->connections >= 1 && provider->max_attempts >= 1 && provider->timeout_ms > 0);
    assert(provider->backoff_base_ms <= provider->backoff_max_ms);
    assert(provider->max_age_ms <= config->dedupe_window_ms);
    assert((provider->type == PROVIDER_SMTP || provider->type == PROVIDER_HTTP) == (provider->url != NULL));
    for (size_t i = 0; provider->headers[i] != NULL; i++)
        assert(value_is_header(provider->headers[i], 0) && strpbrk(provider->headers[i], "\r\n") == NULL);
    if (provider->from_address != NULL)
        assert(value_is_address(provider->from_address, 0));
}

static void check(struct config *config)
{
    struct err err;
    assert(config->lease_margin_ms <= config->lease_ms / 2);
    assert(config->instance != NULL && value_is_word(config->prefix, 64));
    assert((config->redis.host != NULL) != (config->redis.socket_path != NULL));
    assert(config->redis.port >= 0 && config->redis.port <= 65535);
    if (config->redirect_to != NULL)
        assert(value_is_address(config->redirect_to, 0));
    for (size_t i = 0; i < config->provider_count; i++)
        check_provider(config, &config->providers[i]);
    for (size_t i = 0; i < config->notification_count; i++) {
        const struct config_notification *notification = &config->notifications[i];
        assert(notification->content != NULL && notification->target_count >= 1);
        for (size_t k = 0; k < notification->target_count; k++) {
            const struct config_target *target = &notification->targets[k];
            assert(target->provider == NULL ? target->channel == CHANNEL_PUSH
                                            : target->provider->channel == target->channel);
            assert(target->provider == NULL ||
                   config_provider(config, target->provider->name) == target->provider);
        }
    }
    for (size_t i = 0; i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];
        assert(source->notification == config_notification(config, source->notification_name));
        assert(source->notification != NULL && source->channel != NULL && source->space != NULL);
        for (size_t k = 0; k < source->signing_key_count; k++)
            assert(source->signing_keys[k].len >= 16);
    }
    if (!config_can_replace(config, config, &err)) /* by itself always */
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char path[PLACE_PATH];
    struct config *config = NULL;
    struct err err = {0};
    if (len > MAX_FILE)
        return 0;
    prepare();
    place_write("herald.conf", bytes, len);
    place_path("herald.conf", path);
    is_loading = true;
    bool is_loaded = config_load(path, &config, &err);
    is_loading = false;
    if (is_loaded)
        check(config);
    else
        check_refusal(&err, path, count_lines(bytes, len),
                      memmem(bytes, len, SECRET, strlen(SECRET)) != NULL);
    config_unref(config);
    return 0;
}
