/* queue.h - deliveries on their way from one thread to another, in order of arrival.
 *
 * What crosses is ownership: who pushes no longer touches the delivery, who takes owns it. The list is linked
 * through delivery->next, so pushing allocates nothing and can't fail; the loop counts admissions, so no
 * queue needs a bound of its own. These are the program's only mutexes, and none is held while anything else
 * is called. */
#ifndef HERALD_SEND_QUEUE_H
#define HERALD_SEND_QUEUE_H

#include <pthread.h>
#include <stdbool.h>

#include "herald/delivery.h"
#include "herald/err.h"

struct queue {
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t filled;
    struct delivery *first; /* owned, with all behind it */
    struct delivery *last;
    unsigned waiting; /* threads inside queue_take */
    bool is_closed;
};

bool queue_init(struct queue *queue, struct err *err) MUST_CHECK; /* ERR_NOMEM */
void queue_done(struct queue *queue);                             /* must be empty, with nobody waiting */

struct queue_pushed {
    bool was_empty;    /* before */
    bool woke_a_taker; /* somebody waited and has been woken for it */
};
/* Takes the delivery. Any thread. */
struct queue_pushed queue_push(struct queue *queue, struct delivery *delivery);

enum queue_taken { QUEUE_TAKEN, QUEUE_EMPTY /* still, after the wait */, QUEUE_ENDED /* closed and empty */ };
#define QUEUE_FOR_EVER (-1)
/* Waits at most timeout_ms for a delivery; *ret is the caller's on QUEUE_TAKEN and untouched else. Any
 * thread. */
enum queue_taken queue_take(struct queue *queue, int timeout_ms, struct delivery **ret);

/* Everything there is, linked by next, in order; NULL if nothing. Any thread. */
struct delivery *queue_take_all(struct queue *queue);

bool queue_is_empty(struct queue *queue); /* a moment's truth. Any thread */

/* Nothing more comes: takers get what is left, then QUEUE_ENDED. Any thread. */
void queue_close(struct queue *queue);

#endif
