/* fsck.lua, the operator's check: it finds what the tests' own check finds, and mends it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger_world.h"

#define E1 "aaaaaaaaaaaaaaaaaaaaaaa1"
#define EVENT "herald:{0}:e:" E1
#define PAYLOAD "herald:{0}:p:" E1

TestSuite(ledger_fsck, .init = world_start, .fini = world_stop, .timeout = 60);

/* One delivery in the state: A, L, X, U, or S. */
static void bring_to(char state)
{
    world_accept(world_ledger(), (struct order){.eid = E1, .capacity = state != 'A', .hold = true});
    struct ledger_item item = {.eid = E1, .fence = 1, .attempts = 1, .text = "550 no"};
    item.what = state == 'U' ? FAIL_UNKNOWN : FAIL_DEAD;
    if (state == 'X' || state == 'U')
        cr_assert_eq(world_settle(ledger_fail, item), 1);
    if (state == 'S')
        cr_assert_eq(world_settle(ledger_sent, item), 1);
    cr_assert_eq(world_record(E1, 0).state, state);
}

/* What is done to Redis, what is then said of it, and what a repair leaves of the delivery. */
static const struct {
    const char *name;
    char state;
    const char *damage[2];
    const char *words;
    char after;
} rows[] = {
    {"a waiting one in no index",
     'A',
     {"ZREM herald:{0}:due:mail " E1 ":0"},
     "is missing in herald:{0}:due:mail",
     'A'},
    {"a leased one in no index",
     'L',
     {"ZREM herald:{0}:lease " E1 ":0"},
     "is missing in herald:{0}:lease",
     'L'},
    {"a dead one in no index", 'X', {"ZREM herald:{0}:dead " E1 ":0"}, "is missing in herald:{0}:dead", 'X'},
    {"an unknown one in no index",
     'U',
     {"ZREM herald:{0}:unknown " E1 ":0"},
     "is missing in herald:{0}:unknown",
     'U'},
    {"another time in the index",
     'L',
     {"ZADD herald:{0}:lease 1 " E1 ":0"},
     "has another time in herald:{0}:lease",
     'L'},
    {"in the wrong index", 'A', {"ZADD herald:{0}:dead 1 " E1 ":0"}, "its record says A in lane mail", 'A'},
    {"in the wrong lane",
     'A',
     {"ZADD herald:{0}:due:other 1 " E1 ":0"},
     "due:other " E1 ":0: its record says A",
     'A'},
    {"ended, and in an index", 'S', {"ZADD herald:{0}:lease 1 " E1 ":0"}, "its record says S", 'S'},
    {"an entry without a record",
     'A',
     {"ZADD herald:{0}:unknown 1 bbbb:0"},
     "unknown bbbb:0: has no record",
     'A'},
    {"an entry that names nothing",
     'A',
     {"ZADD herald:{0}:unknown 1 nonsense"},
     "unknown nonsense: has no record",
     'A'},
    {"a wrong count of what is open", 'A', {"HSET " EVENT " o 7"}, "counts 7 open, 1 are", 'A'},
    {"no count of what is open", 'A', {"HDEL " EVENT " o"}, "counts nothing open, 1 are", 'A'},
    {"a payload kept too long", 'S', {"SET " PAYLOAD " x"}, "is kept, and none is open", 'S'},
    {"a waiting one's payload lost", 'A', {"DEL " PAYLOAD}, "is missing, and 1 are open", 'R'},
    {"a dead one's payload lost",
     'X',
     {"DEL " PAYLOAD, "DEL herald:{0}:dead-bytes"},
     "is missing, and 1 are open",
     'R'},
    {"a payload without an event", 'A', {"SET herald:{0}:p:bbbb x"}, "p bbbb: has no event", 'A'},
    {"a history without an event", 'A', {"HSET herald:{0}:x:bbbb n 1"}, "x bbbb: has no event", 'A'},
    {"an open one that would expire", 'A', {"PEXPIRE " EVENT " 100000"}, "would expire, and is open", 'A'},
    {"an open one's history that would expire",
     'X',
     {"PEXPIRE herald:{0}:x:" E1 " 100000"},
     "would expire, and is open",
     'X'},
    {"an ended one that never expires", 'S', {"PERSIST " EVENT}, "has ended, and would never expire", 'S'},
    {"an owner and no lease",
     'A',
     {"HSET " EVENT " 0 \"A 0 0 0 0 0 mail 0123abcd\""},
     "has an owner and no lease",
     'A'},
    {"leased to nobody", 'L', {"HSET " EVENT " 0 \"L 1 0 0 60000 2 mail -\""}, "is leased to nobody", 'A'},
    {"a limiter's key that stays",
     'A',
     {"SET herald:{0}:limit:p:mail 1"},
     "limit p:mail: would never expire",
     'A'},
};

