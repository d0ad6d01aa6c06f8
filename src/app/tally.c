/* A bounded table of counters, found by a hash of their labels. See tally.h. */
#include "tally.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "reason.h"

#define SLOTS (2 * TALLY_MAX_SERIES) /* a power of two, at most half full */
#define NO_SERIES UINT16_MAX

const int64_t tally_bounds_us[TALLY_BUCKETS - 1] = {500,     1000,     2500,     5000,     10000,    25000,
                                                    50000,   100000,   250000,   500000,   1000000,  2500000,
                                                    5000000, 10000000, 30000000, 60000000, 300000000};

const char *const tally_label_names[TALLY_LABELS] = {
    [TALLY_SOURCE] = "source",   [TALLY_NOTIFICATION] = "notification",
    [TALLY_CHANNEL] = "channel", [TALLY_PROVIDER] = "provider",
    [TALLY_REASON] = "reason",   [TALLY_LIMIT] = "limit",
    [TALLY_EVENT] = "event"};

#define L(label) (1U << TALLY_##label)
#define OF_EVENT (L(SOURCE) | L(NOTIFICATION))
#define OF_DELIVERY (OF_EVENT | L(CHANNEL) | L(PROVIDER))

const struct tally_family tally_families[] = {
    {"event.received", "herald_events_received_total",
     "Messages taken from the sources: the sum of accepted, duplicate, conflict and rejected.", L(SOURCE),
     TALLY_LINES},
    {"event.accepted", "herald_events_accepted_total", "Events that Redis holds.", OF_EVENT, TALLY_LINES},
    {"event.duplicate", "herald_events_duplicate_total", "Events known already.", OF_EVENT, TALLY_LINES},
    {"event.conflict", "herald_events_conflict_total", "Events with a known id and other content.", OF_EVENT,
     TALLY_LINES},
    {"event.rejected", "herald_events_rejected_total", "Messages refused.", L(SOURCE) | L(REASON),
     TALLY_LINES},
    {"delivery.sent", "herald_deliveries_sent_total", "Deliveries that a provider took.", OF_DELIVERY,
     TALLY_LINES},
    {"delivery.retry", "herald_deliveries_retried_total", "Attempts that failed and are tried again.",
     OF_DELIVERY | L(REASON), TALLY_LINES},
    {"delivery.limited", "herald_deliveries_limited_total", "Deliveries that a rate limit made wait.",
     L(CHANNEL) | L(PROVIDER) | L(LIMIT), TALLY_LINES},
    {"delivery.dead", "herald_deliveries_dead_total", "Deliveries given up.", OF_DELIVERY | L(REASON),
     TALLY_COUNT_FIELD},
    {"delivery.unknown", "herald_deliveries_unknown_total",
     "Attempts that may have been sent, their answer was lost.", OF_DELIVERY | L(REASON), TALLY_LINES},
    {"lane.closed", "herald_lane_closed_total",
     "Times that a provider's breaker opened, and its lane sent nothing.", L(PROVIDER) | L(REASON),
     TALLY_LINES},
    {"source.gap", "herald_source_gaps_total", "Times that something published may have been missed.",
     L(SOURCE), TALLY_LINES},
    {"source.gap", "herald_source_gap_seconds_total", "How long those gaps were together, where it is known.",
     L(SOURCE), TALLY_MS_FIELD},
    {NULL, "herald_log_events_total",
     "Log lines by their event, those too that log_level and log_rate leave out.", L(EVENT), TALLY_LINES},
};
const size_t tally_family_count = sizeof tally_families / sizeof *tally_families;

struct tally {
    struct config *config; /* a reference */
    struct tally_numbers numbers;
    struct tally_series series[TALLY_MAX_SERIES];
    struct tally_clocked clocked[TALLY_MAX_TIMINGS];
    uint16_t slots[SLOTS]; /* of the series, by the hash of their labels */
};

/* A label's value as a line has it. */
struct word {
    const char *text;
    size_t len;
};

