#ifndef CURSOR_H
#define CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/*
 * Takes MQTT's data types (section 1.5) out of bytes, one after the other. Each function returns
 * false, with the results unspecified, where too little is left. Views point into the bytes. For
 * packet.c and inspector.c only.
 */
struct cursor {
    const unsigned char *at;
    size_t left;
};

bool cursor_take(struct cursor *cursor, size_t size, const unsigned char **bytes) NODISCARD;
/* An unsigned number of 1 to 4 bytes, the most significant first. */
bool cursor_take_number(struct cursor *cursor, size_t size, uint32_t *number) NODISCARD;
/* A Variable Byte Integer. False also where it has more than four bytes. */
bool cursor_take_variable(struct cursor *cursor, uint32_t *number) NODISCARD;
/* Binary Data; a UTF-8 Encoded String too, whose bytes may be anything. */
bool cursor_take_binary(struct cursor *cursor, const char **data, size_t *length) NODISCARD;

/* Well-formed UTF-8 without U+0000 (section 1.5.4). */
bool cursor_is_text(const char *bytes, size_t length);

#endif
