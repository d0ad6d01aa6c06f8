/* mailbox.h - the lanes' end of the mailbox; the loop's end is in lane.h. */
#ifndef HERALD_SEND_MAILBOX_H
#define HERALD_SEND_MAILBOX_H

#include "herald/delivery.h"

struct mailbox;

/* Takes the delivery and wakes the loop if it may be asleep. Any thread; allocates nothing, so a finished
 * send can't be lost. */
void mailbox_put(struct mailbox *mailbox, struct delivery *delivery);

#endif
