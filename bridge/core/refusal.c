/* What the broker refuses for the time being. */
#include "refusal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

void refusal_clear(struct refusal *refusal)
{
    free(refusal->topic);
    free(refusal->other);
    *refusal = (struct refusal){0};
}

bool refusal_note(struct refusal *refusal, const char *topic, const char *reason)
{
    bool first = refusal->topic == NULL;
    snprintf(refusal->reason, sizeof refusal->reason, "%s", reason);
    if (first) {
        refusal->topic = xstrdup(topic);
    } else if (strcmp(refusal->topic, topic) != 0) {
        free(refusal->other);
        refusal->other = xstrdup(topic);
    }
    return first;
}

static bool is(const char *one, const char *topic)
{
    return one && strcmp(one, topic) == 0;
}

bool refusal_taken(struct refusal *refusal, const char *topic)
{
    if (is(refusal->other, topic)) {
        free(refusal->other);
        refusal->other = NULL;
    } else if (is(refusal->topic, topic)) {
        free(refusal->topic);
        refusal->topic = refusal->other;
        refusal->other = NULL;
        return refusal->topic == NULL;
    }
    return false;
}
