/* environment.c - tests of what the environment may say about Redis, and about where files are. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "sandbox.h"

TestSuite(environment, .init = sandbox_enter, .fini = sandbox_leave);

Test(environment, counts_where_the_file_is_silent)
{
    setenv("REDIS_HOST", "redis.shop", 1);
    setenv("REDIS_PORT", "6380", 1);
    setenv("REDIS_PASSWORD", "s3cret", 1);
    sandbox_write("herald.conf", "");
    struct config *config = sandbox_load();
    cr_expect_str_eq(config->redis.host, "redis.shop");
    cr_expect_eq(config->redis.port, 6380);
    cr_expect_str_eq(config->redis.password, "s3cret");
    config_unref(config);
}

Test(environment, does_not_count_where_the_file_speaks)
{
    setenv("REDIS_HOST", "redis.shop", 1);
    setenv("REDIS_PORT", "tcp://10.0.0.1:6379", 1);
    setenv("REDIS_PASSWORD", "s3cret", 1);
    sandbox_write("password", "from a file\n");
    sandbox_write("herald.conf", "[redis]\nurl = redis://other/2\npassword_file = password\n");
    struct config *config = sandbox_load();
    cr_expect_str_eq(config->redis.host, "other");
    cr_expect_eq(config->redis.port, 6379);
    cr_expect_eq(config->redis.database, 2);
    cr_expect_str_eq(config->redis.password, "from a file");
    config_unref(config);
}

Test(environment, that_is_empty_is_silent_too)
{
    setenv("REDIS_HOST", "", 1);
    setenv("REDIS_PORT", "", 1);
    setenv("REDIS_PASSWORD", "", 1);
    sandbox_write("herald.conf", "");
    struct config *config = sandbox_load();
    cr_expect_str_eq(config->redis.host, "127.0.0.1");
    cr_expect_eq(config->redis.port, 6379);
    cr_expect_null(config->redis.password);
    config_unref(config);
}

Test(environment, a_port_as_kubernetes_writes_it_is_explained)
{
    setenv("REDIS_PORT", "tcp://10.0.0.1:6379", 1);
    cr_expect_str_eq(
        sandbox_refusal(""),
        "REDIS_PORT: 'tcp://10.0.0.1:6379': expected 1 to 65535 (Kubernetes sets this variable for a service "
        "called redis: give [redis] url instead)");
}

Test(environment, a_host_has_no_port_or_password_in_it)
{
    static const char *const rows[] = {"redis shop", "redis:6379", "a@redis", "redis/0", "redis://redis"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        setenv("REDIS_HOST", rows[i], 1);
        cr_expect_neq(*sandbox_refusal(""), '\0', "%s", rows[i]);
    }
    setenv("REDIS_HOST", "::1", 1);
    cr_expect_str_eq(sandbox_refusal(""), "");
}

Test(environment, says_where_the_maildir_is)
{
    setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two", 1);
    sandbox_write("herald.conf", SOURCE NOTIFICATION);
    struct config *config = sandbox_load();
    cr_expect_str_eq(config_provider(config, "maildir")->path, "/var/lib/one/mail");
    config_unref(config);
}
