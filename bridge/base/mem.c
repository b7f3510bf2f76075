/* Allocation that cannot fail. Out of memory ends the process with a line that says so and exit
 * code 1: no core, which would hold the key, and no clean-up, which would need memory. The broker
 * publishes the last will, and the supervisor starts the bridge again. */
#include "mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "logwriter.h"

/* How long the last line may wait for whoever reads the log. */
#define LAST_LINE_MS 500

/* Past stdio and the log's formatting, which may allocate. */
static _Noreturn void die(size_t count, size_t size)
{
    char text[96];
    int length = snprintf(text, sizeof text, "out of memory: %zu x %zu bytes\n", count, size);

    if (length > 0)
        logwriter_put(text, (size_t)length);
    logwriter_flush(LAST_LINE_MS);
    _exit(EXIT_FAILURE);
}

void *xmalloc(size_t size)
{
    void *memory = malloc(size > 0 ? size : 1);

    if (memory == NULL)
        die(1, size);
    return memory;
}

void *xcalloc(size_t count, size_t size)
{
    void *memory = count > 0 && size > 0 ? calloc(count, size) : calloc(1, 1);

    if (memory == NULL)
        die(count, size);
    return memory;
}

void *xreallocarray(void *memory, size_t count, size_t size)
{
    size_t total;
    void *resized;

    if (__builtin_mul_overflow(count, size, &total))
        die(count, size);
    /* realloc to 0 bytes would free. */
    resized = realloc(memory, total > 0 ? total : 1);
    if (resized == NULL)
        die(count, size);
    return resized;
}

char *xstrdup(const char *text)
{
    return xmemdup0(text, strlen(text));
}

char *xmemdup0(const void *bytes, size_t length)
{
    char *copy;

    if (length == SIZE_MAX)
        die(1, length);
    copy = xmalloc(length + 1);
    if (length > 0)
        memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}
