/* What a broker may send, as it comes. However the bytes are cut, the verdict is the same, and
 * falls on the same packet; what has not come takes no memory.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "inspector.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* How many bytes were let through; *fault is set to what is said of the next. */
static size_t pass(
    const uint8_t *bytes, size_t length, size_t step, bool version5, struct inspector *inspector)
{
    size_t at = 0;
    inspector_init(inspector, version5);
    while (at < length) {
        size_t piece = length - at < step ? length - at : step;
        if (!inspector_look(inspector, bytes + at, piece))
            break;
        at += piece;
        if (inspector->head.capacity > 2 * length + 4096)
            abort();
    }
    if ((at < length) != (inspector->fault[0] != '\0'))
        abort();
    if (at < length && inspector_look(inspector, "\xd0\x00", 2))
        abort();
    inspector_clear(inspector);
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length < 2)
        return 0;
    bool version5 = (bytes[0] & 1) != 0;
    struct inspector single, pieces;
    size_t passed = pass(bytes + 1, length - 1, 1, version5, &single);
    size_t step = 1 + (bytes[0] >> 1);
    size_t whole = pass(bytes + 1, length - 1, step, version5, &pieces);
    if (strcmp(single.fault, pieces.fault) != 0 || whole > passed || passed - whole >= step)
        abort();
    return 0;
}
