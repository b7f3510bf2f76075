#include "journal.h"

#include <stdlib.h>

#include "mem.h"
#include "rawjson.h"

static const char *const kind_names[KIND_COUNT] = {
    [KIND_STREAM] = "stream",
    [KIND_LIST] = "list",
    [KIND_STATUS] = "status",
    [KIND_CANCEL] = "cancel",
    [KIND_DELETE] = "delete",
    [KIND_HEALTH] = "health",
    [KIND_OTHER] = "other",
};

const char *kind_name(enum kind kind)
{
    return kind_names[kind];
}

static void clear_entry(struct journal_entry *entry)
{
    free(entry->method);
    free(entry->path);
    free(entry->keys);
}

void journal_clear(struct journal *journal)
{
    for (size_t i = 0; i < JOURNAL_LENGTH; i++)
        clear_entry(&journal->log[i]);
    free(journal->last_event_id);
    *journal = (struct journal){0};
}

uint64_t journal_note(struct journal *journal, const struct journal_entry *entry)
{
    struct journal_entry *slot = &journal->log[journal->logged % JOURNAL_LENGTH];
    clear_entry(slot);
    *slot = *entry;
    slot->method = xstrdup(entry->method);
    slot->path = xstrdup(entry->path);
    slot->keys = xstrdup(entry->keys);
    journal->requests[entry->kind]++;
    return journal->logged++;
}

void journal_answered(struct journal *journal, uint64_t number, unsigned status)
{
    if (number + JOURNAL_LENGTH >= journal->logged)
        journal->log[number % JOURNAL_LENGTH].status = status;
}

void journal_set_last_event_id(struct journal *journal, const char *id)
{
    free(journal->last_event_id);
    journal->last_event_id = id == NULL ? NULL : xstrdup(id);
}

static void append_entry(struct buf *buf, const struct journal_entry *entry)
{
    buf_printf(buf, "{\"at_ms\": %lld, \"method\": ", (long long)entry->at_ms);
    rawjson_quote(buf, entry->method);
    buf_append_text(buf, ", \"path\": ");
    rawjson_quote(buf, entry->path);
    buf_printf(buf, ", \"kind\": \"%s\", \"status\": %u, \"query_keys\": %s}",
        kind_name(entry->kind), entry->status, entry->keys);
}

static void append_log(struct buf *buf, const struct journal *journal)
{
    uint64_t oldest = journal->logged > JOURNAL_LENGTH ? journal->logged - JOURNAL_LENGTH : 0;
    for (uint64_t i = oldest; i < journal->logged; i++) {
        buf_append_text(buf, i == oldest ? "" : ", ");
        append_entry(buf, &journal->log[i % JOURNAL_LENGTH]);
    }
}

void journal_append(struct buf *buf, const struct journal *journal, unsigned streams_open)
{
    buf_append_text(buf, "{\"requests\": {");
    for (unsigned i = 0; i < KIND_COUNT; i++)
        buf_printf(buf, "%s\"%s\": %llu", i == 0 ? "" : ", ", kind_names[i],
            (unsigned long long)journal->requests[i]);
    buf_printf(buf, "}, \"unauthorized\": %llu, \"streams_open\": %u, \"last_event_id\": ",
        (unsigned long long)journal->unauthorized, streams_open);
    if (journal->last_event_id == NULL)
        buf_append_text(buf, "null");
    else
        rawjson_quote(buf, journal->last_event_id);
    buf_append_text(buf, ", \"log\": [");
    append_log(buf, journal);
    buf_append_text(buf, "]}");
}
