/* What a WebSocket server may send, behind its handshake and as the answer to it, cut in two ways:
 * the same payload comes out and the same frames go back but for their masks, unless it ends. wslay
 * looks at the reason in a Close frame as far as it has come, so that the end may come earlier or
 * later, and answers no ping where it is to end at once. The first byte says how it is cut, and
 * whether the handshake is over.
 */
#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { MOST = 1 << 20 };

struct heard {
    struct buf payload, out;
    bool ended;
};

/* RFC 6455, 4.2.2 */
static void agree(struct websocket *websocket)
{
    struct buf request, nothing;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_length;
    char text[128], accept[64], answer[256];
    struct error error;
    buf_init(&request, MOST);
    buf_init(&nothing, MOST);
    websocket_begin(websocket, &request);
    const char *key = strstr(request.data, "Sec-WebSocket-Key: ") + strlen("Sec-WebSocket-Key: ");
    snprintf(text, sizeof text, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", (int)strcspn(key, "\r"),
        key);
    EVP_Digest(text, strlen(text), digest, &digest_length, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)accept, digest, (int)digest_length);
    int length = snprintf(answer, sizeof answer,
        "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
        accept);
    if (!websocket_receive(websocket, answer, (size_t)length, &nothing, &nothing, &error))
        abort();
    buf_clear(&request);
    buf_clear(&nothing);
}

static void hear(struct heard *heard, const uint8_t *bytes, size_t length, size_t step, bool agreed)
{
    struct websocket *websocket = websocket_new("h", "/");
    struct error error;
    *heard = (struct heard){.ended = false};
    buf_init(&heard->payload, MOST);
    buf_init(&heard->out, MOST);
    if (agreed)
        agree(websocket);
    for (size_t at = 0; at < length && !heard->ended; at += step) {
        size_t count = length - at < step ? length - at : step;
        heard->ended = !websocket_receive(
            websocket, (const char *)bytes + at, count, &heard->payload, &heard->out, &error);
    }
    if (websocket_is_open(websocket) && !agreed)
        abort(); /* nobody guesses the key */
    websocket_free(websocket);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct heard whole, pieces;
    if (length < 2)
        return 0;
    bool agreed = (bytes[0] & 1) != 0;
    hear(&whole, bytes + 1, length - 1, length, agreed);
    hear(&pieces, bytes + 1, length - 1, 1 + (bytes[0] >> 1) % 16, agreed);
    bool goes_on = !whole.ended && !pieces.ended;
    if ((goes_on && whole.out.length != pieces.out.length) ||
        (goes_on && whole.payload.length != pieces.payload.length) ||
        (goes_on && whole.payload.length > 0 &&
            memcmp(whole.payload.data, pieces.payload.data, whole.payload.length) != 0) ||
        pieces.payload.length > length || whole.payload.length > length)
        abort();
    buf_clear(&whole.payload);
    buf_clear(&whole.out);
    buf_clear(&pieces.payload);
    buf_clear(&pieces.out);
    return 0;
}
