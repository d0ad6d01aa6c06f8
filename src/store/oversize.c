/* oversize.c - a reply that can't be seen whole; see oversize.h. Loop thread. */
#include "oversize.h"

#include <stddef.h>

#include "batch.h"

enum peek_status oversize_receive(struct peek *peek, const struct resp_reply *head, struct resp_reply *ret,
                                  struct err *err)
{
    for (;;) {
        enum resp_status status = RESP_PARTIAL;
        if (head != NULL)
            *ret = *head;
        else
            status = resp_scan(peek->bytes, peek->kept, ret);
        head = NULL;
        if (status == RESP_WHOLE ||
            (status == RESP_PARTIAL && ret->is_exact && peek->taken == ret->frame_len))
            return PEEK_OK;

        size_t keep = status == RESP_PARTIAL ? batch_keep(peek->bytes, ret, peek->cap) : 0;
        if (keep == 0) {
            err_set(err, ERR_TRANSIENT, "desynchronised: what began as a reply goes on as none");
            return PEEK_GONE;
        }
        enum peek_status taken = peek_take(peek, keep, ret->frame_len, err);
        if (taken == PEEK_GONE)
            return PEEK_GONE;
        if (taken == PEEK_EMPTY || peek->taken < ret->frame_len)
            return PEEK_EMPTY;
        /* All that was known to be missing is here: look what it says. */
    }
}
