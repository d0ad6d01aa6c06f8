/* mailbox.c - the way back from all lanes to the loop; see lane.h. */
#include <stdlib.h>

#include "herald/lane.h"
#include "mailbox.h"
#include "queue.h"

struct mailbox {
    struct queue queue;
    void (*on_mail)(void *arg);
    void *arg; /* borrowed: the loop's, which outlives the lanes */
};

bool mailbox_new(void (*on_mail)(void *arg), void *arg, struct mailbox **ret, struct err *err)
{
    struct mailbox *mailbox = calloc(1, sizeof(*mailbox));

    if (mailbox == NULL)
        return err_set(err, ERR_NOMEM, "mailbox: out of memory");
    if (!queue_init(&mailbox->queue, err)) {
        free(mailbox);
        return err_wrap(err, "mailbox");
    }
    mailbox->on_mail = on_mail;
    mailbox->arg = arg;
    *ret = mailbox;
    return true;
}

void mailbox_free(struct mailbox *mailbox)
{
    if (mailbox == NULL)
        return;
    queue_done(&mailbox->queue);
    free(mailbox);
}

struct delivery *mailbox_take(struct mailbox *mailbox)
{
    return queue_take_all(&mailbox->queue);
}

void mailbox_put(struct mailbox *mailbox, struct delivery *delivery)
{
    if (queue_push(&mailbox->queue, delivery).was_empty)
        mailbox->on_mail(mailbox->arg);
}
