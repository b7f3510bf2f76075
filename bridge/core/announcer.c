/*
 * The schedule of discovery messages. A few hundred devices at most, and a few messages a second:
 * each question walks through all of them.
 */
#include "announcer.h"

#include <stdlib.h>
#include <string.h>

#include "limit.h"
#include "mem.h"

#define uthash_fatal(message) abort()
#include <uthash.h>

struct device {
    enum announcer_kind kind;
    char *name; /* NULL where it was only found */
    char *text; /* the payload that is wanted, or else the last one that was; NULL for none */
    size_t length;
    char *farewell; /* to be sent once before `text`; NULL for none */
    size_t farewell_length;
    char *job_id; /* whoever waits for the topic to be cleared; NULL for nobody */
    int64_t not_before_ms;
    bool wanted;
    bool undecided; /* found, and nobody has said yet whether it is wanted */
    bool stands;    /* something stands on the topic, or is on the way there */
    bool current;   /* and it is `text` */
    bool lost;      /* by the broker; Home Assistant may still have it, and is to be told */
    bool again;     /* to be sent though it stands there */
    bool refused;   /* the last message was given up, and is to be tried once more */
    bool unseen;    /* it was cleared while Home Assistant was perhaps away */
    bool confirmed; /* by the broker, since announcer_read_begin */
    bool reviewed;  /* kept or shown, since announcer_review_begin */
    UT_hash_handle hh;
    char topic[];
};

struct announcer {
    struct device *table;
    size_t bytes; /* of all topics and texts */
    struct device *on_the_way;
    bool stood_before; /* something stood on its topic before */
    bool lost_before;
    bool way_clears; /* what is on the way is the clearing of a topic */
    int64_t next_ms; /* no message before that */
    char *settled;   /* the job that announcer_settle returned last */
    size_t most_remembered;
};

struct announcer *announcer_new(size_t most_remembered)
{
    struct announcer *announcer = xcalloc(1, sizeof *announcer);
    announcer->most_remembered = most_remembered;
    announcer->next_ms = INT64_MIN;
    return announcer;
}

static struct device *find(const struct announcer *announcer, const char *topic)
{
    struct device *device;
    HASH_FIND_STR(announcer->table, topic, device);
    return device;
}

static struct device *find_or_add(
    struct announcer *announcer, const char *topic, enum announcer_kind kind)
{
    struct device *device = find(announcer, topic);
    if (device)
        return device;
    size_t size = strlen(topic) + 1;
    device = xcalloc(1, sizeof *device + size);
    memcpy(device->topic, topic, size);
    device->kind = kind;
    device->not_before_ms = INT64_MIN;
    HASH_ADD_KEYPTR(hh, announcer->table, device->topic, size - 1, device);
    announcer->bytes += size;
    return device;
}

static void drop(struct announcer *announcer, struct device *device)
{
    HASH_DEL(announcer->table, device);
    announcer->bytes -= strlen(device->topic) + 1 + device->length;
    free(device->name);
    free(device->text);
    free(device->farewell);
    free(device->job_id);
    free(device);
}

void announcer_free(struct announcer *announcer)
{
    if (!announcer)
        return;
    while (announcer->table)
        drop(announcer, announcer->table);
    free(announcer->settled);
    free(announcer);
}

static struct device *next_of(struct device *device)
{
    return device->hh.next;
}

static void set_text(
    struct announcer *announcer, struct device *device, const char *payload, size_t length)
{
    announcer->bytes += length;
    announcer->bytes -= device->length;
    free(device->text);
    device->text = payload ? xmemdup0(payload, length) : NULL;
    device->length = length;
}

static bool has_text(const struct device *device, const char *payload, size_t length)
{
    return device->text && device->length == length && memcmp(device->text, payload, length) == 0;
}

static void set_farewell(struct device *device, const char *farewell, size_t length)
{
    free(device->farewell);
    device->farewell = farewell ? xmemdup0(farewell, length) : NULL;
    device->farewell_length = length;
}

/* ---- What should stand there */

const char *announcer_standing(const struct announcer *announcer, const char *topic, size_t *length)
{
    const struct device *device = find(announcer, topic);
    if (!device || !device->undecided || !device->stands)
        return NULL;
    *length = device->length;
    return device->text;
}

void announcer_show(struct announcer *announcer, const struct announcer_device *wanted,
    const char *payload, size_t length)
{
    struct device *device = find_or_add(announcer, wanted->topic, wanted->kind);
    device->wanted = true;
    device->undecided = false;
    device->reviewed = true;
    device->unseen = false;
    free(device->job_id);
    device->job_id = NULL;
    free(device->name);
    device->name = xstrdup(wanted->name);
    if (wanted->farewell)
        set_farewell(device, wanted->farewell, wanted->farewell_length);
    if (has_text(device, payload, length))
        return;
    set_text(announcer, device, payload, length);
    device->current = false;
}

