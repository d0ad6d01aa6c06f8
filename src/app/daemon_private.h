/* daemon_private.h - the daemon's state, which assembly.c, feed.c, connection.c, reload.c and shutdown.c each
 * work on a part of. Loop thread. */
#ifndef HERALD_APP_DAEMON_PRIVATE_H
#define HERALD_APP_DAEMON_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "counters.h"
#include "dispatch.h"
#include "handover.h"
#include "herald/commit.h"
#include "herald/config.h"
#include "herald/journal.h"
#include "herald/ledger.h"
#include "herald/link.h"
#include "herald/reader.h"
#include "herald/server.h"
#include "herald/subscriber.h"
#include "intake.h"
#include "presence.h"
#include "recall.h"
#include "recovery.h"
#include "upkeep.h"
#include "watch.h"

struct daemon {
    const char *path;
    struct config *config; /* a reference: the current snapshot */
    struct config *first;  /* a reference: links borrow [redis] from it to the end */
    struct config *next;   /* a reference: loaded, waits for a moment between batches; else NULL */
    uv_loop_t loop;
    uv_signal_t signals[3];
    uv_timer_t fitness, drain;
    uv_work_t reload;
    /* The pool thread's while is_reloading, then the loop's for a moment; not judged yet. */
    struct config *loaded;
    struct err reload_err;
    bool is_reloading;
    bool is_reload_due; /* asked for, and not begun */
    char incarnation[LEDGER_INCARNATION_CHARS + 1];
    char canary_channel[128];
    char client_names[3][96];
    const char *channels[CONFIG_MAX_SECTIONS + 1];    /* of the pub/sub sources in order, then the canary's */
    const char *channel_sources[CONFIG_MAX_SECTIONS]; /* their names */
    size_t channel_count;                             /* without the canary's */
    struct reader_stream streams[CONFIG_MAX_SECTIONS];
    const char *stream_sources[CONFIG_MAX_SECTIONS];
    size_t stream_count;
    struct commit_gate gate;
    struct counters counters;
    struct watch *watch;
    struct link *commands;
    struct ledger *ledger;
    struct dispatch *dispatch;
    struct intake *intake;        /* of the subscriber */
    struct intake *stream_intake; /* of the reader */
    struct recall *recall;
    struct recovery *recovery;
    struct journal *journal;          /* NULL: there is no state directory */
    enum journal_state journal_state; /* as it was last said */
    struct presence *presence;
    struct upkeep *upkeep;
    struct handover *handover;
    struct subscriber *subscriber;
    struct subscriber *reading; /* borrowed: whose batch the intake has; NULL: nobody's */
    struct reader *reader;      /* NULL: no source is a stream */
    struct server server;       /* what Redis was when it was last found fit */
    bool was_fit;
    bool is_recovered;  /* since we started, once */
    bool has_forgotten; /* Redis; until a recovery from it has ended */
    bool is_usable;     /* the command connection, and Redis behind it */
    bool was_warned;
    bool has_stood;             /* a subscription of ours: one that stands anew has missed something */
    bool owes_gap;              /* it stands, and what was missed before is to be said */
    bool is_gap_certain;        /* else another instance may have covered it */
    int64_t subscribed_wall_ms; /* the end of the gap */
    bool is_ready;              /* said READY */
    bool is_draining, is_ending;
    int64_t drain_until_mono_ms;
    int64_t started_mono_ms;
    uint64_t seconds;
};

/* One sentence for the service manager: what we do or wait for, and the counts. */
#define DAEMON_STATUS_BYTES 320
void daemon_write_status(const struct daemon *daemon, char ret[DAEMON_STATUS_BYTES]);
/* What it waits for before it takes events, static text; NULL: for nothing. */
const char *daemon_wants(const struct daemon *daemon);
/* No batch of either intake is under way. */
bool daemon_is_idle(const struct daemon *daemon);
void daemon_say_status(const struct daemon *daemon);
/* Says READY, once, when Redis is fit, every subscription stands and every stream has our group. */
void daemon_become_ready(struct daemon *daemon);
void daemon_on_second(void *arg);

/* assembly.c: opens all there is but the loop; on false the process ends with it. */
bool assembly_open(struct daemon *daemon, struct err *err) MUST_CHECK;

/* feed.c: the callbacks of who reads, and of the intakes. */
void feed_on_entries(void *arg, const struct incoming *entries, size_t count);
void feed_on_entries_done(void *arg, bool is_safe, int64_t delay_ms);
void feed_on_batch(void *arg, const struct incoming *messages, size_t count);
void feed_on_old_batch(void *arg, struct subscriber *from, const struct incoming *messages, size_t count);
void feed_on_batch_done(void *arg, bool is_safe, int64_t delay_ms);
void feed_on_canary(void *arg, const char *bytes, size_t len);

/* shutdown.c: begins the drain, and ends the loop after it; called again, it hurries. */
void shutdown_begin(struct daemon *daemon);

/* connection.c: the callbacks of all links. */
struct link_callbacks connection_commands(struct daemon *daemon);
void connection_on_subscribed(void *arg);
void connection_on_unsubscribed(void *arg, const char *reason);
void connection_on_unsubscribable(void *arg, unsigned attempt, const char *reason);
void connection_on_taking(void *arg, bool is_taking);
void connection_on_inherited(void *arg);
void connection_on_drained(void *arg, bool was_proved);
void connection_on_canary_missed(void *arg);
void connection_on_reading(void *arg);
void connection_on_unread(void *arg, const char *reason);
void connection_on_unreadable(void *arg, unsigned attempt, const char *reason);
void connection_on_stream_refused(void *arg, size_t origin, const char *what, const char *reason);
void connection_on_forgotten(void *arg);
void connection_on_recovered(void *arg, const struct recovery_counts *counts);

/* reload.c: SIGHUP, and the moment between two batches at which a new configuration takes over. */
void reload_begin(struct daemon *daemon);
void reload_apply(struct daemon *daemon);

#endif
