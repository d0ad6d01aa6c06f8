/* reader_private.h - what reader.c and group.c share. Loop thread. */
#ifndef HERALD_STORE_READER_PRIVATE_H
#define HERALD_STORE_READER_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "entries.h"
#include "herald/link.h"
#include "herald/reader.h"

enum reader_state { DOWN, UP, CLOSING };

/* What Redis may refuse, each said once until it works. */
enum refusal { REFUSED_GROUP, REFUSED_READ, REFUSED_CLAIM, REFUSED_ACK, REFUSED_TIDY, REFUSALS };

struct stream {
    struct reader *reader;
    const struct reader_stream *options;
    bool has_group;
    bool has_own; /* entries may be pending for us that were not read on this connection */
    bool is_said[REFUSALS];
    char cursor[ENTRIES_ID_BYTES]; /* where the look for dead consumers' entries goes on */
};

struct reader {
    struct reader_options options;
    enum reader_state state;
    struct link *link; /* owned; closed by reader_close */
    uv_timer_t timer;  /* hands up again, or goes on later */
    unsigned open_handles;
    struct stream streams[CONFIG_MAX_SECTIONS];
    size_t awaited;  /* answers that are not in yet */
    bool is_reading; /* every stream has its group, and that was told */
    bool is_paused;
    unsigned count;         /* entries to ask for */
    struct entries entries; /* with the owner while is_batch_out */
    bool is_batch_out;
    bool is_ack_owed;  /* the owner has answered, and Redis has not confirmed that it knows */
    bool is_ack_clean; /* of the acknowledgements under way: none was refused */
    int64_t group_at_ms, claim_at_ms, tidy_at_ms, ack_at_ms; /* mono */

    void (*on_closed)(void *arg);
    void *closed_arg;
};

#define READER_AGAIN_MS 1000 /* until what Redis refused is tried again */

/* Asks Redis; is_answered takes the answer off the count. False: not connected, or about to be. */
bool reader_ask(struct reader *reader, int argc, const char *const *argv, link_reply_fn *on_reply,
                void *arg) MUST_CHECK;
/* One answer less. False: there is none (the connection is over), or the end has begun. */
bool reader_is_answered(struct reader *reader, const struct redisReply *reply) MUST_CHECK;
/* Does the next thing, if nothing is under way. */
void reader_go_on(struct reader *reader);

/* NULL: it works. Else it is told, unless it was and has not worked since. */
void reader_note_refusal(struct stream *stream, enum refusal what, const char *error);
/* Every group is looked for again. */
void reader_lose_groups(struct reader *reader, const char *error);
bool reader_is_error(const char *error, const char *code);

#endif
