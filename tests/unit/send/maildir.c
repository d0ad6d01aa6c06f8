/* maildir.c - mail into a directory: whole, once, and bounded. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lane_world.h"

static struct lane_world world;

static void init(void)
{
    lane_world_init(&world);
}

static void done(void)
{
    lane_world_done(&world);
}

TestSuite(maildir, .init = init, .fini = done);

static void start(const char *more)
{
    char text[512];
    snprintf(text, sizeof(text), "type = maildir\nfrom = shop@shop.example\npath = deep/mail\n%s", more);
    lane_world_configure(&world, CHANNEL_EMAIL, NULL, text);
    lane_world_start(&world);
}

/* How many files a folder has; the name of the last. */
static int list(const char *folder, char name[256])
{
    char path[256];
    int count = 0;

    snprintf(path, sizeof(path), "%s/deep/mail/%s", world.directory, folder);
    DIR *entries = opendir(path);
    cr_assert(entries != NULL, "%s", path);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        count++;
        if (name != NULL)
            memcpy(name, entry->d_name, sizeof(entry->d_name));
    }
    closedir(entries);
    return count;
}

static struct attempt send_again(const char *to, unsigned made, unsigned attempt_number)
{
    world.made = made - 1; /* the same id, and so the same delivery */
    struct delivery *delivery = lane_world_delivery(&world, CHANNEL_EMAIL, to);
    delivery->attempt_number = attempt_number;
    lane_world_push(&world, delivery);
    delivery = lane_world_wait(&world);
    struct attempt attempt = delivery->attempt;
    lane_world_release(&world, delivery);
    return attempt;
}

Test(maildir, a_mail_is_a_whole_file_in_new_for_its_owner_only)
{
    char name[256], path[600];
    struct stat stat_now;

    start("");
    struct attempt attempt = lane_world_try(&world, CHANNEL_EMAIL, "ann@shop.example");
    cr_expect_eq(attempt.transport, TRANSPORT_OK, "%s", attempt.reply);
    cr_expect_eq(attempt.code, 250);
    cr_expect(attempt.is_committed);
    cr_assert_eq(list("new", name), 1);
    cr_expect_eq(list("tmp", NULL), 0);
    snprintf(path, sizeof(path), "deep/mail/new/%s", name);
    char *text = lane_world_read(&world, path);
    cr_expect(strstr(text, "ann@shop.example") != NULL);
    cr_expect(strstr(text, "Subject: Order o-1\r\n") != NULL, "%s", text);
    free(text);
    snprintf(path, sizeof(path), "%s/deep/mail/new/%s", world.directory, name);
    cr_assert_eq(stat(path, &stat_now), 0);
    cr_expect_eq(stat_now.st_mode & 0777, 0600);
}

Test(maildir, a_repeat_overwrites_its_own_file)
{
    start("");
    for (unsigned attempt = 1; attempt <= 3; attempt++)
        cr_expect_eq(send_again("ann@shop.example", 1, attempt).code, 250);
    cr_expect_eq(list("new", NULL), 1);
    cr_expect_eq(send_again("ann@shop.example", 2, 1).code, 250);
    cr_expect_eq(list("new", NULL), 2);
}

Test(maildir, a_repeat_of_a_mail_that_was_read_stays_where_its_reader_put_it)
{
    char name[256], from[600], to[600];

    start("");
    cr_expect_eq(send_again("ann@shop.example", 1, 1).code, 250);
    list("new", name);
    snprintf(from, sizeof(from), "%s/deep/mail/new/%s", world.directory, name);
    snprintf(to, sizeof(to), "%s/deep/mail/cur/%s:2,S", world.directory, name);
    cr_assert_eq(rename(from, to), 0);
    cr_expect_eq(send_again("ann@shop.example", 1, 2).code, 250);
    cr_expect_eq(list("new", NULL), 0);
}

Test(maildir, a_full_one_refuses_like_a_destination_that_is_down_until_it_is_emptied)
{
    char name[256], path[600];

    start("max_messages = 2");
    cr_expect_eq(send_again("ann@shop.example", 1, 1).code, 250);
    cr_expect_eq(send_again("ann@shop.example", 2, 1).code, 250);
    struct attempt attempt = send_again("ann@shop.example", 3, 1);
    cr_expect_eq(attempt.transport, TRANSPORT_CONNECT);
    cr_expect_not(attempt.is_committed);
    cr_expect(strstr(attempt.reply, "max_messages is 2") != NULL, "%s", attempt.reply);
    struct outcome outcome;
    outcome_classify(&attempt, &outcome);
    cr_expect_eq(outcome.class, OUTCOME_DESTINATION);
    list("new", name);
    snprintf(path, sizeof(path), "%s/deep/mail/new/%s", world.directory, name);
    cr_assert_eq(unlink(path), 0);
    cr_expect_eq(send_again("ann@shop.example", 3, 1).code, 250);
}

Test(maildir, what_cannot_be_written_is_not_committed_and_leaves_nothing)
{
    lane_world_write(&world, "deep/mail", "a file where the directory should be");
    lane_world_configure(&world, CHANNEL_EMAIL, NULL,
                         "type = maildir\nfrom = shop@shop.example\npath = deep/mail/x");
    struct lane_options options = {.config = world.config,
                                   .provider = config_provider(world.config, "p"),
                                   .mailbox = world.mailbox,
                                   .gate = &world.gate};
    struct err err = {0};
    cr_assert(lane_start(&options, &world.lane, &err), "%s", err.text);
    struct attempt attempt = lane_world_try(&world, CHANNEL_EMAIL, "ann@shop.example");
    cr_expect_eq(attempt.transport, TRANSPORT_CONNECT);
    cr_expect_not(attempt.is_committed);
    cr_expect(strstr(attempt.reply, "deep/mail") != NULL, "%s", attempt.reply);
}

Test(maildir, a_delivery_that_may_not_be_committed_is_not_written)
{
    start("");
    world.made = 0;
    struct delivery *delivery = lane_world_delivery(&world, CHANNEL_EMAIL, "ann@shop.example");
    delivery->epoch = 7; /* not the gate's */
    lane_world_push(&world, delivery);
    delivery = lane_world_wait(&world);
    cr_expect_eq(delivery->attempt.abort, ABORT_LEASE);
    lane_world_release(&world, delivery);
}
