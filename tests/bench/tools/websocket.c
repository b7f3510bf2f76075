/* The server's side of a WebSocket. */
#include "websocket.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "rig.h"

enum { REQUEST = 8192, FRAMES = 1 << 28 };
enum opcode { CONTINUATION = 0, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

struct websocket {
    bool upgraded;
    struct buf request;
    uint8_t header[14];
    size_t header_length; /* of what has come of it */
    uint64_t left;        /* of the frame's payload */
    uint64_t position;
    struct buf pong;
    struct buf out;
};

struct websocket *websocket_new(void)
{
    struct websocket *socket = xcalloc(1, sizeof *socket);

    buf_init(&socket->request, REQUEST);
    buf_init(&socket->pong, REQUEST);
    buf_init(&socket->out, FRAMES);
    return socket;
}

void websocket_free(struct websocket *socket)
{
    if (socket == NULL)
        return;
    buf_clear(&socket->request);
    buf_clear(&socket->pong);
    buf_clear(&socket->out);
    free(socket);
}

static void answer(struct websocket *socket)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    static const char name[] = "Sec-WebSocket-Key:";
    const char *key = strcasestr(socket->request.data, name);
    char text[128], accept[64];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_length;
    size_t length;

    if (key == NULL)
        rig_die("an HTTP request without a WebSocket key");
    key += sizeof name - 1 + strspn(key + sizeof name - 1, " ");
    length = strcspn(key, " \r");
    if (length + sizeof guid > sizeof text)
        rig_die("a WebSocket key of %zu bytes", length);
    memcpy(text, key, length);
    memcpy(text + length, guid, sizeof guid);
    EVP_Digest(text, strlen(text), digest, &digest_length, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)accept, digest, (int)digest_length);
    buf_printf(&socket->out,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Accept: %s\r\n\r\n",
        accept);
    socket->upgraded = true;
}

/* Nobody sends frames before the answer, so that the request is all that comes. */
static void take_request(struct websocket *socket, const uint8_t *bytes, size_t length)
{
    if (!buf_append(&socket->request, bytes, length))
        rig_die("an HTTP request of more than %d bytes", REQUEST);
    if (strstr(socket->request.data, "\r\n\r\n") != NULL)
        answer(socket);
}

/* How long the header is, as far as it can be told. Clients mask. RFC 6455, 5.2 */
static size_t header_size(const struct websocket *socket)
{
    unsigned length = socket->header_length < 2 ? 0 : socket->header[1] & 0x7F;

    if (socket->header_length < 2)
        return 2;
    return 2 + 4 + (length == 127 ? 8u : length == 126 ? 2u : 0u);
}

static void begin_frame(struct websocket *socket)
{
    unsigned length = socket->header[1] & 0x7F, extended = length == 127   ? 8
                                                           : length == 126 ? 2
                                                                           : 0;

    socket->left = extended > 0 ? 0 : length;
    for (unsigned i = 0; i < extended; i++)
        socket->left = socket->left << 8 | socket->header[2 + i];
    socket->position = 0;
}

static void put_header(struct buf *out, enum opcode opcode, size_t length)
{
    uint8_t header[10] = {(uint8_t)(0x80 | opcode)};
    size_t extended = length > UINT16_MAX ? 8 : length > 125 ? 2 : 0;

    header[1] = (uint8_t)(extended == 8 ? 127 : extended == 2 ? 126 : length);
    for (size_t i = 0; i < extended; i++)
        header[2 + i] = (uint8_t)(length >> 8 * (extended - 1 - i));
    buf_append(out, header, 2 + extended);
}

static enum opcode opcode_of(const struct websocket *socket)
{
    return socket->header[0] & 0x0F;
}

static void end_frame(struct websocket *socket)
{
    socket->header_length = 0;
    if (opcode_of(socket) == PING) {
        put_header(&socket->out, PONG, socket->pong.length);
        buf_append(&socket->out, socket->pong.data, socket->pong.length);
        buf_reset(&socket->pong);
    }
}

/* Unmasks up to `length` bytes of the frame's payload in place; returns how many were its. */
static size_t take_payload(struct websocket *socket, uint8_t *bytes, size_t length)
{
    const uint8_t *mask = socket->header + header_size(socket) - 4;
    size_t count = length < socket->left ? length : (size_t)socket->left;

    for (size_t i = 0; i < count; i++)
        bytes[i] ^= mask[socket->position++ & 3];
    socket->left -= count;
    return count;
}

ssize_t websocket_unframe(struct websocket *socket, uint8_t *bytes, size_t length)
{
    size_t at = 0, kept = 0;

    if (!socket->upgraded) {
        take_request(socket, bytes, length);
        return 0;
    }
    while (at < length) {
        size_t count;

        if (socket->header_length < header_size(socket)) {
            socket->header[socket->header_length++] = bytes[at++];
            if (socket->header_length < header_size(socket))
                continue;
            begin_frame(socket);
        }
        count = take_payload(socket, bytes + at, length - at);
        if (opcode_of(socket) == CLOSE)
            return -1;
        if (opcode_of(socket) == PING)
            buf_append(&socket->pong, bytes + at, count);
        else if (opcode_of(socket) != PONG)
            memmove(bytes + kept, bytes + at, count);
        kept += opcode_of(socket) == BINARY || opcode_of(socket) == CONTINUATION ? count : 0;
        at += count;
        if (socket->left == 0)
            end_frame(socket);
    }
    return (ssize_t)kept;
}

struct buf *websocket_frame(struct websocket *socket, const struct buf *payload)
{
    if (payload->length > 0) {
        put_header(&socket->out, BINARY, payload->length);
        buf_append(&socket->out, payload->data, payload->length);
    }
    return &socket->out;
}
