/* WebSocket as a filter over wslay's event interface. */
#include "websocket.h"

#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wslay/wslay.h>

#include "entropy.h"
#include "limit.h"
#include "mem.h"

enum {
    KEY_BYTES = 16,
    KEY_TEXT = 25, /* in Base64, with its NUL */
    ACCEPT_TEXT = 29,
};

struct websocket {
    char *authority, *path;
    char key[KEY_TEXT];
    bool open;
    struct buf head; /* of the server's answer */
    wslay_event_context_ptr wslay;
    /* For the time of one call. */
    const char *in;
    size_t in_left;
    struct buf *payload, *out;
    bool in_data; /* the frame under way is none of control */
    bool text;    /* a text frame has come: MQTT has none (MQTT 5, section 6) */
};

/* ---- wslay's callbacks */

static ssize_t on_receive(
    wslay_event_context_ptr wslay, uint8_t *bytes, size_t size, int flags, void *ctx)
{
    struct websocket *websocket = ctx;
    (void)flags;
    if (websocket->in_left == 0) {
        wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    size_t count = websocket->in_left < size ? websocket->in_left : size;
    memcpy(bytes, websocket->in, count);
    websocket->in += count;
    websocket->in_left -= count;
    return (ssize_t)count;
}

static ssize_t on_send(
    wslay_event_context_ptr wslay, const uint8_t *bytes, size_t length, int flags, void *ctx)
{
    struct websocket *websocket = ctx;
    (void)flags;
    if (buf_append(websocket->out, bytes, length))
        return (ssize_t)length;
    wslay_event_set_error(wslay, WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

/* A mask is to keep proxies from taking payload for HTTP, and no secret (RFC 6455, 10.3). */
static int on_mask(wslay_event_context_ptr wslay, uint8_t *bytes, size_t size, void *ctx)
{
    (void)wslay, (void)ctx;
    while (size > 0) {
        uint64_t random = entropy_u64();
        size_t count = size < sizeof random ? size : sizeof random;
        memcpy(bytes, &random, count);
        bytes += count;
        size -= count;
    }
    return 0;
}

static void on_frame(wslay_event_context_ptr wslay,
    const struct wslay_event_on_frame_recv_start_arg *frame, void *ctx)
{
    struct websocket *websocket = ctx;
    (void)wslay;
    websocket->in_data = !wslay_is_ctrl_frame(frame->opcode);
    websocket->text = websocket->text || frame->opcode == WSLAY_TEXT_FRAME;
}

static void on_chunk(wslay_event_context_ptr wslay,
    const struct wslay_event_on_frame_recv_chunk_arg *chunk, void *ctx)
{
    struct websocket *websocket = ctx;
    if (!websocket->in_data || websocket->text)
        return;
    if (!buf_append(websocket->payload, chunk->data, chunk->data_length))
        wslay_event_shutdown_read(wslay);
}

/* ---- Making */

static void make_key(char key[static KEY_TEXT])
{
    uint64_t random[KEY_BYTES / sizeof(uint64_t)];
    for (size_t i = 0; i < sizeof random / sizeof random[0]; i++)
        random[i] = entropy_u64();
    EVP_EncodeBlock((unsigned char *)key, (const unsigned char *)random, KEY_BYTES);
}

struct websocket *websocket_new(const char *authority, const char *path)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_receive,
        .send_callback = on_send,
        .genmask_callback = on_mask,
        .on_frame_recv_start_callback = on_frame,
        .on_frame_recv_chunk_callback = on_chunk,
    };
    struct websocket *websocket = xcalloc(1, sizeof *websocket);
    websocket->authority = xstrdup(authority);
    websocket->path = xstrdup(path);
    buf_init(&websocket->head, LIMIT_HEADERS);
    make_key(websocket->key);
    if (wslay_event_context_client_init(&websocket->wslay, &callbacks, websocket) != 0) {
        websocket_free(websocket);
        return NULL;
    }
    wslay_event_config_set_no_buffering(websocket->wslay, 1);
    wslay_event_config_set_max_recv_msg_length(websocket->wslay, LIMIT_WEBSOCKET_FRAME);
    return websocket;
}

void websocket_free(struct websocket *websocket)
{
    if (!websocket)
        return;
    if (websocket->wslay)
        wslay_event_context_free(websocket->wslay);
    buf_clear(&websocket->head);
    free(websocket->authority);
    free(websocket->path);
    free(websocket);
}

bool websocket_is_open(const struct websocket *websocket)
{
    return websocket->open;
}

/* ---- The handshake (RFC 6455, section 4.1) */

void websocket_begin(struct websocket *websocket, struct buf *out)
{
    buf_printf(out,
        "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Version: "
        "13\r\n\r\n",
        websocket->path, websocket->authority, websocket->key);
}

/* The value of a header of the answer; NULL where it is not there. */
static const char *find_header(const char *head, const char *name, size_t *length)
{
    size_t name_length = strlen(name);
    const char *end = head;
    while ((end = strstr(end, "\r\n")) != NULL) {
        const char *line = end + 2, *value = line + name_length;
        end = line;
        if (strncasecmp(line, name, name_length) != 0 || *value != ':')
            continue;
        value += 1 + strspn(value + 1, " \t");
        *length = strcspn(value, "\r\n");
        while (*length > 0 && (value[*length - 1] == ' ' || value[*length - 1] == '\t'))
            (*length)--;
        return value;
    }
    return NULL;
}

static bool has_header(const char *head, const char *name, const char *expected, bool any_case)
{
    size_t length;
    const char *value = find_header(head, name, &length);
    return value && length == strlen(expected) &&
           (any_case ? strncasecmp(value, expected, length) : strncmp(value, expected, length)) ==
               0;
}

/* One of the words of a list, as `Connection: keep-alive, Upgrade`. */
static bool lists_word(const char *head, const char *name, const char *word)
{
    size_t left = 0, word_length = strlen(word);
    const char *value = find_header(head, name, &left);
    while (value && left > 0) {
        size_t size = strcspn(value, " \t,\r\n");
        if (size == word_length && strncasecmp(value, word, size) == 0)
            return true;
        size = size > 0 ? size : 1;
        value += size;
        left -= size < left ? size : left;
    }
    return false;
}

static void expected_accept(const struct websocket *websocket, char accept[static ACCEPT_TEXT])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    char text[KEY_TEXT + 36];
    int length =
        snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", websocket->key);
    EVP_Digest(text, (size_t)length, digest, &size, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)accept, digest, (int)size);
}