static void hide(struct device *device)
{
    device->wanted = false;
    device->undecided = false;
    device->again = false;
    set_farewell(device, NULL, 0);
    free(device->name);
    device->name = NULL;
}

void announcer_hide(struct announcer *announcer, const char *topic)
{
    struct device *device = find(announcer, topic);
    if (device)
        hide(device);
}

bool announcer_remove(struct announcer *announcer, const char *topic, const char *job_id)
{
    struct device *device = find(announcer, topic);
    if (!device)
        return false;
    hide(device);
    if (!device->stands && !device->lost)
        return false;
    free(device->job_id);
    device->job_id = xstrdup(job_id);
    return true;
}

void announcer_review_begin(struct announcer *announcer)
{
    for (struct device *device = announcer->table; device; device = next_of(device))
        device->reviewed = false;
}

bool announcer_keep(struct announcer *announcer, const char *topic, const char *name)
{
    struct device *device = find(announcer, topic);
    if (!device || !device->wanted || strcmp(device->name, name) != 0)
        return false;
    device->reviewed = true;
    return true;
}

void announcer_review_end(struct announcer *announcer)
{
    for (struct device *device = announcer->table; device; device = next_of(device))
        if (device->kind == ANNOUNCER_JOB && !device->reviewed)
            hide(device);
}

bool announcer_has(const struct announcer *announcer, const char *topic)
{
    const struct device *device = find(announcer, topic);
    return device && (device->wanted || device->undecided);
}

/* ---- What does stand there */

void announcer_read_begin(struct announcer *announcer)
{
    for (struct device *device = announcer->table; device; device = next_of(device))
        device->confirmed = false;
}

static bool has_bytes(const struct announcer *announcer, size_t more, size_t less)
{
    return announcer->bytes - less + more <= LIMIT_DEVICES_BYTES;
}

bool announcer_has_room(const struct announcer *announcer)
{
    return HASH_COUNT(announcer->table) <= LIMIT_DEVICES / 2 &&
           announcer->bytes <= LIMIT_DEVICES_BYTES / 2;
}

/* What is to go needs its payload for no more than to make it go twice. */
static void take_found_text(
    struct announcer *announcer, struct device *device, const char *payload, size_t length)
{
    device->current = has_text(device, payload, length);
    if (device->current || device->wanted)
        return;
    device->current = has_bytes(announcer, length, device->length);
    set_text(announcer, device, device->current ? payload : NULL, device->current ? length : 0);
}

/* Home Assistant may just be reading the same: what is there now counts as sent now. */
bool announcer_found(struct announcer *announcer, const char *topic, enum announcer_kind kind,
    const char *payload, size_t length, int64_t now_ms)
{
    struct device *device = find(announcer, topic);
    bool is_new = !device;
    if (is_new && (HASH_COUNT(announcer->table) >= LIMIT_DEVICES ||
                      !has_bytes(announcer, strlen(topic) + 1 + length, 0)))
        return false;
    if (is_new)
        device = find_or_add(announcer, topic, kind);
    device->undecided = device->undecided || is_new;
    device->confirmed = true;
    if (device == announcer->on_the_way)
        return true;
    if (device->not_before_ms < now_ms + ANNOUNCER_SPACING_MS)
        device->not_before_ms = now_ms + ANNOUNCER_SPACING_MS;
    device->stands = true;
    device->lost = false;
    take_found_text(announcer, device, payload, length);
    return true;
}

/* What is to go is cleared though the broker has lost it: Home Assistant has not. */
void announcer_read_end(struct announcer *announcer)
{
    for (struct device *device = announcer->table; device; device = next_of(device)) {
        device->refused = false;
        if (device->confirmed || device == announcer->on_the_way)
            continue;
        device->lost = device->lost || (device->stands && !device->wanted && !device->undecided);
        device->stands = false;
    }
}

void announcer_repeat(struct announcer *announcer, int64_t at_ms)
{
    for (struct device *device = announcer->table; device; device = next_of(device)) {
        device->again = device->wanted || device->unseen;
        if (device->again && device->not_before_ms < at_ms)
            device->not_before_ms = at_ms;
    }
}

/* ---- What to do about the difference */

enum action { ACTION_NONE, ACTION_SEND, ACTION_CLEAR };

static enum action action_for(const struct device *device)
{
    if (device->undecided || device->refused)
        return ACTION_NONE;
    if (device->wanted)
        return device->stands && device->current && !device->again ? ACTION_NONE : ACTION_SEND;
    if (device->stands || device->lost)
        return ACTION_CLEAR;
    return device->again ? ACTION_SEND : ACTION_NONE;
}

/* The lower the earlier. The state topic of a job that is gone waits for its device to go. */
static int rank_of(const struct device *device, enum action action)
{
    if (device->kind == ANNOUNCER_BRIDGE)
        return action == ACTION_SEND ? 0 : 4;
    if (action == ACTION_CLEAR)
        return device->job_id ? 1 : 2;
    return 3;
}

