/* queue.c - a list under a mutex; see queue.h. Any thread. */
#include "queue.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <time.h>

bool queue_init(struct queue *queue, struct err *err)
{
    pthread_condattr_t attr;

    int failed = pthread_condattr_init(&attr);
    if (failed != 0)
        return err_set(err, ERR_NOMEM, "queue: %s", strerror(failed));
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* a stepped wall clock must not stretch a wait */
    memset(queue, 0, sizeof(*queue));
    failed = pthread_mutex_init(&queue->mutex, NULL);
    if (failed == 0) {
        failed = pthread_cond_init(&queue->filled, &attr);
        if (failed != 0)
            pthread_mutex_destroy(&queue->mutex);
    }
    pthread_condattr_destroy(&attr);
    return failed == 0 || err_set(err, ERR_NOMEM, "queue: %s", strerror(failed));
}

void queue_done(struct queue *queue)
{
    assert(queue->first == NULL && queue->waiting == 0);
    pthread_cond_destroy(&queue->filled);
    pthread_mutex_destroy(&queue->mutex);
}

struct queue_pushed queue_push(struct queue *queue, struct delivery *delivery)
{
    struct queue_pushed pushed;

    delivery->next = NULL;
    pthread_mutex_lock(&queue->mutex);
    pushed.was_empty = queue->first == NULL;
    pushed.woke_a_taker = queue->waiting > 0;
    if (pushed.was_empty)
        queue->first = delivery;
    else
        queue->last->next = delivery;
    queue->last = delivery;
    if (pushed.woke_a_taker)
        pthread_cond_signal(&queue->filled);
    pthread_mutex_unlock(&queue->mutex);
    return pushed;
}

static struct timespec deadline_in(int timeout_ms)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += timeout_ms / 1000;
    at.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

/* With the mutex held: waits until there is something, the queue is closed, or the time is over. */
static void wait_for_some(struct queue *queue, int timeout_ms)
{
    struct timespec at = {0};
    int failed = 0;

    if (timeout_ms > 0)
        at = deadline_in(timeout_ms);
    queue->waiting++;
    while (queue->first == NULL && !queue->is_closed && failed != ETIMEDOUT)
        failed = timeout_ms > 0 ? pthread_cond_timedwait(&queue->filled, &queue->mutex, &at)
                                : pthread_cond_wait(&queue->filled, &queue->mutex);
    queue->waiting--;
}

enum queue_taken queue_take(struct queue *queue, int timeout_ms, struct delivery **ret)
{
    enum queue_taken taken;

    pthread_mutex_lock(&queue->mutex);
    if (queue->first == NULL && !queue->is_closed && timeout_ms != 0)
        wait_for_some(queue, timeout_ms);
    struct delivery *first = queue->first;
    if (first != NULL) {
        queue->first = first->next;
        taken = QUEUE_TAKEN;
    } else {
        taken = queue->is_closed ? QUEUE_ENDED : QUEUE_EMPTY;
    }
    pthread_mutex_unlock(&queue->mutex);
    if (first != NULL) {
        first->next = NULL;
        *ret = first;
    }
    return taken;
}

struct delivery *queue_take_all(struct queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    struct delivery *all = queue->first;
    queue->first = NULL;
    pthread_mutex_unlock(&queue->mutex);
    return all;
}

bool queue_is_empty(struct queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    bool is_empty = queue->first == NULL;
    pthread_mutex_unlock(&queue->mutex);
    return is_empty;
}

void queue_close(struct queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    queue->is_closed = true;
    pthread_cond_broadcast(&queue->filled);
    pthread_mutex_unlock(&queue->mutex);
}