Test(ledger_fsck, what_the_tests_own_check_finds_is_found_and_mended)
{
    char words[4096];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        world_ask("FLUSHALL");
        bring_to(rows[i].state);
        cr_assert_eq(world_fsck_script(false, words, sizeof words), 0, "%s: %s", rows[i].name, words);
        for (size_t j = 0; j < 2 && rows[i].damage[j] != NULL; j++) {
            /* redisCommand cuts at spaces; the packed record needs its own. */
            const char *quoted = strchr(rows[i].damage[j], '"');
            if (quoted == NULL)
                world_ask(rows[i].damage[j]);
            else
                world_ask("HSET " EVENT " 0 %b", quoted + 1, strlen(quoted) - 2);
        }
        cr_assert_str_not_empty(world_fsck(), "%s: the tests' own check", rows[i].name);
        cr_assert_gt(world_fsck_script(false, words, sizeof words), 0, "%s", rows[i].name);
        cr_assert_not_null(strstr(words, rows[i].words), "%s: %s", rows[i].name, words);
        cr_assert_not_null(strstr(words, "(0)"), "%s is not mended yet: %s", rows[i].name, words);
        cr_assert_str_not_empty(world_fsck(), "%s: looking mends nothing", rows[i].name);
        world_fsck_script(true, words, sizeof words);
        cr_assert_not_null(strstr(words, "(1)"), "%s: %s", rows[i].name, words);
        cr_assert_eq(world_fsck_script(true, words, sizeof words), 0, "%s again: %s", rows[i].name, words);
        cr_assert_str_empty(world_fsck(), "%s: %s", rows[i].name, world_fsck());
        cr_assert_eq(world_record(E1, 0).state, rows[i].after, "%s", rows[i].name);
    }
}

Test(ledger_fsck, what_only_a_person_can_mend_is_said_and_left)
{
    static const struct {
        const char *damage, *value, *words;
    } damages[] = {
        {"HSET " EVENT " 0 %s", "garbage", "can not be read: garbage"},
        {"HSET " EVENT " t %s", "x", "has no time of acceptance"},
        {"HDEL " EVENT " %s", "h", "has no time of acceptance, or no hash"},
        {"SET " EVENT " %s", "x", "is no hash"},
        {"SET herald:{0}:due:mail %s", "x", "is no sorted set"},
    };
    char words[4096];
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        world_ask("FLUSHALL");
        bring_to('A');
        world_ask(damages[i].damage, damages[i].value);
        for (int pass = 0; pass < 2; pass++) {
            cr_assert_gt(world_fsck_script(true, words, sizeof words), 0, "%s", damages[i].damage);
            cr_assert_not_null(strstr(words, damages[i].words), "%s", words);
            cr_assert_not_null(strstr(words, "(0)"), "%s", words);
        }
    }
    world_ask("FLUSHALL");
}

Test(ledger_fsck, what_can_not_be_read_may_be_open_and_keeps_its_payload_and_its_entry)
{
    char words[4096];
    bring_to('A');
    world_ask("HSET " EVENT " 0 garbage");
    cr_assert_eq(world_fsck_script(true, words, sizeof words), 1, "%s", words);
    cr_assert_eq(world_number("EXISTS " PAYLOAD), 1);
    cr_assert_eq(world_number("ZCARD herald:{0}:due:mail"), 1);
    world_ask("FLUSHALL");
}

