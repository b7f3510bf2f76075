/* Well-formedness of UTF-8 as RFC 3629 has it. */
#include "utf8.h"

#include <string.h>

/* True where none of eight bytes has its high bit set. */
static bool eight_are_ascii(const char *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof word);
    return (word & UINT64_C(0x8080808080808080)) == 0;
}

size_t utf8_valid_length(const char *bytes, size_t length)
{
    size_t at = 0;
    uint32_t code_point;

    while (at < length) {
        /* Most text is ASCII; this makes checking it as good as free. */
        if (length - at >= 8 && eight_are_ascii(bytes + at)) {
            at += 8;
        } else if ((unsigned char)bytes[at] < 0x80) {
            at++;
        } else {
            size_t used = utf8_decode(bytes + at, length - at, &code_point);

            if (used == 0)
                return at;
            at += used;
        }
    }
    return at;
}

bool utf8_valid(const char *bytes, size_t length)
{
    return utf8_valid_length(bytes, length) == length;
}

/* The length that a leading byte announces, 0 where no sequence begins with it. */
static size_t sequence_length(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead < 0xC2) /* a continuation, or an overlong form of ASCII */
        return 0;
    if (lead < 0xE0)
        return 2;
    if (lead < 0xF0)
        return 3;
    return lead < 0xF5 ? 4 : 0;
}

size_t utf8_decode(const char *bytes, size_t length, uint32_t *code_point)
{
    /* By length: the smallest code point that needs it, and the bits of the lead that count. */
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    static const uint32_t lead_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    size_t size = length > 0 ? sequence_length((unsigned char)bytes[0]) : 0;
    uint32_t value;

    if (size == 0 || size > length)
        return 0;
    value = (unsigned char)bytes[0] & lead_bits[size];
    for (size_t i = 1; i < size; i++) {
        unsigned char next = (unsigned char)bytes[i];

        if ((next & 0xC0) != 0x80)
            return 0;
        value = value << 6 | (next & 0x3F);
    }
    if (value < smallest[size] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
        return 0;
    *code_point = value;
    return size;
}

size_t utf8_encode(uint32_t code_point, char out[static 4])
{
    static const uint32_t beyond[] = {0, 0x80, 0x800, 0x10000, 0x110000};
    static const unsigned char leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    size_t size = 1;

    while (code_point >= beyond[size])
        size++;
    for (size_t i = size - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code_point & 0x3F));
        code_point >>= 6;
    }
    out[0] = (char)(leads[size] | code_point);
    return size;
}

bool utf8_is_control_or_nonchar(uint32_t code_point)
{
    if (code_point < 0x20 || (code_point >= 0x7F && code_point <= 0x9F))
        return true;
    return (code_point >= 0xFDD0 && code_point <= 0xFDEF) || (code_point & 0xFFFE) == 0xFFFE;
}

/* Latin letters in UTF-16: every other byte is 0. */
static bool has_gaps(const char *bytes, size_t length)
{
    return length >= 4 && (bytes[0] == 0) != (bytes[1] == 0) &&
           (bytes[2] == 0) == (bytes[0] == 0) && (bytes[3] == 0) == (bytes[1] == 0);
}

enum utf8_mark utf8_mark(const char *bytes, size_t length)
{
    if (length >= UTF8_MARK_SIZE && memcmp(bytes, "\xef\xbb\xbf", UTF8_MARK_SIZE) == 0)
        return UTF8_MARK_OWN;
    if (length >= 2 && (memcmp(bytes, "\xff\xfe", 2) == 0 || memcmp(bytes, "\xfe\xff", 2) == 0))
        return UTF8_MARK_UTF16;
    return has_gaps(bytes, length) ? UTF8_MARK_UTF16 : UTF8_MARK_NONE;
}