static void drop_finished(struct announcer *announcer, int64_t now_ms)
{
    struct device *device = announcer->table;
    while (device) {
        struct device *next = next_of(device);
        if (!device->wanted && !device->undecided && !device->stands && !device->lost &&
            !device->unseen && device != announcer->on_the_way && device->not_before_ms <= now_ms)
            drop(announcer, device);
        device = next;
    }
}

/* The device whose turn it is; NULL, and the time of the next, where there is none now. */
static struct device *choose(struct announcer *announcer, int64_t now_ms, int64_t *wake_ms)
{
    struct device *best = NULL;
    *wake_ms = INT64_MAX;
    for (struct device *device = announcer->table; device; device = next_of(device)) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not see HASH_DEL in drop. */
        enum action action = action_for(device);
        if (action == ACTION_NONE)
            continue;
        if (device->not_before_ms > now_ms)
            *wake_ms = device->not_before_ms < *wake_ms ? device->not_before_ms : *wake_ms;
        else if (!best || rank_of(device, action) < rank_of(best, action_for(best)))
            best = device;
    }
    if (best && announcer->next_ms > now_ms) {
        *wake_ms = announcer->next_ms;
        return NULL;
    }
    return best;
}

static void describe(struct device *device, bool clears, struct announcement *announcement)
{
    *announcement = (struct announcement){.topic = device->topic, .payload = ""};
    if (clears) {
        announcement->job_id = device->job_id;
    } else if (device->farewell) {
        announcement->payload = device->farewell;
        announcement->length = device->farewell_length;
    } else {
        announcement->payload = device->text;
        announcement->length = device->length;
    }
}

bool announcer_next(struct announcer *announcer, int64_t now_ms, struct announcement *announcement,
    int64_t *wake_ms)
{
    *wake_ms = INT64_MAX;
    if (announcer->on_the_way)
        return false;
    drop_finished(announcer, now_ms);
    struct device *device = choose(announcer, now_ms, wake_ms);
    if (!device)
        return false;
    bool clears = action_for(device) == ACTION_CLEAR;
    describe(device, clears, announcement);
    announcer->stood_before = device->stands;
    announcer->lost_before = device->lost;
    device->stands = !clears;
    device->lost = false;
    device->current = !clears && !device->farewell;
    device->again = false;
    device->confirmed = true;
    announcer->on_the_way = device;
    announcer->way_clears = clears;
    announcer->next_ms = now_ms + ANNOUNCER_PACE_MS;
    return true;
}

/* The oldest is forgotten where there are too many. */
static void remember_unseen(struct announcer *announcer, struct device *device)
{
    size_t count = 0;
    struct device *oldest = NULL;
    device->unseen = true;
    for (struct device *other = announcer->table; other; other = next_of(other)) {
        count += other->unseen;
        if (other->unseen && (!oldest || other->not_before_ms < oldest->not_before_ms))
            oldest = other;
    }
    if (count > announcer->most_remembered && oldest)
        oldest->unseen = false;
}

static void give_up(struct announcer *announcer, struct device *device)
{
    device->refused = true;
    device->stands = announcer->stood_before;
    device->lost = announcer->lost_before;
    device->current = false;
}

void announcer_done(struct announcer *announcer, int64_t now_ms, enum announcer_end end)
{
    struct device *device = announcer->on_the_way;
    if (!device)
        return;
    announcer->on_the_way = NULL;
    device->confirmed = true;
    device->not_before_ms = now_ms + ANNOUNCER_SPACING_MS;
    if (end == ANNOUNCER_GIVEN_UP) {
        give_up(announcer, device);
        return;
    }
    if (!announcer->way_clears) {
        set_farewell(device, NULL, 0);
        return;
    }
    free(device->job_id);
    device->job_id = NULL;
    device->unseen = false;
    if (!device->wanted && device->text && end != ANNOUNCER_SEEN)
        remember_unseen(announcer, device);
}

void announcer_again(struct announcer *announcer)
{
    for (struct device *device = announcer->table; device; device = next_of(device))
        device->refused = false;
}

bool announcer_settle(
    struct announcer *announcer, int64_t now_ms, struct announcement *announcement)
{
    struct device *device = announcer->table;
    while (device && !device->job_id)
        device = next_of(device);
    if (!device)
        return false;
    describe(device, true, announcement);
    if (device == announcer->on_the_way || device->not_before_ms > now_ms)
        announcement->topic = NULL;
    else
        device->stands = device->lost = false;
    free(announcer->settled);
    announcer->settled = device->job_id;
    device->job_id = NULL;
    return true;
}

bool announcer_is_idle(const struct announcer *announcer)
{
    for (struct device *device = announcer->table; device; device = next_of(device))
        if (device->refused || action_for(device) != ACTION_NONE)
            return false;
    return !announcer->on_the_way;
}
