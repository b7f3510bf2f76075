#ifndef ANSWER_H
#define ANSWER_H

#include <stddef.h>

#include "buf.h"
#include "http.h"

struct config;

/* What an answer of AIVA says, for people: cut to the buffer size (json_append_string mends a
 * character that was cut), secrets masked. */

/* "AIVA answered 503: <detail>", or why there was no answer. */
void answer_describe(const struct http_answer *answer, char *out, size_t size);
/* The `detail` of an error's body, as text; "" where there is none. */
void answer_detail(const struct http_answer *answer, char *out, size_t size);
/* What to do about a key that AIVA refuses. key_file: where it came from, "" where it was given as
 * a text. */
void answer_advise(const char *key_file, char *out, size_t size);

/* The word for it in a command's answer, of a status that is no success. Static. */
const char *answer_error(int status);

/* The upstream's status and message, masked; empty where it gave none or jobs.hide names them. */
struct answer_said {
    struct buf status, message;
};
void answer_read_said(
    const struct http_answer *answer, const struct config *config, struct answer_said *said);
void answer_clear_said(struct answer_said *said);

#endif
