#include "stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "buf.h"
#include "mem.h"

#define MOST_QUEUED    (256u * 1024 * 1024) /* bytes a client may lag behind before it is cut */
#define HISTORY_LENGTH 10000                /* events that can be sent again */
#define CUT_GRACE_MS   1000 /* for a client that does not read; then the socket is shut down */

enum ending { ENDING_NONE, ENDING_ORDERLY, ENDING_HARD };

struct subscriber {
    struct stream *stream;
    struct MHD_Connection *connection;
    const struct fault *fault;
    struct buf queue;
    size_t taken; /* bytes of the queue that have gone out */
    long long sent;
    enum ending ending;
    bool stalled;
    bool suspended;
    int64_t give_up_ms; /* INT64_MAX while no cut is waiting */
    int64_t next_keepalive_ms;
    struct subscriber *next;
};

struct past_event {
    char *id; /* owned, as bytes */
    char *bytes;
    size_t length;
};

struct stream {
    const char *line_end;
    bool event_ids;
    int64_t keepalive_ms;
    uint64_t last_id;
    struct subscriber *first;
    bool resumed; /* since stream_take_resumed */
    struct past_event history[HISTORY_LENGTH];
    uint64_t remembered; /* events ever written to the history */
};

struct stream *stream_new(enum line_end line_end, bool event_ids, int64_t keepalive_ms)
{
    static const char *const ends[] = {
        [LINE_END_CRLF] = "\r\n", [LINE_END_LF] = "\n", [LINE_END_CR] = "\r"};
    struct stream *stream = xcalloc(1, sizeof *stream);
    stream->line_end = ends[line_end];
    stream->event_ids = event_ids;
    stream->keepalive_ms = keepalive_ms;
    return stream;
}

void stream_free(struct stream *stream)
{
    if (stream == NULL)
        return;
    for (size_t i = 0; i < HISTORY_LENGTH; i++) {
        free(stream->history[i].id);
        free(stream->history[i].bytes);
    }
    free(stream);
}

static int socket_of(const struct subscriber *subscriber)
{
    return MHD_get_connection_info(subscriber->connection, MHD_CONNECTION_INFO_CONNECTION_FD)
        ->connect_fd;
}

static void wake(struct subscriber *subscriber)
{
    if (!subscriber->suspended)
        return;
    subscriber->suspended = false;
    subscriber->stream->resumed = true;
    MHD_resume_connection(subscriber->connection);
}

void subscriber_drop(struct subscriber *subscriber)
{
    /* Shut down, the socket is reported as closed even where the client reads nothing. */
    shutdown(socket_of(subscriber), SHUT_RDWR);
    subscriber->ending = ENDING_HARD;
    subscriber->queue.length = subscriber->taken = 0;
    subscriber->stalled = false;
    wake(subscriber);
}

static void make_queue_compact(struct subscriber *subscriber)
{
    struct buf *queue = &subscriber->queue;
    if (subscriber->taken == queue->length) {
        buf_reset(queue);
        subscriber->taken = 0;
    } else if (subscriber->taken > queue->length / 2) {
        queue->length -= subscriber->taken;
        memmove(queue->data, queue->data + subscriber->taken, queue->length);
        subscriber->taken = 0;
    }
}

static void enqueue(struct subscriber *subscriber, const char *bytes, size_t length)
{
    if (subscriber->ending != ENDING_NONE || subscriber->stalled)
        return;
    make_queue_compact(subscriber);
    if (buf_append(&subscriber->queue, bytes, length))
        wake(subscriber);
    else
        subscriber_drop(subscriber);
}

void stream_raw(struct stream *stream, const char *bytes, size_t length)
{
    for (struct subscriber *each = stream->first; each != NULL; each = each->next)
        enqueue(each, bytes, length);
}

static void append_field(
    struct buf *buf, const struct stream *stream, const char *name, const char *value)
{
    if (value != NULL)
        buf_printf(buf, "%s: %s%s", name, value, stream->line_end);
}

