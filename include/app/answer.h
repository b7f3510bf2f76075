#ifndef ANSWER_H
#define ANSWER_H

#include <stddef.h>

#include "http.h"

/* What an answer of AIVA says, for people: cut to the buffer size (json_append_string mends a
 * character that was cut), secrets masked. */

/* "AIVA answered 503: <detail>", or why there was no answer. */
void answer_describe(const struct http_answer *answer, char *out, size_t size);
/* The `detail` of an error's body, as text; "" where there is none. */
void answer_detail(const struct http_answer *answer, char *out, size_t size);

#endif
