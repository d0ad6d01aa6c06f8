/* queue.c - the promises of queue.h. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

#include "queue.h"

static struct queue queue;

static void init(void)
{
    struct err err = {0};
    cr_assert(queue_init(&queue, &err));
}

static void done(void)
{
    queue_done(&queue);
}

TestSuite(queue, .init = init, .fini = done);

static struct delivery *make(unsigned ordinal)
{
    struct delivery *delivery = calloc(1, sizeof(*delivery));
    cr_assert(delivery != NULL);
    delivery->ordinal = ordinal;
    return delivery;
}

Test(queue, deliveries_come_in_order_of_arrival)
{
    struct delivery *taken = NULL;

    cr_expect(queue_push(&queue, make(0)).was_empty);
    cr_expect_not(queue_push(&queue, make(1)).was_empty);
    cr_expect_not(queue_is_empty(&queue));
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(queue_take(&queue, 0, &taken), QUEUE_TAKEN);
        cr_expect_eq(taken->ordinal, i);
        cr_expect_null(taken->next);
        free(taken);
    }
    cr_expect(queue_is_empty(&queue));
    cr_expect_eq(queue_take(&queue, 0, &taken), QUEUE_EMPTY);
}

Test(queue, all_are_taken_at_once_as_a_list)
{
    for (unsigned i = 0; i < 3; i++)
        queue_push(&queue, make(i));
    struct delivery *all = queue_take_all(&queue);
    for (unsigned i = 0; i < 3; i++) {
        struct delivery *next = all->next;
        cr_expect_eq(all->ordinal, i);
        free(all);
        all = next;
    }
    cr_expect_null(all);
    cr_expect_null(queue_take_all(&queue));
    queue_push(&queue, make(7)); /* and the queue still works */
    struct delivery *taken = NULL;
    cr_assert_eq(queue_take(&queue, 0, &taken), QUEUE_TAKEN);
    cr_expect_eq(taken->ordinal, 7);
    free(taken);
}

Test(queue, a_closed_queue_gives_what_is_left_and_then_ends)
{
    struct delivery *taken = NULL;

    queue_push(&queue, make(0));
    queue_close(&queue);
    cr_assert_eq(queue_take(&queue, QUEUE_FOR_EVER, &taken), QUEUE_TAKEN);
    free(taken);
    cr_expect_eq(queue_take(&queue, QUEUE_FOR_EVER, &taken), QUEUE_ENDED);
}

Test(queue, a_wait_ends_after_its_time)
{
    struct delivery *taken = NULL;
    cr_expect_eq(queue_take(&queue, 20, &taken), QUEUE_EMPTY);
}

static void *take_one(void *arg)
{
    struct delivery *taken = NULL;
    *(enum queue_taken *)arg = queue_take(&queue, QUEUE_FOR_EVER, &taken);
    free(taken);
    return NULL;
}

Test(queue, a_push_wakes_a_taker_and_says_so)
{
    enum queue_taken result = QUEUE_EMPTY;
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, take_one, &result), 0);
    for (unsigned waiting = 0; waiting == 0;) {
        pthread_mutex_lock(&queue.mutex);
        waiting = queue.waiting;
        pthread_mutex_unlock(&queue.mutex);
    }
    cr_expect(queue_push(&queue, make(0)).woke_a_taker);
    pthread_join(thread, NULL);
    cr_expect_eq(result, QUEUE_TAKEN);
    cr_expect_not(queue_push(&queue, make(1)).woke_a_taker);
    free(queue_take_all(&queue));
}

Test(queue, closing_wakes_all_takers)
{
    enum queue_taken results[2] = {QUEUE_EMPTY, QUEUE_EMPTY};
    pthread_t threads[2];

    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, take_one, &results[i]), 0);
    queue_close(&queue);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        cr_expect_eq(results[i], QUEUE_ENDED);
    }
}
