/* dialogue.h - follows an SMTP conversation by its replies, the only half of it that libcurl shows.
 *
 * Each reply's place is told by its order: greeting, EHLO (again after STARTTLS), AUTH; then libcurl says
 * that the connection is ready, and MAIL, RCPT, DATA and the final reply follow. A refusal is the last word;
 * the goodbye behind it is not listened to. */
#ifndef HERALD_SEND_DIALOGUE_H
#define HERALD_SEND_DIALOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "herald/outcome.h"

struct dialogue {
    struct attempt *attempt; /* borrowed: stage, code, enhanced and reply are kept there */
    bool is_ready;           /* greeting, EHLO and AUTH are over, here or for an earlier mail */
    bool is_amid_reply;      /* the last line was "250-…": the next one belongs to it */
    bool is_refused;         /* 4xx or 5xx came, and nothing better since */
    int64_t refused_ms;      /* when, mono */
};

/* Empties the four members of the attempt. */
void dialogue_begin(struct dialogue *dialogue, struct attempt *attempt);
void dialogue_ready(struct dialogue *dialogue);
/* One line as it came, with or without its CR LF. */
void dialogue_line(struct dialogue *dialogue, const char *line, size_t len);

#endif