/* A line ends with CR, LF or CRLF, as for the reader of an event stream. */
static size_t line_length(const char *text, size_t length)
{
    size_t i = 0;
    while (i < length && text[i] != '\n' && text[i] != '\r')
        i++;
    return i;
}

static void append_data(struct buf *buf, const struct stream *stream, const char *data, size_t left)
{
    for (;;) {
        size_t line = line_length(data, left);
        buf_append_text(buf, "data: ");
        buf_append(buf, data, line);
        buf_append_text(buf, stream->line_end);
        if (line == left)
            return;
        size_t end = left - line > 1 && data[line] == '\r' && data[line + 1] == '\n' ? 2 : 1;
        data += line + end;
        left -= line + end;
    }
}

static void remember(struct stream *stream, const char *id, const struct buf *event)
{
    struct past_event *slot = &stream->history[stream->remembered++ % HISTORY_LENGTH];
    free(slot->id);
    free(slot->bytes);
    slot->id = xstrdup(id);
    slot->bytes = xmemdup0(event->data, event->length);
    slot->length = event->length;
}

void stream_emit(struct stream *stream, const struct stream_event *event)
{
    char number[24];
    const char *id = event->id;
    if (id == NULL && stream->event_ids) {
        snprintf(number, sizeof number, "%" PRIu64, ++stream->last_id);
        id = number;
    }
    struct buf text;
    buf_init(&text, SIZE_MAX / 2);
    append_field(&text, stream, "event", event->name);
    append_field(&text, stream, "id", id);
    append_field(&text, stream, "retry", event->retry);
    append_data(&text, stream, event->data, event->length);
    buf_append_text(&text, stream->line_end);
    if (stream->event_ids && id != NULL)
        remember(stream, id, &text);
    stream_raw(stream, text.data, text.length);
    buf_clear(&text);
}

void stream_cut(struct stream *stream, bool hard, int64_t now_ms)
{
    for (struct subscriber *each = stream->first; each != NULL; each = each->next) {
        if (each->ending == ENDING_NONE)
            each->give_up_ms = now_ms + CUT_GRACE_MS;
        each->ending = hard ? ENDING_HARD : ENDING_ORDERLY;
        each->stalled = false;
        wake(each);
    }
}

/* Those that are ending no longer count: a cut is seen at once, not when the socket has closed. */
unsigned stream_count(const struct stream *stream)
{
    unsigned count = 0;
    for (const struct subscriber *each = stream->first; each != NULL; each = each->next)
        count += each->ending == ENDING_NONE;
    return count;
}

bool stream_take_resumed(struct stream *stream)
{
    bool resumed = stream->resumed;
    stream->resumed = false;
    return resumed;
}

static void keep_alive(struct subscriber *subscriber, int64_t now_ms)
{
    char text[64];
    struct tm tm;
    time_t now = time(NULL);
    gmtime_r(&now, &tm);
    size_t length = strftime(text, sizeof text, ": ping - %Y-%m-%d %H:%M:%S+00:00", &tm);
    const char *end = subscriber->stream->line_end;
    length += (size_t)snprintf(text + length, sizeof text - length, "%s%s", end, end);
    enqueue(subscriber, text, length);
    subscriber->next_keepalive_ms = now_ms + subscriber->stream->keepalive_ms;
}

int64_t stream_tick(struct stream *stream, int64_t now_ms)
{
    int64_t next_ms = INT64_MAX;
    for (struct subscriber *each = stream->first; each != NULL; each = each->next) {
        if (each->give_up_ms <= now_ms) {
            each->give_up_ms = INT64_MAX;
            subscriber_drop(each);
        }
        if (stream->keepalive_ms > 0 && each->next_keepalive_ms <= now_ms)
            keep_alive(each, now_ms);
        if (stream->keepalive_ms > 0 && each->next_keepalive_ms < next_ms)
            next_ms = each->next_keepalive_ms;
        if (each->give_up_ms < next_ms)
            next_ms = each->give_up_ms;
    }
    return next_ms;
}

