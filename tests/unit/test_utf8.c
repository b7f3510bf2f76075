#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "utf8.h"

static bool is_valid(const char *text)
{
    return utf8_valid(text, strlen(text));
}

static void test_utf8_accepts_ascii_and_every_length_of_sequence(void **state)
{
    (void)state;
    assert_true(utf8_valid("", 0));
    assert_true(utf8_valid("a\0b", 3));
    assert_true(is_valid("plain text, longer than a machine word"));
    assert_true(is_valid("\xC2\x80 \xDF\xBF \xE0\xA0\x80 \xEF\xBF\xBF"));
    assert_true(is_valid("\xED\x9F\xBF \xEE\x80\x80 \xF0\x90\x80\x80 \xF4\x8F\xBF\xBF"));
}

static void test_utf8_refuses_what_is_not_well_formed(void **state)
{
    static const char *const bad[] = {
        "\x80",             /* continuation alone */
        "\xBF",             /* the same, the last one */
        "\xC0\x80",         /* overlong */
        "\xC1\xBF",         /* overlong */
        "\xE0\x9F\xBF",     /* overlong */
        "\xF0\x8F\xBF\xBF", /* overlong */
        "\xED\xA0\x80",     /* surrogate */
        "\xED\xBF\xBF",     /* surrogate */
        "\xF4\x90\x80\x80", /* above U+10FFFF */
        "\xF5\x80\x80\x80", /* no such lead */
        "\xFE",             /* never */
        "\xFF",             /* never */
        "\xC3",             /* cut */
        "\xE2\x82",         /* cut */
        "\xF0\x9F\x98",     /* cut */
        "\xC3(",            /* no continuation */
        "\xE2\x82(",        /* no continuation */
        "\xF0\x9F\x98(",    /* no continuation */
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(is_valid(bad[i]));
}

static void test_utf8_finds_a_bad_byte_at_every_place(void **state)
{
    char text[40];

    (void)state;
    for (size_t at = 0; at < sizeof text; at++) {
        memset(text, 'x', sizeof text);
        assert_true(utf8_valid(text, sizeof text));
        text[at] = '\xFF';
        assert_false(utf8_valid(text, sizeof text));
        assert_int_equal(utf8_valid_length(text, sizeof text), at);
    }
}

static size_t encode(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

static void test_utf8_decodes_every_code_point(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x120000; c++) {
        char bytes[4];
        size_t length = encode(c, bytes);
        bool scalar = c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
        uint32_t decoded = 0;

        if (utf8_decode(bytes, length, &decoded) != (scalar ? length : 0) ||
            decoded != (scalar ? c : 0) || utf8_decode(bytes, length - 1, &decoded) != 0)
            fail_msg("U+%04X", c);
    }
}

static void test_utf8_decode_leaves_what_follows_alone(void **state)
{
    uint32_t c;

    (void)state;
    assert_int_equal(utf8_decode("\xC3\xA9\xFF", 3, &c), 2);
    assert_int_equal(c, 0xE9);
    assert_int_equal(utf8_decode("", 0, &c), 0);
    assert_int_equal(utf8_decode("\0", 1, &c), 1);
    assert_int_equal(c, 0);
}

static void test_utf8_knows_controls_and_noncharacters(void **state)
{
    static const uint32_t yes[] = {
        0, 0x1F, 0x7F, 0x80, 0x9F, 0xFDD0, 0xFDEF, 0xFFFE, 0xFFFF, 0x1FFFE, 0x10FFFF};
    static const uint32_t no[] = {' ', '~', 0xA0, 0xFDCF, 0xFDF0, 0xFFFD, 0x10000, 0x10FFFD};

    (void)state;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(utf8_is_control_or_nonchar(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(utf8_is_control_or_nonchar(no[i]));
}

static void test_utf8_mark_tells_other_encodings(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        enum utf8_mark mark;
    } cases[] = {
        {"", 0, UTF8_MARK_NONE},
        {"a", 1, UTF8_MARK_NONE},
        {"\xef\xbb", 2, UTF8_MARK_NONE},
        {"\xef\xbb\xbf", 3, UTF8_MARK_OWN},
        {"\xef\xbb\xbfkey", 6, UTF8_MARK_OWN},
        {"\xff\xfe", 2, UTF8_MARK_UTF16},
        {"\xfe\xff\0k", 4, UTF8_MARK_UTF16},
        {"\xff\xfe\0\0k\0\0\0", 8, UTF8_MARK_UTF16},
        {"k\0e\0", 4, UTF8_MARK_UTF16},
        {"\0k\0e", 4, UTF8_MARK_UTF16},
        {"k\0e", 3, UTF8_MARK_NONE},
        {"ke\0\0", 4, UTF8_MARK_NONE},
        {"\0\0\0\0", 4, UTF8_MARK_NONE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(utf8_mark(cases[i].bytes, cases[i].length), cases[i].mark);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_accepts_ascii_and_every_length_of_sequence),
        cmocka_unit_test(test_utf8_refuses_what_is_not_well_formed),
        cmocka_unit_test(test_utf8_finds_a_bad_byte_at_every_place),
        cmocka_unit_test(test_utf8_decodes_every_code_point),
        cmocka_unit_test(test_utf8_decode_leaves_what_follows_alone),
        cmocka_unit_test(test_utf8_knows_controls_and_noncharacters),
        cmocka_unit_test(test_utf8_mark_tells_other_encodings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