Test(ledger_fsck, a_record_that_makes_the_hash_a_table_is_said)
{
    char words[4096];
    bring_to('A');
    world_ask("HSET " EVENT " 0 %s",
              "A 0 0000000000000000000000000000000000000000000000000000000000 0 0 0 mail -");
    cr_assert_eq(world_fsck_script(false, words, sizeof words), 1, "%s", words);
    cr_assert_not_null(strstr(words, "is longer than 64 bytes"), "%s", words);
    world_ask("FLUSHALL");
}

Test(ledger_fsck, who_comes_back_with_a_lease_that_was_nobodys_has_no_say)
{
    char words[4096];
    bring_to('L');
    world_ask("HSET " EVENT " 0 %s", "L 1 0 0 60000 2 mail -");
    world_fsck_script(true, words, sizeof words);
    cr_assert_eq(world_record(E1, 0).state, 'A');
    cr_assert_eq(world_settle(ledger_fail, (struct ledger_item){.eid = E1, .fence = 1, .text = "550"}), 0);
    cr_assert_eq(world_record(E1, 0).fence, 2);
}

/* The script on one entry alone; how many findings. */
static size_t check_entry(const char *index, const char *id)
{
    redisReply *reply =
        world_ask("EVAL %s 1 herald:{0} 1 1000 1 %s %s", ledger_script("fsck", NULL), index, id);
    return (reply->elements - 1) / 4;
}

Test(ledger_fsck, a_wrong_entry_goes_only_when_the_right_one_is_there)
{
    bring_to('A');
    world_ask("ZREM herald:{0}:due:mail " E1 ":0");
    world_ask("ZADD herald:{0}:dead 1 " E1 ":0");
    cr_assert_eq(check_entry("dead", E1 ":0"), 1);
    cr_assert_eq(world_number("ZCARD herald:{0}:due:mail"), 1);
}

Test(ledger_fsck, what_has_left_the_index_meanwhile_is_no_damage)
{
    bring_to('A');
    cr_assert_eq(check_entry("dead", E1 ":0"), 0);
    cr_assert_eq(check_entry("dead", "bbbbbbbbbbbbbbbbbbbbbbbb:0"), 0);
}

Test(ledger_fsck, the_owner_of_a_lease_keeps_it_when_its_payload_is_lost)
{
    char words[4096];
    bring_to('L');
    world_ask("DEL " PAYLOAD);
    cr_assert_eq(world_fsck_script(true, words, sizeof words), 1);
    cr_assert_not_null(strstr(words, "(0)"), "%s", words);
    cr_assert_eq(world_record(E1, 0).state, 'L');
    cr_assert_eq(
        world_settle(ledger_sent, (struct ledger_item){.eid = E1, .fence = 1, .attempts = 1, .text = "250"}),
        1);
}

static int64_t reply_sum(void)
{
    return strtoll(
        world_ask("EVAL %s 1 herald:{0} 0 1000 1 weigh " E1, ledger_script("fsck", NULL))->element[0]->str,
        NULL, 10);
}

static size_t weigh(const char *said, int64_t sum, int count, const char *repair)
{
    char text[96];
    snprintf(text, sizeof text, "%s %lld %d", said, (long long)sum, count);
    return (world_ask("EVAL %s 1 herald:{0} %s 1000 1 weight %s", ledger_script("fsck", NULL), repair, text)
                ->elements -
            1) /
           4;
}

Test(ledger_fsck, the_weight_of_the_dead_is_mended_unless_it_moved_while_they_were_weighed)
{
    bring_to('X');
    int64_t bytes = world_number("GET herald:{0}:dead-bytes");
    cr_assert_eq(reply_sum(), bytes);
    world_ask("SET herald:{0}:dead-bytes 1");
    cr_assert_eq(weigh("2", bytes, 1, "1"), 0, "it was 2 when they were weighed");
    cr_assert_eq(weigh("1", bytes, 2, "1"), 0, "there were two of them");
    cr_assert_eq(weigh("1", bytes, 1, "0"), 1);
    cr_assert_eq(world_number("GET herald:{0}:dead-bytes"), 1);
    cr_assert_eq(weigh("1", bytes, 1, "1"), 1);
    cr_assert_eq(world_number("GET herald:{0}:dead-bytes"), bytes);
}
