#ifndef UTF8_H
#define UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True where the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, nothing
 * above U+10FFFF). U+0000 is well-formed. */
bool utf8_valid(const char *bytes, size_t length);

/* The length of the longest part from the beginning that is well-formed. */
size_t utf8_valid_length(const char *bytes, size_t length);

/* Decodes the first code point. Returns its length in bytes, or 0 where the bytes are not
 * well-formed or length is 0. */
size_t utf8_decode(const char *bytes, size_t length, uint32_t *code_point);

/* Encodes a code point up to U+10FFFF that is no surrogate. Returns its length in bytes. */
size_t utf8_encode(uint32_t code_point, char out[static 4]);

/* True for C0 and C1 controls, DEL and Unicode non-characters: what a broker may refuse in a topic
 * (MQTT 5, section 1.5.4). */
bool utf8_is_control_or_nonchar(uint32_t code_point);

/* What the first bytes of a text tell. */
enum utf8_mark {
    UTF8_MARK_NONE,
    UTF8_MARK_OWN, /* a byte order mark in UTF-8: UTF8_MARK_SIZE bytes that are not part of the text
                    */
    UTF8_MARK_UTF16 /* another encoding: UTF-16, or UTF-32, with a byte order mark or without */
};
#define UTF8_MARK_SIZE 3
enum utf8_mark utf8_mark(const char *bytes, size_t length);

#endif
