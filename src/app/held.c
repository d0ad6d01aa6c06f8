/* held.c - see held.h. An eid is a hash already: its first twelve bits choose the bucket. Loop thread. */
#include "held.h"

#include <string.h>

static unsigned digit(char c)
{
    return c >= 'a' ? (unsigned)(c - 'a') + 10 : (unsigned)(c - '0');
}

static size_t bucket_of(const char *eid)
{
    return (digit(eid[0]) << 8 | digit(eid[1]) << 4 | digit(eid[2])) % HELD_BUCKETS;
}

void held_add(struct held *held, struct delivery *delivery)
{
    struct delivery **bucket = &held->buckets[bucket_of(delivery->eid)];
    delivery->held_previous = NULL;
    delivery->held_next = *bucket;
    if (*bucket != NULL)
        (*bucket)->held_previous = delivery;
    *bucket = delivery;
    held->count++;
}

void held_remove(struct held *held, struct delivery *delivery)
{
    if (delivery->held_previous != NULL)
        delivery->held_previous->held_next = delivery->held_next;
    else
        held->buckets[bucket_of(delivery->eid)] = delivery->held_next;
    if (delivery->held_next != NULL)
        delivery->held_next->held_previous = delivery->held_previous;
    held->count--;
}

struct delivery *held_find(const struct held *held, const char *eid, unsigned ordinal)
{
    struct delivery *delivery = held->buckets[bucket_of(eid)];
    while (delivery != NULL && (delivery->ordinal != ordinal || strcmp(delivery->eid, eid) != 0))
        delivery = delivery->held_next;
    return delivery;
}

static struct delivery *first_from(const struct held *held, size_t bucket)
{
    while (bucket < HELD_BUCKETS && held->buckets[bucket] == NULL)
        bucket++;
    return bucket < HELD_BUCKETS ? held->buckets[bucket] : NULL;
}

struct delivery *held_first(const struct held *held)
{
    return first_from(held, 0);
}

struct delivery *held_next(const struct held *held, const struct delivery *delivery)
{
    return delivery->held_next != NULL ? delivery->held_next : first_from(held, bucket_of(delivery->eid) + 1);
}
