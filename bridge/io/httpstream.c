/*
 * The event stream's transport: one GET that stays open. Pausing only sets a mark, so it may be
 * done from anywhere; the next write callback then keeps its bytes inside libcurl, which stops
 * reading the socket. Reading on is done from the loop, because libcurl calls the write callback
 * from within curl_easy_pause.
 */
#include "httpstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>

#include "buf.h"
#include "limit.h"
#include "loop.h"
#include "mem.h"
#include "transport.h"

enum {
    STREAM_REFUSAL_MS = 10000, /* for the beginning of a refused answer's body to arrive */
    STREAM_READ_BYTES = 16384,
    /* About a dozen events. libcurl goes on for as long as there is something to read, 400 of them
     * after a pause, and the broker would wait for more. */
    STREAM_BREATH_BYTES = 4096,
    /* Half a millisecond of events: then everything else has a pass of the loop, commands too. */
    STREAM_TURN_BYTES = 32768,
    STREAM_KEEPALIVE_IDLE_S = 30,
    STREAM_KEEPALIVE_INTERVAL_S = 10,
    /* A server that was held back sends on a round trip after there is room again, and that is 300
     * ms at most on Earth. So it has said all that it had to say once it has been silent for so
     * long, */
    STREAM_SILENCE_MS = 300,
    /* or, where it is never silent, once the kernel has had nothing for us after so long: its
     * buffers are empty then at 10 Mbit/s. */
    STREAM_BEHIND_MOST_MS = 3000,
    /* What a server's kernel holds for one connection at most (Linux: net.ipv4.tcp_wmem). */
    STREAM_SERVER_BUFFER = 4 * 1024 * 1024,
};

struct httpstream {
    struct transport transport;
    struct httpstream_handler handler;
    struct timer resume;   /* unpauses libcurl from the loop */
    struct timer deadline; /* of a refused answer */
    struct buf body;       /* of a refused answer */
    int64_t last_byte_ms;
    size_t in_one_breath; /* bytes since loop_breathe */
    size_t in_one_turn;   /* bytes since libcurl was last told to go on */
    bool refused;
    bool paused;       /* asked for */
    bool held_back;    /* libcurl holds bytes that the write callback did not take */
    bool behind;       /* that has been so, and more may be on its way */
    int64_t behind_ms; /* since when it has been read again */
    bool over;         /* on_end was called or is not wanted any more */
};

static bool is_event_stream(const char *content_type)
{
    static const char wanted[] = "text/event-stream";
    size_t length = sizeof wanted - 1;

    return strncasecmp(content_type, wanted, length) == 0 &&
           strchr("; \t", content_type[length]) != NULL;
}

/* Compression was not asked for, and would be read as rubbish without a word. */
static bool is_compressed(const char *content_encoding)
{
    return content_encoding[0] != '\0' && strcasecmp(content_encoding, "identity") != 0;
}

static void on_head(void *ctx)
{
    struct httpstream *stream = ctx;
    const struct transport_head *head = &stream->transport.head;

    if (stream->over)
        return;
    stream->last_byte_ms = loop_now(stream->transport.loop);
    stream->refused = head->status != 200 || !is_event_stream(head->content_type) ||
                      is_compressed(head->content_encoding);
    /* The body of a 200 says nothing about why it is not a stream, and may have no end. */
    if (stream->refused)
        timer_set(&stream->deadline,
            loop_now(stream->transport.loop) + (head->status == 200 ? 0 : STREAM_REFUSAL_MS));
    else
        stream->handler.on_open(stream->handler.ctx);
}

