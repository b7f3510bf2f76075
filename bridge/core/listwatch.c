/* Watches the body of GET /jobs as it comes. */
#include "listwatch.h"

#include <stdio.h>

#include "limit.h"

/* The shortest entry that tells of a job. */
static const char shortest[] = "{\"job_id\":\"a\",\"status\":\"b\"}";

static void end_level(struct listwatch *watch, char bracket)
{
    if (watch->depth > 0)
        watch->depth--;
    if (watch->depth != 1 || bracket != '}' || watch->entry < sizeof shortest - 1)
        return;
    watch->jobs++;
    watch->since_job = 0;
}

static void take_byte(struct listwatch *watch, char byte)
{
    watch->since_job++;
    watch->entry++;
    if (watch->in_string) {
        watch->in_string = watch->escaped || byte != '"';
        watch->escaped = !watch->escaped && byte == '\\';
        return;
    }
    switch (byte) {
    case '"':
        watch->in_string = true;
        break;
    case '[':
    case '{':
        if (watch->depth++ == 1)
            watch->entry = 1;
        break;
    case ']':
    case '}':
        end_level(watch, byte);
        break;
    default:
        break;
    }
}

bool listwatch_take(
    struct listwatch *watch, const char *bytes, size_t length, char *why, size_t size)
{
    for (size_t i = 0; i < length; i++) {
        take_byte(watch, bytes[i]);
        if (watch->since_job > LIMIT_LIST_GAP) {
            snprintf(why, size,
                "the list is given up: no further job in %d MiB behind the first %zu",
                LIMIT_LIST_GAP >> 20, watch->jobs);
            return false;
        }
        if (watch->jobs > LIMIT_LIST_JOBS) {
            snprintf(why, size, "the list is given up: more than %u jobs", LIMIT_LIST_JOBS);
            return false;
        }
    }
    return true;
}
