#include "faults.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

#define MOST_MS 86400000.0 /* a day: longer than any test waits */

static bool read_on(const cJSON *item, struct fault *fault, struct error *error)
{
    const char *name = cJSON_GetStringValue(item);
    if (name != NULL && strcmp(name, "any") == 0) {
        fault->on = (1u << KIND_COUNT) - 1;
        return true;
    }
    for (unsigned i = 0; i < KIND_COUNT; i++) {
        if (name != NULL && strcmp(name, kind_name((enum kind)i)) == 0) {
            fault->on = 1u << i;
            return true;
        }
    }
    return error_set(error, ERROR_USAGE,
        "on: expected stream, list, status, cancel, delete, health, other or any");
}

static bool read_whole(
    const cJSON *item, double low, double high, long long *out, struct error *error)
{
    double value = cJSON_GetNumberValue(item);
    if (!cJSON_IsNumber(item) || value != floor(value) || value < low || value > high)
        return error_set(error, ERROR_USAGE, "%s: expected a whole number from %.0f to %.0f",
            item->string, low, high);
    *out = (long long)value;
    return true;
}

static bool read_text(const cJSON *item, char **out, struct error *error)
{
    if (!cJSON_IsString(item))
        return error_set(error, ERROR_USAGE, "%s: expected a text", item->string);
    free(*out);
    *out = xstrdup(item->valuestring);
    return true;
}

static bool read_flag(const cJSON *item, bool *out, struct error *error)
{
    if (!cJSON_IsBool(item))
        return error_set(error, ERROR_USAGE, "%s: expected true or false", item->string);
    *out = cJSON_IsTrue(item);
    return true;
}

static bool read_retry_after(const cJSON *item, struct fault *fault, struct error *error)
{
    if (!cJSON_IsNumber(item))
        return read_text(item, &fault->retry_after, error);
    char *printed = cJSON_PrintUnformatted(item);
    free(fault->retry_after);
    fault->retry_after = xstrdup(printed);
    cJSON_free(printed);
    return true;
}

static bool read_number_member(const cJSON *item, struct fault *fault, struct error *error)
{
    const char *name = item->string;
    long long value = 0;
    if (strcmp(name, "times") == 0) {
        if (!read_whole(item, 0, 1e9, &value, error))
            return false;
        fault->left = (unsigned long)value;
        fault->endless = value == 0;
    } else if (strcmp(name, "status") == 0) {
        if (!read_whole(item, 200, 599, &value, error))
            return false;
        fault->status = (unsigned)value;
    } else if (strcmp(name, "chunk") == 0) {
        if (!read_whole(item, 1, 1e9, &value, error))
            return false;
        fault->chunk = (size_t)value;
    } else if (strcmp(name, "delay_ms") == 0) {
        return read_whole(item, 0, MOST_MS, &fault->delay_ms, error);
    } else if (strcmp(name, "cut_after") == 0) {
        return read_whole(item, FAULT_NO_ANSWER, 1e12, &fault->cut_after, error);
    } else {
        return error_set(error, ERROR_USAGE, "%s: unknown member", name);
    }
    return true;
}

static bool read_member(const cJSON *item, struct fault *fault, struct error *error)
{
    const char *name = item->string;
    if (strcmp(name, "on") == 0)
        return read_on(item, fault, error);
    if (strcmp(name, "body") == 0)
        return read_text(item, &fault->body, error);
    if (strcmp(name, "content_type") == 0)
        return read_text(item, &fault->content_type, error);
    if (strcmp(name, "location") == 0)
        return read_text(item, &fault->location, error);
    if (strcmp(name, "retry_after") == 0)
        return read_retry_after(item, fault, error);
    if (strcmp(name, "stall") == 0)
        return read_flag(item, &fault->stall, error);
    if (strcmp(name, "after_work") == 0)
        return read_flag(item, &fault->after_work, error);
    return read_number_member(item, fault, error);
}

static struct fault *read_fault(const cJSON *description, struct error *error)
{
    struct fault *fault = xcalloc(1, sizeof *fault);
    fault->left = 1;
    fault->cut_after = FAULT_NO_CUT;
    fault->holders = 1;
    bool valid = cJSON_IsObject(description) || error_set(error, ERROR_USAGE, "expected an object");
    const cJSON *item;
    cJSON_ArrayForEach(item, description)
    {
        valid = valid && read_member(item, fault, error);
    }
    if (valid && fault->on == 0)
        valid = error_set(error, ERROR_USAGE, "on: missing");
    if (valid)
        return fault;
    fault_release(fault);
    return NULL;
}

static bool read_all(const cJSON *list, struct faults *read, struct error *error)
{
    struct fault **end = &read->first;
    int position = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        *end = read_fault(item, error);
        if (*end == NULL)
            return error_wrap(error, "faults[%d]", position);
        end = &(*end)->next;
        position++;
    }
    return true;
}

bool faults_add(struct faults *faults, const cJSON *description, struct error *error)
{
    struct faults read = {0};
    if (!cJSON_IsArray(description)) {
        read.first = read_fault(description, error);
        if (read.first == NULL)
            return error_wrap(error, "fault");
    } else if (!read_all(description, &read, error)) {
        faults_clear(&read);
        return false;
    }
    struct fault **end = &faults->first;
    while (*end != NULL)
        end = &(*end)->next;
    *end = read.first;
    return true;
}

void faults_clear(struct faults *faults)
{
    while (faults->first != NULL) {
        struct fault *fault = faults->first;
        faults->first = fault->next;
        fault_release(fault);
    }
}

struct fault *faults_take(struct faults *faults, enum kind kind)
{
    struct fault **link = &faults->first;
    while (*link != NULL && ((*link)->on & 1u << kind) == 0)
        link = &(*link)->next;
    struct fault *fault = *link;
    if (fault == NULL)
        return NULL;
    if (fault->endless || --fault->left > 0)
        fault->holders++;
    else
        *link = fault->next; /* the list's hold on it goes to the request */
    return fault;
}

void fault_release(struct fault *fault)
{
    if (fault == NULL || --fault->holders > 0)
        return;
    free(fault->body);
    free(fault->content_type);
    free(fault->retry_after);
    free(fault->location);
    free(fault);
}

bool fault_replaces_answer(const struct fault *fault)
{
    return fault->status >= 300 || fault->body != NULL;
}

bool fault_spoils_answer(const struct fault *fault)
{
    return fault_replaces_answer(fault) || fault->stall || fault->cut_after != FAULT_NO_CUT;
}