bool tally_new(struct config *config, struct tally **ret, struct err *err)
{
    struct tally *tally = calloc(1, sizeof *tally);
    if (tally == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    memset(tally->slots, 0xFF, sizeof tally->slots);
    tally->config = config_ref(config);
    *ret = tally;
    return true;
}

void tally_free(struct tally *tally)
{
    if (tally == NULL)
        return;
    config_unref(tally->config);
    free(tally);
}

void tally_reload(struct tally *tally, struct config *config)
{
    config_unref(tally->config);
    tally->config = config_ref(config);
}

static uint32_t hash(const struct tally_family *family, const struct word words[TALLY_LABELS])
{
    uint32_t sum = 2166136261U ^ (uint32_t)(family - tally_families);
    for (size_t i = 0; i < TALLY_LABELS; i++) {
        for (size_t j = 0; j < words[i].len; j++)
            sum = (sum ^ (unsigned char)words[i].text[j]) * 16777619U;
        sum = (sum ^ 0xFF) * 16777619U;
    }
    return sum;
}

static bool is_same(const struct tally_series *series, const struct tally_family *family,
                    const struct word words[TALLY_LABELS])
{
    if (series->family != family)
        return false;
    for (size_t i = 0; i < TALLY_LABELS; i++)
        if (strlen(series->labels[i]) != words[i].len ||
            memcmp(series->labels[i], words[i].text, words[i].len) != 0)
            return false;
    return true;
}

/* The slot of these labels, or the free one where they belong. */
static uint16_t *find(struct tally *tally, const struct tally_family *family,
                      const struct word words[TALLY_LABELS])
{
    uint32_t at = hash(family, words) % SLOTS;
    while (tally->slots[at] != NO_SERIES && !is_same(&tally->series[tally->slots[at]], family, words))
        at = (at + 1) % SLOTS;
    return &tally->slots[at];
}

static bool is_word(struct word word, const char *name)
{
    return strlen(name) == word.len && memcmp(name, word.text, word.len) == 0;
}

static bool is_configured(const struct config *config, enum tally_label label, struct word word)
{
    size_t count = label == TALLY_SOURCE         ? config->source_count
                   : label == TALLY_NOTIFICATION ? config->notification_count
                                                 : config->provider_count;
    for (size_t i = 0; i < count; i++)
        if (is_word(word, label == TALLY_SOURCE         ? config->sources[i].name
                          : label == TALLY_NOTIFICATION ? config->notifications[i].name
                                                        : config->providers[i].name))
            return true;
    return false;
}

static bool is_channel(struct word word)
{
    for (int i = 0; i < CHANNEL_COUNT; i++)
        if (is_word(word, channel_name((enum channel)i)))
            return true;
    return false;
}

static bool is_limit(struct word word)
{
    return is_word(word, "provider") || is_word(word, "notification") || is_word(word, "recipient");
}

/* What may not stand in a label becomes "other". */
static void admit(const struct tally *tally, struct word words[TALLY_LABELS])
{
    for (int i = 0; i < TALLY_LABELS; i++) {
        if (words[i].len == 0 || i == TALLY_REASON || i == TALLY_EVENT)
            continue; /* ours already */
        bool is_known = i == TALLY_CHANNEL ? is_channel(words[i])
                        : i == TALLY_LIMIT ? is_limit(words[i])
                                           : is_configured(tally->config, (enum tally_label)i, words[i]);
        if (!is_known)
            words[i] = (struct word){"other", 5};
    }
}

/* NULL: the table is full. */
static uint64_t *value_of(struct tally *tally, const struct tally_family *family,
                          struct word words[TALLY_LABELS])
{
    uint16_t *slot = find(tally, family, words);
    if (*slot == NO_SERIES) {
        admit(tally, words);
        slot = find(tally, family, words);
    }
    if (*slot == NO_SERIES) {
        if (tally->numbers.series_count == TALLY_MAX_SERIES)
            return NULL;
        struct tally_series *series = &tally->series[tally->numbers.series_count];
        series->family = family;
        for (size_t i = 0; i < TALLY_LABELS; i++) {
            assert(words[i].len <
                   sizeof series->labels[i]); /* names are shorter, and the rest are our words */
            memcpy(series->labels[i], words[i].text, words[i].len);
        }
        *slot = (uint16_t)tally->numbers.series_count++;
    }
    return &tally->numbers.values[*slot];
}

/* What a line says of the labels, and of `count` and `ms`. */
struct facts {
    struct word words[TALLY_LABELS];
    int64_t count, ms; /* 0: does not say */
};

static void read_fields(const struct log_field *fields, size_t count, struct facts *ret)
{
    static const int labels[LOG_KEY_COUNT_OF_KEYS] = {
        [LOG_KEY_SOURCE] = TALLY_SOURCE + 1,   [LOG_KEY_NOTIFICATION] = TALLY_NOTIFICATION + 1,
        [LOG_KEY_CHANNEL] = TALLY_CHANNEL + 1, [LOG_KEY_PROVIDER] = TALLY_PROVIDER + 1,
        [LOG_KEY_REASON] = TALLY_REASON + 1,   [LOG_KEY_LIMIT] = TALLY_LIMIT + 1,
    };
    for (size_t i = 0; i < count; i++) {
        const struct log_field *field = &fields[i];
        if (field->type == LOG_TEXT && labels[field->key] != 0)
            ret->words[labels[field->key] - 1] = (struct word){field->text, field->text_len};
        if (field->type == LOG_INT && field->key == LOG_KEY_COUNT)
            ret->count = field->number;
        if (field->type == LOG_INT && field->key == LOG_KEY_MS)
            ret->ms = field->number;
    }
    struct word *reason = &ret->words[TALLY_REASON];
    if (reason->len > 0) {
        reason->text = reason_label(reason->text, reason->len);
        reason->len = strlen(reason->text);
    }
}

void tally_line(void *arg, const char *event, const struct log_field *fields, size_t count)
{
    struct tally *tally = arg;
    struct facts facts = {0};
    read_fields(fields, count, &facts);
    facts.words[TALLY_EVENT] = (struct word){event, strlen(event)};
    for (size_t i = 0; i < tally_family_count; i++) {
        const struct tally_family *family = &tally_families[i];
        if (family->event != NULL && strcmp(family->event, event) != 0)
            continue;
        struct word words[TALLY_LABELS];
        for (size_t j = 0; j < TALLY_LABELS; j++)
            words[j] =
                family->labels & (1U << j) && facts.words[j].len > 0 ? facts.words[j] : (struct word){"", 0};
        int64_t more = family->what == TALLY_MS_FIELD                         ? facts.ms
                       : family->what == TALLY_COUNT_FIELD && facts.count > 0 ? facts.count
                                                                              : 1;
        uint64_t *value = value_of(tally, family, words);
        if (value != NULL && more > 0)
            *value += (uint64_t)more;
        tally->numbers.overflow += value == NULL;
    }
}

void tally_time(struct tally *tally, enum tally_kind kind, const char *label, int64_t us)
{
    if (tally == NULL)
        return;
    size_t at = 0, bucket = 0;
    while (at < tally->numbers.timing_count &&
           (tally->clocked[at].kind != kind || strcmp(tally->clocked[at].label, label) != 0))
        at++;
    if (at == TALLY_MAX_TIMINGS) {
        tally->numbers.overflow++;
        return;
    }
    if (at == tally->numbers.timing_count) {
        tally->clocked[at].kind = kind;
        strncpy(tally->clocked[at].label, label, CONFIG_MAX_NAME);
        tally->numbers.timing_count++;
    }
    if (us < 0)
        us = 0; /* the wall's clock was stepped back */
    while (bucket < TALLY_BUCKETS - 1 && us > tally_bounds_us[bucket])
        bucket++;
    tally->numbers.timings[at].buckets[bucket]++;
    tally->numbers.timings[at].sum_us += (uint64_t)us;
}

void tally_copy(const struct tally *tally, struct tally_numbers *ret)
{
    const struct tally_numbers *numbers = &tally->numbers;
    ret->series_count = numbers->series_count;
    ret->timing_count = numbers->timing_count;
    ret->overflow = numbers->overflow;
    memcpy(ret->values, numbers->values, numbers->series_count * sizeof *numbers->values);
    memcpy(ret->timings, numbers->timings, numbers->timing_count * sizeof *numbers->timings);
}

const struct tally_series *tally_series(const struct tally *tally, size_t index)
{
    return &tally->series[index];
}

const struct tally_clocked *tally_clocked(const struct tally *tally, size_t index)
{
    return &tally->clocked[index];
}
