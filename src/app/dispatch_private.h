/* dispatch_private.h - what dispatch.c, station.c and judge.c share. Loop thread. */
#ifndef HERALD_APP_DISPATCH_PRIVATE_H
#define HERALD_APP_DISPATCH_PRIVATE_H

#include <stdatomic.h>

#include "dispatch.h"
#include "settle.h"
#include "station.h"

struct dispatch {
    struct dispatch_options options;
    struct config *config;     /* a reference: the current snapshot */
    struct mailbox *mailbox;   /* owned */
    struct settle *settle;     /* owned */
    struct station **stations; /* owned; one per provider of config, in its order */
    size_t station_count;
    struct station *winding; /* owned; those that wind down */
    struct held held;        /* every delivery that we lease and that is not settled */
    void (*note_answer)(void *arg, struct delivery *delivery); /* for the lanes */
    uv_async_t mail;                                           /* a lane put something into the mailbox */
    uv_timer_t collector;                                      /* until the mailbox is looked into again */
    int64_t collected_mono_ms;                                 /* when it last was */
    uv_timer_t winder;                                         /* while lanes wind down */
    bool is_usable;                                            /* Redis */
    bool is_draining;
    bool is_closing;
    size_t abandoned;          /* stations whose threads could not be waited for at the end */
    _Atomic bool is_mail_open; /* a lane's thread may wake the loop */
    int64_t close_by_mono_ms;
    size_t open_handles;
    void (*on_closed)(void *arg);
    void *on_closed_arg;
};

/* station.c */
struct station *station_new(struct dispatch *dispatch, struct config *config,
                            const struct config_provider *provider, struct err *err);
void station_wind_down(struct station *station); /* gives back what has not begun; ends when nothing runs */
bool station_is_wound_down(const struct station *station);
void station_close(struct station *station); /* closes the timer; freed when that is done */
void station_pump(struct station *station);  /* claims if that may get something and there is room */
void station_wake(struct station *station);  /* something may be due: then pump */
/* What has not begun is given back, and nothing more is begun; or it goes on. */
void station_pause(struct station *station, bool is_paused);
void station_push(struct station *station,
                  struct delivery *delivery); /* takes a leased one: start if needed, then the lane */

/* judge.c: takes a delivery that came back from a lane. */
void judge_delivery(struct dispatch *dispatch, struct delivery *delivery);
/* Whether the attempt's outcome is one that must not be forgotten, and what to note of it. A lane's thread,
 * or the loop. */
bool judge_note(const struct delivery *delivery, struct journal_note *ret);

/* dispatch.c */
void dispatch_hold(struct dispatch *dispatch, struct delivery *delivery, int64_t asked_mono_ms);
void dispatch_forget(struct dispatch *dispatch, struct delivery *delivery); /* unlinks and frees */
void dispatch_handle_closed(
    struct dispatch *dispatch); /* one handle of ours is closed; the last one ends it */
uint32_t dispatch_random(void);

#endif