static void replay(struct subscriber *subscriber, const char *last_event_id)
{
    const struct stream *stream = subscriber->stream;
    uint64_t oldest = stream->remembered > HISTORY_LENGTH ? stream->remembered - HISTORY_LENGTH : 0;
    uint64_t from = stream->remembered;
    while (from > oldest &&
           strcmp(stream->history[(from - 1) % HISTORY_LENGTH].id, last_event_id) != 0)
        from--;
    if (from == oldest)
        return; /* an id that was never given or is forgotten */
    for (; from < stream->remembered; from++) {
        const struct past_event *past = &stream->history[from % HISTORY_LENGTH];
        enqueue(subscriber, past->bytes, past->length);
    }
}

struct subscriber *subscriber_open(struct stream *stream, struct MHD_Connection *connection,
    const struct fault *fault, const char *last_event_id, int64_t now_ms)
{
    struct subscriber *subscriber = xcalloc(1, sizeof *subscriber);
    subscriber->stream = stream;
    subscriber->connection = connection;
    subscriber->fault = fault;
    buf_init(&subscriber->queue, MOST_QUEUED);
    subscriber->stalled = fault != NULL && fault->stall && fault->cut_after <= 0;
    subscriber->give_up_ms = INT64_MAX;
    subscriber->next_keepalive_ms = now_ms + stream->keepalive_ms;
    subscriber->next = stream->first;
    stream->first = subscriber;
    if (last_event_id != NULL)
        replay(subscriber, last_event_id);
    return subscriber;
}

void subscriber_close(struct subscriber *subscriber)
{
    struct subscriber **link = &subscriber->stream->first;
    while (*link != subscriber)
        link = &(*link)->next;
    *link = subscriber->next;
    buf_clear(&subscriber->queue);
    free(subscriber);
}

static ssize_t pause_sending(struct subscriber *subscriber)
{
    subscriber->suspended = true;
    MHD_suspend_connection(subscriber->connection);
    return 0;
}

/* libmicrohttpd closes between chunks; announcing a chunk that never comes puts the cut inside
 * one. Nothing is in its way: this runs only when all before has been handed to the kernel. */
static ssize_t break_off(struct subscriber *subscriber)
{
    static const char chunk_head[] = "1000\r\n";
    send(socket_of(subscriber), chunk_head, sizeof chunk_head - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* How many bytes may go out before the fault's cut; without one, any number. */
static size_t left_before_cut(const struct subscriber *subscriber)
{
    const struct fault *fault = subscriber->fault;
    if (fault == NULL || fault->cut_after == FAULT_NO_CUT)
        return SIZE_MAX;
    return (size_t)(fault->cut_after - subscriber->sent);
}

static ssize_t end_of_queue(struct subscriber *subscriber)
{
    switch (subscriber->ending) {
    case ENDING_ORDERLY:
        return MHD_CONTENT_READER_END_OF_STREAM;
    case ENDING_HARD:
        return break_off(subscriber);
    case ENDING_NONE:
        break;
    }
    return pause_sending(subscriber);
}

ssize_t subscriber_read(void *cls, uint64_t position, char *out, size_t most)
{
    (void)position;
    struct subscriber *subscriber = cls;
    size_t length = subscriber->queue.length - subscriber->taken;
    size_t allowed = left_before_cut(subscriber);
    if (allowed == 0 && subscriber->fault->stall && subscriber->ending == ENDING_NONE)
        subscriber->stalled = true;
    if (subscriber->stalled)
        return pause_sending(subscriber);
    if (allowed == 0)
        return break_off(subscriber);
    if (length == 0)
        return end_of_queue(subscriber);
    if (length > most)
        length = most;
    if (length > allowed)
        length = allowed;
    if (subscriber->fault != NULL && subscriber->fault->chunk > 0 &&
        length > subscriber->fault->chunk)
        length = subscriber->fault->chunk;
    memcpy(out, subscriber->queue.data + subscriber->taken, length);
    subscriber->taken += length;
    subscriber->sent += (long long)length;
    return (ssize_t)length;
}
