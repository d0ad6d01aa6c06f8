/* refusals.c - a table of bad files, each with the complaint: where, which option, what was expected. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "sandbox.h"

static void enter(void)
{
    sandbox_enter();
    sandbox_write("password", "s3cret\n");
    sandbox_write("spaced", "a b\n");
    sandbox_write("templates/pushed/push.json", "{}\n");
    sandbox_write("templates/mailed/subject.txt", "s\n");
    sandbox_write("templates/mailed/body.txt", "b\n");
    sandbox_write("templates/half/subject.txt", "s\n");
    sandbox_write("templates/broken/subject.txt", "{{#a}}\n");
}

TestSuite(refusals, .init = enter, .fini = sandbox_leave);

#define MAIL "[provider mail]\nchannel = email\n"
#define ERP "[provider erp]\nchannel = webhook\n"
#define TEN " a a a a a a a a a a"

struct row {
    const char *text, *complaint;
};

static void expect_complaints(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *complaint = sandbox_refusal(rows[i].text);
        cr_expect_str_eq(complaint, rows[i].complaint, "%s%s", rows[i].text, complaint);
        cr_expect_null(strstr(complaint, "s3cret"), "%s", complaint);
    }
}

#define EXPECT_COMPLAINTS(rows) expect_complaints((rows), sizeof(rows) / sizeof((rows)[0]))

Test(refusals, a_heading_that_means_nothing_is_refused)
{
    static const struct row rows[] = {
        {"prefix = a\n", "herald.conf:1: expected a [SECTION] before the first option"},
        {"[herald]\nprefix\n", "herald.conf:2: expected NAME = VALUE"},
        {"[heralds]\n", "herald.conf:1: [heralds]: expected [herald], [redis], [source NAME], [notification "
                        "NAME], [provider NAME] or [limit recipient]"},
        {"[]\n", "herald.conf:1: []: expected [herald], [redis], [source NAME], [notification NAME], "
                 "[provider NAME] or [limit recipient]"},
        {"[herald one]\n", "herald.conf:1: [herald one]: expected no name"},
        {"[provider]\n", "herald.conf:1: [provider]: expected a name of 1 to 20 lower-case letters, digits "
                         "and hyphens, a letter first"},
        {"[provider Mail]\n", "herald.conf:1: [provider Mail]: expected a name of 1 to 20 lower-case "
                              "letters, digits and hyphens, a letter first"},
        {"[provider a23456789012345678901]\n",
         "herald.conf:1: [provider a23456789012345678901]: expected a name of 1 to 20 lower-case letters, "
         "digits and hyphens, a letter first"},
        {"[limit]\n", "herald.conf:1: [limit]: expected [limit recipient]"},
        {"[limit sender]\n", "herald.conf:1: [limit sender]: expected [limit recipient]"},
        {"[source a b]\n", "herald.conf:1: [source a b]: expected a name of 1 to 20 lower-case letters, "
                           "digits and hyphens, a letter first"},
        {"[herald]\n[redis]\n[herald]\n", "herald.conf:3: [herald]: there is one in line 1 already"},
        {MAIL "type = null\n" MAIL, "herald.conf:4: [provider mail]: there is one in line 1 already"},
        {SOURCE "[source orders]\n", "herald.conf:4: [source orders]: there is one in line 1 already"},
    };
    EXPECT_COMPLAINTS(rows);
}

Test(refusals, an_option_that_is_unknown_or_given_twice_is_refused)
{
    static const struct row rows[] = {
        {"[herald]\n\ncolour = red\n", "herald.conf:3: [herald]: 'colour': there is no such option"},
        {"[provider mail]\nprefix = a\n",
         "herald.conf:2: [provider mail]: 'prefix': there is no such option"},
        {"[herald]\nprefix = a\nprefix = b\n", "herald.conf:3: [herald] prefix: given in line 2 already"},
        {"[redis]\nurl = redis://127.0.0.1\nurl = redis://127.0.0.1\n",
         "herald.conf:3: [redis] url: given in line 2 already"},
    };
    EXPECT_COMPLAINTS(rows);
}

Test(refusals, a_value_out_of_its_range_is_refused)
{
    static const struct row rows[] = {
        {"[herald]\nprefix = \n",
         "herald.conf:2: [herald] prefix: '': expected 1 to 32 bytes without spaces, quotes or braces"},
        {"[herald]\nprefix = a b\n",
         "herald.conf:2: [herald] prefix: 'a b': expected 1 to 32 bytes without spaces, quotes or braces"},
        {"[herald]\nprefix = {a}\n",
         "herald.conf:2: [herald] prefix: '{a}': expected 1 to 32 bytes without spaces, quotes or braces"},
        {"[herald]\nprefix = 123456789012345678901234567890123\n",
         "herald.conf:2: [herald] prefix: '123456789012345678901234567890123': expected 1 to 32 bytes "
         "without spaces, quotes or braces"},
        {"[herald]\ninstance = a b\n",
         "herald.conf:2: [herald] instance: 'a b': expected 1 to 64 bytes without spaces, quotes or braces"},
        {"[herald]\ntemplates = \n", "herald.conf:2: [herald] templates: '': expected a path"},
        {"[herald]\nlog_level = loud\n",
         "herald.conf:2: [herald] log_level: 'loud': expected error, warning, notice, info or debug"},
        {"[herald]\nlog_format = xml\n",
         "herald.conf:2: [herald] log_format: 'xml': expected auto, text, json or journal"},
        {"[herald]\ndrain_timeout = 30\n", "herald.conf:2: [herald] drain_timeout: '30': expected 0s to 15m, "
                                           "such as 250ms, 30s, 10m, 24h or 30d"},
        {"[herald]\ndrain_timeout = 16m\n", "herald.conf:2: [herald] drain_timeout: '16m': expected 0s to "
                                            "15m, such as 250ms, 30s, 10m, 24h or 30d"},
        {"[herald]\nlease = 10ms\n",
         "herald.conf:2: [herald] lease: '10ms': expected 1s to 1h, such as 250ms, 30s, 10m, 24h or 30d"},
        {"[herald]\nlease = 2h\n",
         "herald.conf:2: [herald] lease: '2h': expected 1s to 1h, such as 250ms, 30s, 10m, 24h or 30d"},
        {"[herald]\nlog_rate = 1000/1s\n",
         "herald.conf:2: [herald] log_rate: '1000/1s': expected 0 to 1000000"},
        {"[herald]\ndead_max_count = 0\n",
         "herald.conf:2: [herald] dead_max_count: '0': expected 1 to 10000000"},
        {"[herald]\nmetrics = 0.0.0.0:9464\n", "herald.conf:2: [herald] metrics: '0.0.0.0:9464': expected "
                                               "127.0.0.1:PORT, [::1]:PORT or unix:/PATH; "
                                               "public ADDRESS:PORT to be open to others"},
        {"[herald]\ndead_max_count = many\n",
         "herald.conf:2: [herald] dead_max_count: 'many': expected 1 to 10000000"},
        {"[herald]\ndead_max_count = 10000001\n",
         "herald.conf:2: [herald] dead_max_count: '10000001': expected 1 to 10000000"},
        {"[herald]\nallow_unfit_redis = true\n",
         "herald.conf:2: [herald] allow_unfit_redis: 'true': expected no or yes"},
        {"[herald]\nredirect_to = nobody\n",
         "herald.conf:2: [herald] redirect_to: 'nobody': expected an address LOCAL@DOMAIN"},
        {"[herald]\nallow_domains = a.example b_c\n",
         "herald.conf:2: [herald] allow_domains: 'b_c': expected a domain"},
        {"[herald]\nallow_domains =" TEN TEN TEN " a a a\n",
         "herald.conf:2: [herald] allow_domains: expected at most 32 entries"},
        {"[herald]\non_limiter_error = ignore\n",
         "herald.conf:2: [herald] on_limiter_error: 'ignore': expected open or closed"},
        {"[redis]\nurl = http://s3cret\n",
         "herald.conf:2: [redis] url: expected "
         "redis://[USER:PASSWORD@]HOST[:PORT][/DB] or unix://[USER:PASSWORD@]/PATH[?db=N]"},
        {"[redis]\nurl = rediss://s3cret\n",
         "herald.conf:2: [redis] url: TLS to Redis is not supported: expected "
         "redis://[USER:PASSWORD@]HOST[:PORT][/DB] or unix://[USER:PASSWORD@]/PATH[?db=N]"},
        {"[redis]\npassword_file = nothing\n",
         "herald.conf:2: [redis] password_file: ./nothing: No such file or directory"},
        {"[redis]\npassword_file =\n", "herald.conf:2: [redis] password_file: '': expected a path"},
        {"[redis]\npassword = s3cret\n",
         "herald.conf:2: [redis]: 'password': a secret stands in a file of its own: expected password_file"},
        {"[redis]\nurl = redis://:s3cret@127.0.0.1\npassword_file = password\n",
         "herald.conf:3: [redis] password_file: the url has a password already"},
        {"[redis]\npassword_file = password\nurl = redis://:s3cret@127.0.0.1\n",
         "herald.conf:3: [redis] url: password_file gives a password already"},
        {"[source orders]\ntype = list\n",
         "herald.conf:2: [source orders] type: 'list': expected pubsub or stream"},
        {"[source orders]\nchannel = a b\n",
         "herald.conf:2: [source orders] channel: 'a b': expected 1 to 256 bytes without spaces"},
        {"[source orders]\nrecipient_in_event = yes\n",
         "herald.conf:2: [source orders] recipient_in_event: 'yes': expected refuse or allow"},
        {"[source orders]\nsigning_key_file = password\n",
         "herald.conf:2: [source orders] signing_key_file: password: line 1: expected whsec_ and base64, or "
         "a text, of at least 16 bytes"},
        {"[notification order-confirmed]\nchannels = sms\n",
         "herald.conf:2: [notification order-confirmed] channels: 'sms': expected email, push or webhook, or "
         "CHANNEL:PROVIDER"},
        {"[notification order-confirmed]\nchannels = email webhook:A\n",
         "herald.conf:2: [notification order-confirmed] channels: 'webhook:A': expected email, push or "
         "webhook, or CHANNEL:PROVIDER"},
        {"[notification order-confirmed]\nfrom = nobody\n",
         "herald.conf:2: [notification order-confirmed] from: 'nobody': byte 6: expected '@'"},
        {"[provider mail]\nrate = 14/s/s\n",
         "herald.conf:2: [provider mail] rate: '14/s/s': expected COUNT/PERIOD or COUNT/PERIOD burst N, such "
         "as 50/1s burst 100: numbers from 1 to 1000000, the period in ms, s, m, h or d, from 1s to 366d"},
        {"[provider mail]\nchannel = sms\n",
         "herald.conf:2: [provider mail] channel: 'sms': expected email, push or webhook"},
        {"[provider mail]\ntype = ftp\n",
         "herald.conf:2: [provider mail] type: 'ftp': expected smtp, http, maildir or null"},
        {"[provider mail]\nconnections = 257\n",
         "herald.conf:2: [provider mail] connections: '257': expected 1 to 256"},
        {"[provider mail]\nhello = a b\n",
         "herald.conf:2: [provider mail] hello: 'a b': expected a host's name"},
        {"[provider erp]\nheader = nothing\n",
         "herald.conf:2: [provider erp] header: expected NAME: VALUE in visible ASCII"},
        {"[provider erp]\nheader = X: é\n",
         "herald.conf:2: [provider erp] header: expected NAME: VALUE in visible ASCII"},
        {"[provider mail]\nwas = A\n", "herald.conf:2: [provider mail] was: 'A': expected lower-case "
                                       "letters, digits and hyphens, 1 to 20, a letter first"},
        {"[limit recipient]\nchannels = sms\n",
         "herald.conf:2: [limit recipient] channels: 'sms': expected email, push or webhook"},
    };
    EXPECT_COMPLAINTS(rows);
}

Test(refusals, options_that_do_not_fit_together_are_refused)
{
    static const struct row rows[] = {
        {"[herald]\nlease = 4s\n",
         "herald.conf:1: [herald] lease_margin: '5s': expected at most 2s, half of lease"},
        {"[herald]\nlease_margin = 31s\n",
         "herald.conf:2: [herald] lease_margin: '31s': expected at most 30s, half of lease"},
        {"[source orders]\nnotification = order-confirmed\n" NOTIFICATION,
         "herald.conf:1: [source orders] channel: required"},
        {"[source orders]\ntype = stream\nnotification = order-confirmed\n" NOTIFICATION,
         "herald.conf:1: [source orders] stream: required"},
        {SOURCE "stream = a\n" NOTIFICATION,
         "herald.conf:4: [source orders] stream: not for type = pubsub: give each its own [source]"},
        {"[source orders]\ntype = stream\nstream = a\nchannel = a\n" NOTIFICATION,
         "herald.conf:4: [source orders] channel: not for type = stream: give each its own [source]"},
        {"[source orders]\nchannel = a\n" NOTIFICATION,
         "herald.conf:1: [source orders] notification: required"},
        {"[source orders]\nchannel = a\nnotification = other\n" NOTIFICATION,
         "herald.conf:3: [source orders] notification: 'other': there is no [notification other]"},
        {SOURCE "[source more]\nchannel = order:confirmed\nnotification = order-confirmed\n" NOTIFICATION,
         "herald.conf:5: [source more] channel: 'order:confirmed': [source orders] has it already"},
        {"[notification order-confirmed]\n",
         "herald.conf:1: [notification order-confirmed] channels: required"},
        {"[notification order-confirmed]\nchannels =\n",
         "herald.conf:2: [notification order-confirmed] channels: required"},
        {"[notification order-confirmed]\nchannels = email email\n",
         "herald.conf:2: [notification order-confirmed] channels: 'email': email is there already"},
        {MAIL "type = null\n[notification order-confirmed]\nchannels = email email:mail\n",
         "herald.conf:5: [notification order-confirmed] channels: 'email:mail': email is there already"},
        {"[notification order-confirmed]\nchannels = push\n",
         "herald.conf:2: [notification order-confirmed] channels: 'push': there is no [provider] with "
         "channel = push"},
        {"[notification order-confirmed]\nchannels = push:app\n[provider app]\nchannel = push\ntype = null\n",
         "herald.conf:2: [notification order-confirmed] channels: 'push:app': expected push alone: each "
         "device's record names its provider"},
        {"[notification order-confirmed]\nchannels = webhook\n",
         "herald.conf:2: [notification order-confirmed] channels: 'webhook': there is no [provider] with "
         "channel = webhook"},
        {"[notification order-confirmed]\nchannels = webhook:erp\n",
         "herald.conf:2: [notification order-confirmed] channels: 'webhook:erp': there is no [provider erp] "
         "with channel = webhook"},
        {"[notification order-confirmed]\nchannels = email:app\n[provider app]\nchannel = push\ntype = "
         "null\n",
         "herald.conf:2: [notification order-confirmed] channels: 'email:app': there is no [provider app] "
         "with channel = email"},
        {NOTIFICATION MAIL "type = null\n[provider mail2]\nchannel = email\ntype = null\n",
         "herald.conf:2: [notification order-confirmed] channels: 'email': expected one by name, such as "
         "email:mail or email:mail2"},
        {NOTIFICATION "[provider maildir]\nchannel = push\ntype = null\n",
         "herald.conf:3: [provider maildir]: the name is kept for the provider that takes mail while no "
         "other does"},
        {NOTIFICATION MAIL "url = smtp://127.0.0.1\n",
         "herald.conf:1: [notification order-confirmed] from: required here or in [provider mail]"},
        {"[notification order-shipped]\nchannels = email\n",
         "herald.conf:1: [notification order-shipped]: ./templates/order-shipped: there is no such "
         "directory"},
        {"[notification pushed]\nchannels = email\n",
         "herald.conf:2: [notification pushed] channels: email needs subject.txt in ./templates/pushed"},
        {"[notification mailed]\nchannels = push\n[provider app]\nchannel = push\ntype = null\n",
         "herald.conf:2: [notification mailed] channels: push needs push.json in ./templates/mailed"},
        {"[notification half]\nchannels = email\n", "herald.conf:1: [notification half]: ./templates/half: a "
                                                    "mail with subject.txt needs body.txt or body.html"},
        {"[notification broken]\nchannels = email\n",
         "herald.conf:1: [notification broken]: ./templates/broken/subject.txt:1: section 'a' is never "
         "closed"},
    };
    EXPECT_COMPLAINTS(rows);
}

Test(refusals, a_provider_that_could_not_work_is_refused)
{
    static const struct row rows[] = {
        {"[provider mail]\nurl = smtp://127.0.0.1\n", "herald.conf:1: [provider mail] channel: required"},
        {MAIL, "herald.conf:1: [provider mail] url: required for type = smtp"},
        {ERP, "herald.conf:1: [provider erp] url: required for type = http"},
        {MAIL "type = http\n", "herald.conf:3: [provider mail] type: 'http' does not serve email"},
        {ERP "type = maildir\n", "herald.conf:3: [provider erp] type: 'maildir' does not serve webhook"},
        {ERP "type = smtp\n", "herald.conf:3: [provider erp] type: 'smtp' does not serve webhook"},
        {"[provider app]\nchannel = push\ntype = maildir\n",
         "herald.conf:3: [provider app] type: 'maildir' does not serve push"},
        {MAIL "type = maildir\nurl = smtp://127.0.0.1\n",
         "herald.conf:4: [provider mail] url: means nothing for type = maildir"},
        {MAIL "url = smtp://127.0.0.1\nheader = A: b\n",
         "herald.conf:4: [provider mail] header: means nothing for type = smtp"},
        {MAIL "url = smtp://127.0.0.1\nstreams = 5\n",
         "herald.conf:4: [provider mail] streams: means nothing for type = smtp"},
        {ERP "url = https://a\nuser = b\n",
         "herald.conf:4: [provider erp] user: means nothing for type = http"},
        {MAIL "url = smtp://127.0.0.1\npath = a\n",
         "herald.conf:4: [provider mail] path: means nothing for type = smtp"},
        {MAIL "url = smtp://127.0.0.1\nbehaviour = a\n",
         "herald.conf:4: [provider mail] behaviour: means nothing for type = smtp"},
        {ERP "type = null\nfrom = a@b.example\n",
         "herald.conf:4: [provider erp] from: means nothing for channel = webhook"},
        {MAIL "url = https://127.0.0.1\n",
         "herald.conf:3: [provider mail] url: expected smtp:// or smtps://"},
        {MAIL "url = mail.shop.example\n",
         "herald.conf:3: [provider mail] url: expected SCHEME://HOST[:PORT]"},
        {MAIL "url = smtp://a:s3cret@127.0.0.1\n", "herald.conf:3: [provider mail] url: expected no user or "
                                                   "password in it: see user and password_file"},
        {MAIL "url = smtp://127.0.0.1/shop\n",
         "herald.conf:3: [provider mail] url: expected nothing behind the port"},
        {MAIL "url = smtp:///a\n", "herald.conf:3: [provider mail] url: expected SCHEME://HOST[:PORT]"},
        {ERP "url = smtp://127.0.0.1\n", "herald.conf:3: [provider erp] url: expected https://"},
        {ERP "url = https://a:s3cret@erp\n",
         "herald.conf:3: [provider erp] url: expected no user or password in it: see token_file and header"},
        {ERP "url = http://erp.shop.example/in?key=s3cret\n",
         "herald.conf:3: [provider erp] url: expected https://: without TLS anyone on the way to "
         "erp.shop.example can read and change what is sent (allow_cleartext = yes if you must)"},
        {ERP "url = http://127.0.0.1.evil.example/\n",
         "herald.conf:3: [provider erp] url: expected https://: without TLS anyone on the way to "
         "127.0.0.1.evil.example can read and change what is sent (allow_cleartext = yes if you must)"},
        {MAIL "url = smtp://127.0.0.1\nuser = a\n",
         "herald.conf:1: [provider mail] password_file: required with user"},
        {MAIL "url = smtp://127.0.0.1\npassword_file = password\n",
         "herald.conf:1: [provider mail] user: required with password_file"},
        {MAIL "url = smtp://mail.shop.example\nuser = a\npassword_file = password\nstarttls = never\n",
         "herald.conf:6: [provider mail] starttls: never: the password would go to mail.shop.example in the "
         "clear (allow_cleartext = yes if you must)"},
        {MAIL "url = smtps://mail.shop.example\nstarttls = required\n",
         "herald.conf:4: [provider mail] starttls: means nothing for smtps://, which is TLS from the first "
         "byte"},
        {ERP "url = https://erp\ntoken_file = spaced\n",
         "herald.conf:4: [provider erp] token_file: holds more than visible ASCII"},
        {ERP "url = https://erp\nca_file = nothing\n",
         "herald.conf:4: [provider erp] ca_file: ./nothing: No such file or directory"},
        {ERP "url = https://erp\nheader = host: a\n",
         "herald.conf:4: [provider erp] header: Host is made by the transfer"},
        {ERP "url = https://erp\nheader = Content-Length: 0\n",
         "herald.conf:4: [provider erp] header: Content-Length is made by the transfer"},
        {ERP "url = https://erp\ntoken_file = password\nheader = authorization: a\n",
         "herald.conf:5: [provider erp] header: Authorization comes from token_file already"},
        {ERP "url = https://erp\nheader = X-A: b\nheader = x-a: c\n",
         "herald.conf:5: [provider erp] header: x-a is given twice"},
        {ERP "url = https://erp\nbackoff_base = 2h\n",
         "herald.conf:4: [provider erp] backoff_base: expected at most backoff_max"},
        {"[herald]\ndedupe_window = 1h\n" ERP "url = https://erp\n",
         "herald.conf:3: [provider erp] max_age: expected at most 1h, the dedupe_window: what is still being "
         "sent must not be forgotten"},
        {ERP "url = https://erp\nmax_age = 4d\n",
         "herald.conf:4: [provider erp] max_age: expected at most 3d, the dedupe_window: what is still being "
         "sent must not be forgotten"},
        {ERP "url = https://erp\nwas = erp\n",
         "herald.conf:4: [provider erp] was: 'erp': there is a provider of that name"},
        {ERP "url = https://erp\nwas = old\n[provider b]\nchannel = webhook\nurl = https://erp\nwas = old\n",
         "herald.conf:8: [provider b] was: 'old': [provider erp] says so too"},
    };
    EXPECT_COMPLAINTS(rows);
}

Test(refusals, of_several_mistakes_the_first_is_said)
{
    cr_expect_str_eq(
        sandbox_refusal("[herald]\nprefix = a b\ninstance = a b\nnonsense\n[nowhere]\n"),
        "herald.conf:2: [herald] prefix: 'a b': expected 1 to 32 bytes without spaces, quotes or braces");
}

Test(refusals, a_long_value_is_cut_in_the_complaint)
{
    char text[512] = "[herald]\nlog_level = ", expected[512];
    char value[301];
    memset(value, 'v', 300);
    value[300] = '\0';
    snprintf(text, sizeof(text), "[herald]\nlog_level = %s\n", value);
    snprintf(expected, sizeof(expected),
             "herald.conf:2: [herald] log_level: '%.80s…': expected error, warning, notice, info or debug",
             value);
    cr_expect_str_eq(sandbox_refusal(text), expected);
}

static void write_sections(char *text, size_t size, const char *kind, const char *body, int count)
{
    size_t len = 0;
    for (int i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, size - len, "[%s n%d]\n%s", kind, i, body);
    cr_assert_lt(len, size);
}

Test(refusals, more_than_64_sections_of_a_kind_are_refused)
{
    static char text[16384];
    write_sections(text, sizeof(text), "provider", "channel = push\ntype = null\n", 64);
    cr_expect_str_eq(sandbox_refusal(text), "");
    write_sections(text, sizeof(text), "provider", "channel = push\ntype = null\n", 65);
    cr_expect_str_eq(sandbox_refusal(text),
                     "herald.conf:193: [provider n64]: expected at most 64 sections of a kind");

    write_sections(text, sizeof(text), "provider", "channel = push\ntype = null\n", 64);
    strncat(text, NOTIFICATION, sizeof(text) - strlen(text) - 1);
    cr_expect_str_eq(sandbox_refusal(text),
                     "herald.conf: expected a [provider] with channel = email: there is no room to add one");
}

Test(refusals, a_missing_file_is_said_by_name)
{
    struct config *config = NULL;
    struct err err = {.text = ""};
    cr_expect_not(config_load("nowhere/herald.conf", &config, &err));
    cr_expect_str_eq(err.text, "nowhere/herald.conf: No such file or directory");
    cr_expect_null(config);
}