/* Takes the beginning of a refused answer. What is returned ends the transfer once it is full. */
static size_t keep_body(struct httpstream *stream, const char *bytes, size_t length)
{
    size_t room = stream->body.limit - stream->body.length;

    (void)!buf_append(&stream->body, bytes, length < room ? length : room);
    return length < room ? length : 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct httpstream *stream = ctx;
    size_t length = size * count;

    if (stream->over)
        return 0;
    if (stream->refused)
        return keep_body(stream, bytes, length);
    if (stream->in_one_turn >= STREAM_TURN_BYTES && !stream->paused)
        timer_set(&stream->resume, loop_now(stream->transport.loop));
    if (stream->in_one_turn >= STREAM_TURN_BYTES || stream->paused) {
        stream->held_back = true;
        stream->behind = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    stream->last_byte_ms = loop_now(stream->transport.loop);
    stream->handler.on_bytes(stream->handler.ctx, bytes, length);
    stream->in_one_turn += length;
    stream->in_one_breath += length;
    if (stream->in_one_breath >= STREAM_BREATH_BYTES) {
        stream->in_one_breath = 0;
        loop_breathe(stream->transport.loop);
    }
    return length;
}

static void describe_end(const struct httpstream *stream, int curl_code, char *text, size_t size)
{
    const struct transport_head *head = &stream->transport.head;

    if (stream->transport.refused_redirect[0] != '\0')
        snprintf(text, size, "%s", stream->transport.refused_redirect);
    else if (stream->refused && head->status != 200)
        snprintf(text, size, "the server answered with status %d", head->status);
    else if (stream->refused && head->content_type[0] == '\0')
        snprintf(text, size, "the answer has no content type, expected text/event-stream");
    else if (stream->refused && is_event_stream(head->content_type))
        snprintf(text, size, "the answer has content encoding %s, which was not asked for",
            head->content_encoding);
    else if (stream->refused)
        snprintf(text, size, "the answer has content type %s, expected text/event-stream",
            head->content_type);
    else if (curl_code == CURLE_OK)
        snprintf(text, size, "the server ended the stream");
    else
        transport_reason(&stream->transport, curl_code, text, size);
}

static void end(struct httpstream *stream, int curl_code)
{
    const struct transport_head *head = &stream->transport.head;
    char reason[CURL_ERROR_SIZE + 128];
    const struct httpstream_end result = {
        .status = head->complete ? head->status : 0,
        .refused = stream->refused,
        .content_type = head->content_type,
        .retry_after = head->retry_after,
        .reason = reason,
        .body = stream->body.data != NULL ? stream->body.data : "",
    };

    describe_end(stream, curl_code, reason, sizeof reason);
    stream->over = true;
    stream->handler.on_end(stream->handler.ctx, &result);
}

static void on_finished(void *ctx, int curl_code)
{
    struct httpstream *stream = ctx;

    if (stream->over)
        return;
    timer_stop(&stream->deadline);
    timer_stop(&stream->resume);
    transport_stop(&stream->transport);
    if (transport_redirect(&stream->transport, true)) {
        stream->refused = false;
        buf_reset(&stream->body);
        return;
    }
    end(stream, curl_code);
}

static void on_deadline(void *ctx)
{
    on_finished(ctx, CURLE_OPERATION_TIMEDOUT);
}

static void on_resume(void *ctx)
{
    struct httpstream *stream = ctx;
    CURLcode code;

    if (stream->paused || !stream->held_back)
        return;
    stream->held_back = false;
    stream->behind_ms = loop_now(stream->transport.loop);
    stream->in_one_turn = 0;
    code = curl_easy_pause(stream->transport.easy, CURLPAUSE_CONT);
    if (code != CURLE_OK)
        on_finished(stream, (int)code);
}

static void dispose(void *object)
{
    struct httpstream *stream = object;

    transport_close(&stream->transport);
    buf_clear(&stream->body);
    free(stream);
}

static bool set_options(CURL *easy)
{
    return curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)STREAM_READ_BYTES) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)STREAM_KEEPALIVE_IDLE_S) ==
               CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)STREAM_KEEPALIVE_INTERVAL_S) ==
               CURLE_OK;
}

