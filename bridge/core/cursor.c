/* The data types of MQTT, out of bytes that somebody else has sent. */
#include "cursor.h"

#include <string.h>

#include "utf8.h"

enum { VARIABLE_BYTES = 4 /* most of a Variable Byte Integer (section 1.5.5) */ };

bool cursor_take(struct cursor *cursor, size_t size, const unsigned char **bytes)
{
    if (size > cursor->left)
        return false;
    *bytes = cursor->at;
    cursor->at += size;
    cursor->left -= size;
    return true;
}

bool cursor_take_number(struct cursor *cursor, size_t size, uint32_t *number)
{
    const unsigned char *bytes;
    if (!cursor_take(cursor, size, &bytes))
        return false;
    *number = 0;
    for (size_t i = 0; i < size; i++)
        *number = *number << 8 | bytes[i];
    return true;
}

bool cursor_take_variable(struct cursor *cursor, uint32_t *number)
{
    *number = 0;
    for (unsigned i = 0; i < VARIABLE_BYTES; i++) {
        const unsigned char *byte;
        if (!cursor_take(cursor, 1, &byte))
            return false;
        *number |= (uint32_t)(*byte & 127) << (7 * i);
        if (*byte < 128)
            return true;
    }
    return false;
}

bool cursor_take_binary(struct cursor *cursor, const char **data, size_t *length)
{
    const unsigned char *bytes;
    uint32_t size;
    if (!cursor_take_number(cursor, 2, &size) || !cursor_take(cursor, size, &bytes))
        return false;
    *data = (const char *)bytes;
    *length = size;
    return true;
}

bool cursor_is_text(const char *bytes, size_t length)
{
    return utf8_valid(bytes, length) && memchr(bytes, '\0', length) == NULL;
}
