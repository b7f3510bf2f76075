/* The client's side of a WebSocket, with the test as the server: bytes in, bytes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "websocket.h"
#include "within.h"

struct side {
    struct websocket *websocket;
    struct buf payload, out;
    struct error error;
    char request[512];
};

static void open_side(struct side *side)
{
    *side = (struct side){0};
    side->websocket = websocket_new("broker:80", "/mqtt?x=1");
    assert_non_null(side->websocket);
    buf_init(&side->payload, 1 << 20);
    buf_init(&side->out, 1 << 20);
    websocket_begin(side->websocket, &side->out);
    snprintf(side->request, sizeof side->request, "%s", side->out.data);
    buf_reset(&side->out);
}

static void close_side(struct side *side)
{
    websocket_free(side->websocket);
    buf_clear(&side->payload);
    buf_clear(&side->out);
}

/* In pieces of `step` bytes. */
static bool give(struct side *side, const char *bytes, size_t length, size_t step)
{
    for (size_t at = 0; at < length; at += step) {
        size_t count = length - at < step ? length - at : step;
        if (!websocket_receive(
                side->websocket, bytes + at, count, &side->payload, &side->out, &side->error))
            return false;
    }
    return true;
}

/* RFC 6455, 4.2.2 */
static void make_answer(const struct side *side, const char *protocol, char *out, size_t size)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length;
    char text[128], accept[64];
    const char *key = strstr(side->request, "Sec-WebSocket-Key: ");
    assert_non_null(key);
    key += strlen("Sec-WebSocket-Key: ");
    snprintf(text, sizeof text, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", (int)strcspn(key, "\r"),
        key);
    EVP_Digest(text, strlen(text), digest, &length, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)accept, digest, (int)length);
    snprintf(out, size,
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: keep-alive, "
        "Upgrade\r\n"
        "Sec-WebSocket-Accept: %s\r\n%s\r\n",
        accept, protocol);
}

static void shake_hands(struct side *side, size_t step)
{
    char answer[512];
    open_side(side);
    make_answer(side, "Sec-WebSocket-Protocol: mqtt\r\n", answer, sizeof answer);
    assert_true(give(side, answer, strlen(answer), step));
    assert_true(websocket_is_open(side->websocket));
}