/* "token=<key>", escaped; NULL where there is no memory. The caller wipes it. */
static char *token_query(const char *api_key)
{
    static const char name[] = "token=";
    char *escaped = curl_easy_escape(NULL, api_key, 0), *query = NULL;

    if (escaped != NULL) {
        query = xmalloc(sizeof name + strlen(escaped));
        stpcpy(stpcpy(query, name), escaped);
        explicit_bzero(escaped, strlen(escaped));
    }
    curl_free(escaped);
    return query;
}

static bool prepare(struct httpstream *stream, const struct http_client *client,
    const char *last_event_id, struct error *error)
{
    struct transport *transport = &stream->transport;
    const struct transport_calls calls = {
        .ctx = stream, .on_head = on_head, .finished = on_finished, .write = on_body};
    char *query = token_query(client->api_key);
    bool ok;

    if (query == NULL)
        return error_set(error, ERROR_UPSTREAM, "libcurl: cannot prepare a request");
    ok = transport_open(transport, client, "/jobs/events", query, &calls, error);
    explicit_bzero(query, strlen(query));
    free(query);
    if (ok && !set_options(transport->easy))
        ok = error_set(error, ERROR_UPSTREAM, "libcurl: cannot prepare a request");
    return ok && transport_add_header(transport, "Accept", "text/event-stream", error) &&
           transport_add_header(transport, "Cache-Control", "no-cache", error) &&
           (last_event_id[0] == '\0' ||
               transport_add_header(transport, "Last-Event-ID", last_event_id, error));
}

struct httpstream *httpstream_open(struct http_client *client, const char *last_event_id,
    const struct httpstream_handler *handler, struct error *error)
{
    struct httpstream *stream = xcalloc(1, sizeof *stream);

    stream->handler = *handler;
    stream->last_byte_ms = loop_now(client->loop);
    buf_init(&stream->body, LIMIT_REFUSED_BODY);
    timer_init(&stream->resume, client->loop, on_resume, stream);
    timer_init(&stream->deadline, client->loop, on_deadline, stream);
    if (!prepare(stream, client, last_event_id, error)) {
        dispose(stream);
        return NULL;
    }
    transport_start(&stream->transport);
    return stream;
}

void httpstream_free(struct httpstream *stream)
{
    if (stream == NULL)
        return;
    stream->over = true;
    timer_stop(&stream->resume);
    timer_stop(&stream->deadline);
    timer_stop(&stream->transport.start);
    /* Not at once: this may be the stream's own callback. */
    loop_free_later(stream->transport.loop, dispose, stream);
}

void httpstream_pause(struct httpstream *stream)
{
    stream->paused = true;
}

void httpstream_resume(struct httpstream *stream)
{
    if (!stream->paused || stream->over)
        return;
    stream->paused = false;
    stream->last_byte_ms = loop_now(stream->transport.loop);
    timer_set(&stream->resume, loop_now(stream->transport.loop));
}

bool httpstream_is_paused(const struct httpstream *stream)
{
    return stream->paused;
}

static size_t unread_in_kernel(const struct httpstream *stream)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    int bytes = 0;

    if (curl_easy_getinfo(stream->transport.easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK ||
        fd == CURL_SOCKET_BAD || ioctl(fd, FIONREAD, &bytes) != 0 || bytes < 0)
        return 0;
    return (size_t)bytes;
}

bool httpstream_is_read(struct httpstream *stream)
{
    int64_t now = loop_now(stream->transport.loop);

    if (stream->held_back || unread_in_kernel(stream) > 0)
        return false;
    if (stream->behind && now - stream->last_byte_ms < STREAM_SILENCE_MS &&
        now - stream->behind_ms < STREAM_BEHIND_MOST_MS)
        return false;
    stream->behind = false;
    return true;
}

size_t httpstream_unread(const struct httpstream *stream)
{
    return unread_in_kernel(stream) + STREAM_READ_BYTES + STREAM_SERVER_BUFFER;
}

int64_t httpstream_last_byte_ms(const struct httpstream *stream)
{
    return stream->last_byte_ms;
}
