/* sandbox.c - an empty directory to be in, with the templates of "order-confirmed", and an environment that
 * says nothing. */
#include "sandbox.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];

void sandbox_enter(void)
{
    static const char *const silent[] = {"REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD",
                                         "CREDENTIALS_DIRECTORY", "STATE_DIRECTORY"};
    for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++)
        unsetenv(silent[i]);
    snprintf(directory, sizeof(directory), "/tmp/herald-conf-XXXXXX");
    cr_assert(mkdtemp(directory) != NULL && chdir(directory) == 0);
    sandbox_write("templates/order-confirmed/subject.txt", "Order {{orderId}}\n");
    sandbox_write("templates/order-confirmed/body.txt", "Thank you.\n");
    sandbox_write("templates/order-confirmed/push.json", "{\"order\":{{{orderId}}}}\n");
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat, (void)type, (void)ftw;
    return remove(path);
}

void sandbox_leave(void)
{
    cr_assert(chdir("/") == 0);
    nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void sandbox_write_bytes(const char *name, const char *bytes, size_t len)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s", name);
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(name, "w");
    cr_assert(file != NULL, "%s", name);
    cr_assert_eq(fwrite(bytes, 1, len, file), len);
    fclose(file);
}

void sandbox_write(const char *name, const char *text)
{
    sandbox_write_bytes(name, text, strlen(text));
}

struct config *sandbox_load(void)
{
    struct config *config = NULL;
    struct err err = {.text = ""};
    cr_assert(config_load("herald.conf", &config, &err), "%s", err.text);
    return config;
}

const char *sandbox_refusal(const char *text)
{
    static struct err err;
    struct config *config = NULL;
    err = (struct err){.text = ""};
    sandbox_write("herald.conf", text);
    if (config_load("herald.conf", &config, &err)) {
        config_unref(config);
        return "";
    }
    cr_assert_null(config, "a failed load touches nothing");
    cr_assert_eq(err.kind, ERR_CONFIG);
    return err.text;
}
