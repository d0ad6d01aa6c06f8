/* group.h - the reader's consumer group on each stream: made where it is missing, told what is safe, its dead
 * consumers' entries taken over, what it is done with removed. Loop thread only. */
#ifndef HERALD_STORE_GROUP_H
#define HERALD_STORE_GROUP_H

#include <stdbool.h>

struct reader;

/* Each asks Redis about every stream that it concerns, and has reader_go_on called when the last has
 * answered. */
void group_make(struct reader *reader);
void group_acknowledge(struct reader *reader); /* the reader's batch, which is done with */
void group_claim(struct reader *reader);
void group_tidy(struct reader *reader);

bool group_is_missing(const struct reader *reader);

#endif
