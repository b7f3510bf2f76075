/* What a terminal may be shown of a text that others wrote. */
#include "escape.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "utf8.h"

/* Characters that cannot be seen, and those that change how others are seen: Unicode's general
 * categories Cc, Zl, Zp and, but for the visible signs of Arabic, Syriac and Kaithi, Cf; letters
 * and selectors that are blank (property Default_Ignorable_Code_Point). In order. */
static const struct {
    uint32_t first, last;
} hidden[] = {
    {0x0000, 0x001F},   /* C0 */
    {0x007F, 0x009F},   /* DEL, C1 */
    {0x00AD, 0x00AD},   /* soft hyphen */
    {0x034F, 0x034F},   /* combining grapheme joiner */
    {0x061C, 0x061C},   /* Arabic letter mark */
    {0x115F, 0x1160},   /* Hangul fillers */
    {0x17B4, 0x17B5},   /* Khmer inherent vowels */
    {0x180B, 0x180F},   /* Mongolian selectors, vowel separator */
    {0x200B, 0x200F},   /* zero widths, direction marks */
    {0x2028, 0x202E},   /* line and paragraph separator, embeddings, overrides */
    {0x2060, 0x206F},   /* word joiner, invisible operators, isolates */
    {0x3164, 0x3164},   /* Hangul filler */
    {0xFE00, 0xFE0F},   /* variation selectors */
    {0xFEFF, 0xFEFF},   /* byte order mark */
    {0xFFA0, 0xFFA0},   /* Hangul filler */
    {0xFFF0, 0xFFFB},   /* interlinear annotation, and unassigned ones */
    {0x1BCA0, 0x1BCA3}, /* shorthand */
    {0x1D173, 0x1D17A}, /* musical notation */
    {0xE0000, 0xE0FFF}, /* tags, more selectors */
};

static bool is_hidden(uint32_t code_point)
{
    size_t i = 0;
    while (i < sizeof hidden / sizeof *hidden && code_point > hidden[i].last)
        i++;
    return i < sizeof hidden / sizeof *hidden && code_point >= hidden[i].first;
}

static void spell(struct escaped *out, uint32_t code_point, bool json)
{
    int length;
    if (code_point <= 0xFFFF)
        length = snprintf(out->own, sizeof out->own, "\\u%04x", (unsigned)code_point);
    else if (json)
        length = snprintf(out->own, sizeof out->own, "\\u%04x\\u%04x",
            (unsigned)(0xD800 + ((code_point - 0x10000) >> 10)),
            (unsigned)(0xDC00 + (code_point & 0x3FF)));
    else
        length = snprintf(out->own, sizeof out->own, "\\U%08x", (unsigned)code_point);
    out->at = out->own;
    out->length = (size_t)length;
}

size_t escape_next(const char *text, size_t length, bool json, struct escaped *out)
{
    uint32_t code_point;
    size_t used = utf8_decode(text, length, &code_point);
    if (used == 0) {
        out->at = out->own;
        out->length = (size_t)snprintf(out->own, sizeof out->own, "%s\\x%02x", json ? "\\" : "",
            (unsigned)(unsigned char)*text);
        return 1;
    }
    if (is_hidden(code_point)) {
        spell(out, code_point, json);
    } else if (json && (*text == '"' || *text == '\\')) {
        out->at = out->own;
        out->length = 2;
        out->own[0] = '\\';
        out->own[1] = *text;
    } else {
        out->at = text;
        out->length = used;
    }
    return used;
}

void escape_append(struct buf *out, const char *text)
{
    struct escaped shown;
    for (size_t left = strlen(text), used; left > 0; left -= used, text += used) {
        used = escape_next(text, left, false, &shown);
        buf_append(out, shown.at, shown.length);
    }
}
