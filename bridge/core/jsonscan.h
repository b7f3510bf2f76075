#ifndef JSONSCAN_H
#define JSONSCAN_H

#include <stdint.h>

#include "json.h"

/*
 * The grammar of RFC 8259 over raw text, without recursion: the other side chooses the depth. The
 * first problem ends the scan, and `at` then stays where that problem is. Private to json.c.
 */
struct scanner {
    const char *text;
    const char *at;
    const char *end;
    enum json_result result;
    const char *reason;
    bool strict; /* refuses \u0000 and halves of surrogate pairs: C strings cannot hold them */
    bool untidy; /* held what strict readers refuse: half of a pair, a number beyond a double */
};

/* The next character of a string that was scanned, escapes resolved: the one decoder of escapes.
 * Half of a surrogate pair is U+FFFD. Between quotes, and not at the end. */
uint32_t scan_character(const char **at, const char *end);
/* True where the number, which was scanned, is beyond what a double holds. */
bool scan_number_is_huge(const char *at, const char *end);

/* The text is borrowed for the scan. */
struct scanner scan_begin(const char *text, size_t length);
/* The verdict; *problem gets position and reason. */
enum json_result scan_finish(const struct scanner *s, struct json_problem *problem);

/* Each of these moves on and returns true, or notes the problem and returns false. */

/* Always false: the problem is at `at`. */
bool scan_fail_at(struct scanner *s, const char *at, enum json_result result, const char *reason);
/* `"name":`, and the space around it. The member gets its name. */
bool scan_name(struct scanner *s, struct json_member *member);
/* Behind a value in a container: a comma, or the closing bracket (then *closed). */
bool scan_separator(struct scanner *s, char closing, bool *closed);
/* One value of any type. */
bool scan_value(struct scanner *s);
/* Looks at the whole text and does not move. */
bool scan_utf8(struct scanner *s);
/* Nothing more may stand here. */
bool scan_end(struct scanner *s);
/* The bracket that opens an object or array; another value is a wrong type. */
bool scan_opening(struct scanner *s, char bracket, const char *expected);
void scan_space(struct scanner *s);

#endif
