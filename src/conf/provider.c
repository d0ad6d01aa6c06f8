/* provider.c - what makes the options of a [provider] fit together, and the defaults that hang on its type.
 * The thread that loads; blocks on files. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "herald/address.h"
#include "herald/value.h"
#include "load.h"
#include "secret.h"
#include "url.h"

#define STATE_DIRECTORY "/var/lib/herald" /* what systemd's StateDirectory=herald is, without systemd */

/* Types that serve each channel. */
static const unsigned serves[CHANNEL_COUNT] = {
    [CHANNEL_EMAIL] = FOR_SMTP | FOR_MAILDIR | FOR_NULL,
    [CHANNEL_PUSH] = FOR_HTTP | FOR_NULL,
    [CHANNEL_WEBHOOK] = FOR_HTTP | FOR_NULL,
};

static bool default_text(char **field, char *text, struct err *err)
{
    if (text == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    *field = text;
    return true;
}

static bool check_type(const struct loader *loader, const struct section *section,
                       struct config_provider *provider, struct err *err)
{
    if (load_line(section, "channel") == 0 && section->line != 0)
        return load_refuse(loader, section, "channel", err, "required");
    if (load_line(section, "type") == 0 && section->line != 0)
        provider->type = provider->channel == CHANNEL_EMAIL ? PROVIDER_SMTP : PROVIDER_HTTP;
    if ((serves[provider->channel] & 1u << provider->type) == 0)
        return load_refuse(loader, section, "type", err, "'%s' does not serve %s",
                           provider_type_names[provider->type], channel_name(provider->channel));
    for (size_t i = 0; i < option_count; i++) {
        unsigned types = option_table[i].types;
        if (section->lines[i] != 0 && types != 0 && (types & 1u << provider->type) == 0)
            return load_refuse(loader, section, option_table[i].name, err, "means nothing for type = %s",
                               provider_type_names[provider->type]);
    }
    if (load_line(section, "from") != 0 && provider->channel != CHANNEL_EMAIL)
        return load_refuse(loader, section, "from", err, "means nothing for channel = %s",
                           channel_name(provider->channel));
    return true;
}

/* What crosses a network in the clear can be read and changed there, so it has to be asked for by name. */
static bool check_cleartext(const struct loader *loader, const struct section *section,
                            const struct config_provider *provider, const struct url *url, struct err *err)
{
    if (provider->allow_cleartext || url_is_loopback(url))
        return true;
    if (provider->type == PROVIDER_HTTP && strcmp(url->scheme, "http") == 0)
        return load_refuse(
            loader, section, "url", err,
            "expected https://: without TLS anyone on the way to %s can read and change what is sent "
            "(allow_cleartext = yes if you must)",
            url->host);
    if (provider->type == PROVIDER_SMTP && provider->user != NULL && provider->starttls == STARTTLS_NEVER &&
        strcmp(url->scheme, "smtp") == 0)
        return load_refuse(
            loader, section, "starttls", err,
            "never: the password would go to %s in the clear (allow_cleartext = yes if you must)", url->host);
    return true;
}

static bool check_url(const struct loader *loader, const struct section *section,
                      struct config_provider *provider, struct err *err)
{
    struct url url;
    bool is_smtp = provider->type == PROVIDER_SMTP;
    if (provider->url == NULL)
        return load_refuse(loader, section, "url", err, "required for type = %s",
                           provider_type_names[provider->type]);
    if (!url_split(provider->url, &url) || url.host[0] == '\0')
        return load_refuse(loader, section, "url", err, "expected SCHEME://HOST[:PORT]%s",
                           is_smtp ? "" : "/…");
    if (url.user != NULL)
        return load_refuse(loader, section, "url", err, "expected no user or password in it: %s",
                           is_smtp ? "see user and password_file" : "see token_file and header");
    if (is_smtp && strcmp(url.scheme, "smtp") != 0 && strcmp(url.scheme, "smtps") != 0)
        return load_refuse(loader, section, "url", err, "expected smtp:// or smtps://");
    if (!is_smtp && strcmp(url.scheme, "http") != 0 && strcmp(url.scheme, "https") != 0)
        return load_refuse(loader, section, "url", err, "expected https://");
    /* libcurl would greet the server with what stands behind the slash. */
    if (is_smtp && strcmp(url.rest, "") != 0 && strcmp(url.rest, "/") != 0)
        return load_refuse(loader, section, "url", err, "expected nothing behind the port");
    if (load_line(section, "starttls") == 0)
        provider->starttls =
            provider->user != NULL && strcmp(url.scheme, "smtp") == 0 ? STARTTLS_REQUIRED : STARTTLS_NEVER;
    else if (provider->starttls == STARTTLS_REQUIRED && strcmp(url.scheme, "smtps") == 0)
        return load_refuse(loader, section, "starttls", err,
                           "means nothing for smtps://, which is TLS from the first byte");
    return check_cleartext(loader, section, provider, &url, err);
}

static bool check_login(const struct loader *loader, const struct section *section,
                        const struct config_provider *provider, struct err *err)
{
    if (provider->user != NULL && provider->password == NULL)
        return load_refuse(loader, section, "password_file", err, "required with user");
    if (provider->password != NULL && provider->user == NULL)
        return load_refuse(loader, section, "user", err, "required with password_file");
    if (provider->token != NULL && !value_is_secret(provider->token, SECRET_MAX_BYTES))
        return load_refuse(loader, section, "token_file", err, "holds more than visible ASCII");
    if (provider->ca_file != NULL && access(provider->ca_file, R_OK) != 0)
        return load_refuse(loader, section, "ca_file", err, "%s: %s", provider->ca_file, strerror(errno));
    return true;
}

/* Headers that say where a request ends or which connection it is on are the transfer's; a second one would
 * let two readers disagree about it. */
static bool check_headers(const struct loader *loader, const struct section *section,
                          const struct config_provider *provider, struct err *err)
{
    static const char *const ours[] = {"Host",       "Content-Length", "Transfer-Encoding",
                                       "Connection", "Expect",         NULL};
    for (size_t i = 0; provider->headers[i] != NULL; i++) {
        const char *header = provider->headers[i];
        int len = (int)strcspn(header, ":");
        for (size_t k = 0; ours[k] != NULL; k++) {
            if (strlen(ours[k]) == (size_t)len && strncasecmp(header, ours[k], (size_t)len) == 0)
                return load_refuse(loader, section, "header", err, "%s is made by the transfer", ours[k]);
        }
        if (provider->token != NULL && strncasecmp(header, "Authorization:", 14) == 0)
            return load_refuse(loader, section, "header", err, "Authorization comes from token_file already");
        for (size_t k = 0; k < i; k++) {
            if (strncasecmp(header, provider->headers[k], (size_t)len + 1) == 0)
                return load_refuse(loader, section, "header", err, "%.*s is given twice", len, header);
        }
    }
    return true;
}

static bool check_times(const struct loader *loader, const struct section *section,
                        const struct config_provider *provider, struct err *err)
{
    char window[VALUE_DURATION_BYTES];
    if (provider->backoff_base_ms > provider->backoff_max_ms)
        return load_refuse(loader, section, "backoff_base", err, "expected at most backoff_max");
    if (provider->max_age_ms > loader->config->dedupe_window_ms) {
        value_write_duration(loader->config->dedupe_window_ms, window);
        return load_refuse(
            loader, section, "max_age", err,
            "expected at most %s, the dedupe_window: what is still being sent must not be forgotten", window);
    }
    return true;
}

static bool check_was(const struct loader *loader, const struct section *section,
                      const struct config_provider *provider, struct err *err)
{
    const struct config *config = loader->config;
    if (provider->was == NULL)
        return true;
    for (size_t i = 0; i < config->provider_count; i++) {
        const struct config_provider *other = &config->providers[i];
        if (strcmp(provider->was, other->name) == 0)
            return load_refuse(loader, section, "was", err, "'%s': there is a provider of that name",
                               provider->was);
        if (other != provider && other->was != NULL && strcmp(provider->was, other->was) == 0 &&
            other->index < provider->index)
            return load_refuse(loader, section, "was", err, "'%s': [provider %s] says so too", provider->was,
                               other->name);
    }
    return true;
}

/* herald@HOST, or herald@localhost where the host's name is no domain; only for what is not delivered. */
static bool default_from(struct config_provider *provider, struct err *err)
{
    char host[256] = "", address[300];
    struct err ignored;
    (void)gethostname(host, sizeof(host) - 1);
    snprintf(address, sizeof(address), "herald@%s", host);
    if (!address_check(address, strlen(address), &ignored))
        snprintf(address, sizeof(address), "herald@localhost");
    return default_text(&provider->from_address, strdup(address), err) &&
           default_text(&provider->from_name, strdup(""), err);
}

static bool default_path(struct config_provider *provider, struct err *err)
{
    const char *states = getenv("STATE_DIRECTORY");
    char *path = NULL;
    if (states == NULL || *states == '\0')
        states = STATE_DIRECTORY;
    /* systemd may name several, with colons between */
    return default_text(&provider->path,
                        asprintf(&path, "%.*s/mail", (int)strcspn(states, ":"), states) < 0 ? NULL : path,
                        err);
}

static bool set_defaults(const struct section *section, struct config_provider *provider, struct err *err)
{
    bool is_http = provider->type == PROVIDER_HTTP;
    if (load_line(section, "connections") == 0)
        provider->connections = provider->type == PROVIDER_SMTP ? 16 : is_http ? 2 : 1;
    if (load_line(section, "timeout") == 0)
        provider->timeout_ms = is_http ? 30 * 1000 : 10 * 60 * 1000;
    if (!is_http)
        provider->streams = 1;
    if (provider->from_address == NULL && provider->channel == CHANNEL_EMAIL &&
        provider->type != PROVIDER_SMTP && !default_from(provider, err))
        return false;
    return provider->path != NULL || provider->type != PROVIDER_MAILDIR || default_path(provider, err);
}

bool provider_finish(const struct loader *loader, const struct section *section, struct err *err)
{
    struct config_provider *provider = load_base(loader, section);
    if (!check_type(loader, section, provider, err))
        return false;
    bool has_url = provider->type == PROVIDER_SMTP || provider->type == PROVIDER_HTTP;
    return (!has_url || check_url(loader, section, provider, err)) &&
           check_login(loader, section, provider, err) && check_headers(loader, section, provider, err) &&
           check_times(loader, section, provider, err) && check_was(loader, section, provider, err) &&
           set_defaults(section, provider, err);
}