static bool check_answer(const struct websocket *websocket, struct error *error)
{
    const char *head = websocket->head.data;
    char accept[ACCEPT_TEXT] = "";
    if (strncmp(head, "HTTP/1.", 7) != 0)
        return error_set(error, ERROR_BROKER, "this port speaks no HTTP, so no WebSocket");
    if (strncmp(head + 8, " 101", 4) != 0)
        return error_set(error, ERROR_BROKER, "the WebSocket handshake was refused: %.*s",
            (int)strcspn(head, "\r\n"), head);
    expected_accept(websocket, accept);
    if (!has_header(head, "Upgrade", "websocket", true) ||
        !lists_word(head, "Connection", "upgrade") ||
        !has_header(head, "Sec-WebSocket-Accept", accept, false))
        return error_set(error, ERROR_BROKER, "the answer to the WebSocket handshake is not valid");
    if (!has_header(head, "Sec-WebSocket-Protocol", "mqtt", false))
        return error_set(
            error, ERROR_BROKER, "the server speaks WebSocket, but not the mqtt subprotocol");
    return true;
}

/* Takes the bytes that belong to the answer's head; how many is returned in *used. */
static bool take_head(struct websocket *websocket, const char *bytes, size_t length, size_t *used,
    struct error *error)
{
    struct buf *head = &websocket->head;
    for (*used = 0; *used < length;) {
        if (!buf_append_char(head, bytes[(*used)++]))
            return error_set(error, ERROR_BROKER,
                "the answer to the WebSocket handshake has more than %d bytes", LIMIT_HEADERS);
        if (head->length < 4 || memcmp(head->data + head->length - 4, "\r\n\r\n", 4) != 0)
            continue;
        if (strlen(head->data) != head->length)
            return error_set(
                error, ERROR_BROKER, "the answer to the WebSocket handshake is not valid");
        websocket->open = check_answer(websocket, error);
        buf_clear(head);
        return websocket->open;
    }
    return true;
}

/* ---- Frames */

static bool describe_end(const struct websocket *websocket, struct error *error)
{
    unsigned sent = wslay_event_get_status_code_sent(websocket->wslay);
    unsigned received = wslay_event_get_status_code_received(websocket->wslay);
    if (websocket->payload->failed)
        return error_set(error, ERROR_BROKER, "the broker sends more than there is room for");
    if (wslay_event_get_close_received(websocket->wslay))
        return error_set(
            error, ERROR_BROKER, "the broker closed the WebSocket (code %u)", received);
    return error_set(error, ERROR_BROKER,
        "the broker broke the rules of WebSocket: closed with code %u%s", sent,
        websocket->text ? " (MQTT comes in binary frames)" : "");
}

bool websocket_receive(struct websocket *websocket, const char *bytes, size_t length,
    struct buf *payload, struct buf *out, struct error *error)
{
    size_t used = 0;
    if (!websocket->open && !take_head(websocket, bytes, length, &used, error))
        return false;
    websocket->in = bytes + used;
    websocket->in_left = length - used;
    websocket->payload = payload;
    websocket->out = out;
    bool failed = websocket->in_left > 0 && wslay_event_recv(websocket->wslay) != 0;
    if (websocket->text)
        wslay_event_queue_close(websocket->wslay, WSLAY_CODE_UNSUPPORTED_DATA, NULL, 0);
    failed = wslay_event_send(websocket->wslay) != 0 || failed;
    if (!failed && !websocket->text && !payload->failed &&
        wslay_event_get_read_enabled(websocket->wslay) &&
        !wslay_event_get_close_received(websocket->wslay))
        return true;
    return describe_end(websocket, error);
}

bool websocket_wrap(struct websocket *websocket, const char *bytes, size_t length, struct buf *out)
{
    const struct wslay_event_msg frame = {
        .opcode = WSLAY_BINARY_FRAME, .msg = (const uint8_t *)bytes, .msg_length = length};
    websocket->out = out;
    return wslay_event_queue_msg(websocket->wslay, &frame) == 0 &&
           wslay_event_send(websocket->wslay) == 0;
}
