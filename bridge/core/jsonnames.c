/*
 * Members by their names. A few are looked through one by one; many are sorted, so that an object
 * of a hundred thousand members costs no more a byte than one of ten, whatever they are called.
 */
#include "jsonnames.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "jsonscan.h"
#include "mem.h"

/* Up to here a look at each is quicker than keeping an order. */
#define FEW_MEMBERS 32

/* Negative, 0 or positive, by the code points of the names as they are meant. */
static int compare_names(const struct json_member *a, const struct json_member *b)
{
    const char *left = a->name.at, *left_end = left + a->name.length;
    const char *right = b->name.at, *right_end = right + b->name.length;
    if (!a->escaped_name && !b->escaped_name) {
        /* The bytes of UTF-8 are in the order of the code points. */
        size_t shorter = a->name.length < b->name.length ? a->name.length : b->name.length;
        int order = memcmp(left, right, shorter);
        return order != 0 ? order : (a->name.length > shorter) - (b->name.length > shorter);
    }
    while (left < left_end && right < right_end) {
        uint32_t one = scan_character(&left, left_end), other = scan_character(&right, right_end);
        if (one != other)
            return one < other ? -1 : 1;
    }
    return (left < left_end) - (right < right_end);
}

static inline bool is_same_name(const struct json_member *a, const struct json_member *b)
{
    if (a->escaped_name || b->escaped_name)
        return compare_names(a, b) == 0;
    return json_slices_match(a->name, b->name);
}

bool json_same_name(const struct json_member *a, const struct json_member *b)
{
    return is_same_name(a, b);
}

/* ---- Looking one up */

static int compare_to_entry(const void *wanted, const void *entry)
{
    return compare_names(wanted, ((const struct json_entry *)entry)->member);
}

static const struct json_member *find_among_many(
    const struct json_object *object, const struct json_member *wanted)
{
    const struct json_entry *entry =
        bsearch(wanted, object->sorted, object->count, sizeof *object->sorted, compare_to_entry);
    return entry ? entry->member : NULL;
}

static const struct json_member *find_among_few(
    const struct json_object *object, const struct json_member *wanted, size_t from)
{
    for (size_t i = 0; i < object->count; i++) {
        size_t at = from + i < object->count ? from + i : from + i - object->count;
        if (is_same_name(&object->members[at], wanted))
            return &object->members[at];
    }
    return NULL;
}

const struct json_member *json_find_same(
    const struct json_object *object, const struct json_member *wanted, size_t *from)
{
    const struct json_member *found;
    if (object->count <= FEW_MEMBERS)
        found = find_among_few(object, wanted, *from);
    else if (is_same_name(&object->members[*from], wanted))
        found = &object->members[*from];
    else
        found = find_among_many(object, wanted);
    if (found) {
        size_t behind = (size_t)(found - object->members) + 1;
        *from = behind < object->count ? behind : 0;
    }
    return found;
}

const struct json_member *json_find(const struct json_object *object, const char *name)
{
    struct json_member wanted = {.name = {name, strlen(name)}};
    if (object->count > FEW_MEMBERS)
        return find_among_many(object, &wanted);
    for (size_t i = 0; i < object->count; i++)
        if (json_name_is(&object->members[i], name))
            return &object->members[i];
    return NULL;
}

/* ---- Of those with the same name, the last value at the first place */

/* Equal names in the order of the text. */
static int compare_entries(const void *a, const void *b)
{
    const struct json_member *left = ((const struct json_entry *)a)->member;
    const struct json_member *right = ((const struct json_entry *)b)->member;
    int order = compare_names(left, right);
    return order != 0 ? order : (left > right) - (left < right);
}

static void sort_members(struct json_object *object)
{
    if (object->sorted_capacity < object->count) {
        object->sorted_capacity = object->capacity;
        object->sorted =
            xreallocarray(object->sorted, object->sorted_capacity, sizeof *object->sorted);
    }
    for (size_t i = 0; i < object->count; i++)
        object->sorted[i].member = &object->members[i];
    qsort(object->sorted, object->count, sizeof *object->sorted, compare_entries);
}

/* Marks all but the first of equal names by a name without text. Returns how many. */
static size_t mark_repetitions(struct json_object *object)
{
    size_t marked = 0;
    struct json_member *first = object->sorted[0].member;
    for (size_t i = 1; i < object->count; i++) {
        struct json_member *member = object->sorted[i].member;
        if (compare_names(first, member) != 0) {
            first = member;
            continue;
        }
        first->value = member->value;
        first->repeated = true;
        member->name.at = NULL;
        marked++;
    }
    return marked;
}

static void drop_marked(struct json_object *object)
{
    size_t kept = 0;
    for (size_t i = 0; i < object->count; i++)
        if (object->members[i].name.at)
            object->members[kept++] = object->members[i];
    object->count = kept;
}

bool json_names_take(struct json_object *object, const struct json_member *member)
{
    for (size_t i = 0; i < object->count && object->count <= FEW_MEMBERS; i++) {
        if (!is_same_name(&object->members[i], member))
            continue;
        object->members[i].value = member->value;
        object->members[i].repeated = true;
        return true;
    }
    return false;
}

void json_names_settle(struct json_object *object)
{
    if (object->count <= FEW_MEMBERS)
        return;
    sort_members(object);
    if (mark_repetitions(object) == 0)
        return;
    drop_marked(object);
    sort_members(object);
}