static void test_websocket_asks_for_mqtt(void **state)
{
    struct side side;
    (void)state;
    open_side(&side);
    assert_memory_equal(side.request, "GET /mqtt?x=1 HTTP/1.1\r\nHost: broker:80\r\n", 41);
    assert_non_null(strstr(side.request, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"));
    assert_non_null(strstr(side.request, "\r\nSec-WebSocket-Protocol: mqtt\r\n"));
    assert_non_null(strstr(side.request, "\r\nSec-WebSocket-Version: 13\r\n\r\n"));
    assert_false(websocket_is_open(side.websocket));
    close_side(&side);
}

static void test_websocket_takes_its_answer_in_any_pieces(void **state)
{
    (void)state;
    for (size_t step = 1; step < 40; step += 7) {
        struct side side;
        shake_hands(&side, step);
        close_side(&side);
    }
}

static void test_websocket_refuses_other_answers(void **state)
{
    static const struct {
        const char *answer, *why;
    } cases[] = {
        {"HTTP/1.1 404 Not Found\r\n\r\n", "404 Not Found"},
        {"HTTP/1.1 200 OK\r\nUpgrade: websocket\r\n\r\n", "200 OK"},
        {"220 mail.example ESMTP\r\n\r\n", "speaks no HTTP"},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\nSec-WebSocket-Protocol: "
         "mqtt\r\n\r\n",
            "not valid"},
        {"HTTP/1.1 101 Switching Protocols\r\n\r\n", "not valid"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct side side;
        open_side(&side);
        assert_false(give(&side, cases[i].answer, strlen(cases[i].answer), 5));
        if (!strstr(side.error.text, cases[i].why))
            fail_msg("case %zu: %s", i, side.error.text);
        assert_false(websocket_is_open(side.websocket));
        close_side(&side);
    }
}

static void test_websocket_wants_the_subprotocol(void **state)
{
    static const char *const protocols[] = {"", "Sec-WebSocket-Protocol: mqttv3.1\r\n"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct side side;
        char answer[512];
        open_side(&side);
        make_answer(&side, protocols[i], answer, sizeof answer);
        assert_false(give(&side, answer, strlen(answer), 512));
        assert_non_null(strstr(side.error.text, "not the mqtt subprotocol"));
        close_side(&side);
    }
}

static void test_websocket_bounds_the_answer(void **state)
{
    struct side side;
    char line[1024];
    size_t rounds = 0;
    (void)state;
    open_side(&side);
    memset(line, 'x', sizeof line);
    while (rounds < 1000 && give(&side, line, sizeof line, sizeof line))
        rounds++;
    assert_within(rounds, 8, 128);
    close_side(&side);
}

/* Several packets in one frame, one in several, pings between: all the same bytes. */
static void test_websocket_takes_frames_of_any_kind(void **state)
{
    static const char frames[] = "\x82\x03"
                                 "abc"
                                 "\x02\x01"
                                 "d"
                                 "\x89\x02hi"
                                 "\x00\x00"
                                 "\x80\x02"
                                 "ef"
                                 "\x8a\x00"
                                 "\x82\x02"
                                 "gh";
    (void)state;
    for (size_t step = 1; step < sizeof frames; step += 3) {
        struct side side;
        shake_hands(&side, 512);
        assert_true(give(&side, frames, sizeof frames - 1, step));
        assert_int_equal(side.payload.length, 8);
        assert_memory_equal(side.payload.data, "abcdefgh", 8);
        /* One pong, masked, with what the ping had. */
        assert_int_equal(side.out.length, 2 + 4 + 2);
        assert_memory_equal(side.out.data, "\x8a\x82", 2);
        assert_int_equal(side.out.data[6] ^ side.out.data[2], 'h');
        assert_int_equal(side.out.data[7] ^ side.out.data[3], 'i');
        close_side(&side);
    }
}

/* wslay sends no code where not even the frame's header can be right: code 0. */
static void assert_ends(const char *frames, size_t length, unsigned code, const char *why)
{
    struct side side;
    shake_hands(&side, 512);
    assert_false(give(&side, frames, length, 512));
    if (!strstr(side.error.text, why))
        fail_msg("%s, expected %s", side.error.text, why);
    assert_int_equal(side.out.length, code > 0 ? 2 + 4 + 2 : 2 + 4);
    assert_int_equal((unsigned char)side.out.data[0], 0x88);
    if (code > 0) {
        unsigned high = (unsigned char)(side.out.data[6] ^ side.out.data[2]);
        unsigned low = (unsigned char)(side.out.data[7] ^ side.out.data[3]);
        assert_int_equal(high << 8 | low, code);
    }
    close_side(&side);
}

/* RFC 6455, 7.4.1 */
static void test_websocket_ends_what_breaks_the_rules(void **state)
{
    (void)state;
    assert_ends("\x81\x01x", 3, 1003, "binary");
    assert_ends("\x83\x00", 2, 1002, "rules");
    assert_ends("\xf2\x01x", 3, 1002, "rules");
    assert_ends("\x80\x01x", 3, 1002, "rules");
    assert_ends("\x09\x00", 2, 0, "rules");
    assert_ends("\x88\x01x", 3, 0, "closed");
    assert_ends("\x88\x02\x03\xe8", 4, 1000, "closed the WebSocket (code 1000)");
}

/* Nothing is allocated for a length that is only announced. */
static void test_websocket_believes_no_length(void **state)
{
    (void)state;
    assert_ends("\x82\x7f\x00\x00\x01\x00\x00\x00\x00\x00x", 11, 1009, "1009");
    assert_ends("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xffx", 11, 0, "rules");
}

static void test_websocket_masks_what_it_sends(void **state)
{
    static const size_t lengths[] = {1, 125, 126, 65535, 65536, 200000};
    static char bytes[200000];
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)i;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct side side;
        size_t length = lengths[i], head = length > 65535 ? 10 : length > 125 ? 4 : 2;
        shake_hands(&side, 512);
        assert_true(websocket_wrap(side.websocket, bytes, length, &side.out));
        assert_int_equal(side.out.length, head + 4 + length);
        assert_int_equal((unsigned char)side.out.data[0], 0x82);
        assert_int_equal((unsigned char)side.out.data[1], 0x80 | (length > 65535    ? 127
                                                                     : length > 125 ? 126
                                                                                    : length));
        for (size_t j = 0; j < length; j++)
            assert_int_equal(side.out.data[head + 4 + j] ^ side.out.data[head + j % 4], bytes[j]);
        close_side(&side);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_websocket_asks_for_mqtt),
        cmocka_unit_test(test_websocket_takes_its_answer_in_any_pieces),
        cmocka_unit_test(test_websocket_refuses_other_answers),
        cmocka_unit_test(test_websocket_wants_the_subprotocol),
        cmocka_unit_test(test_websocket_bounds_the_answer),
        cmocka_unit_test(test_websocket_takes_frames_of_any_kind),
        cmocka_unit_test(test_websocket_ends_what_breaks_the_rules),
        cmocka_unit_test(test_websocket_believes_no_length),
        cmocka_unit_test(test_websocket_masks_what_it_sends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
