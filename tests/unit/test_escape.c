#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "escape.h"

static const struct {
    const char *text, *shown;
} cases[] = {
    {"", ""},
    {"plain \"q\" \\", "plain \"q\" \\"},
    {"a\nb\r\t\x1b[0m\x7f", "a\\u000ab\\u000d\\u0009\\u001b[0m\\u007f"},
    {"\xC2\x80\xC2\x9B\xC2\x9F\xC2\xA0", "\\u0080\\u009b\\u009f\xC2\xA0"},
    {"\xC2\xAD|\xD8\x9C", "\\u00ad|\\u061c"},
    {"\xE2\x80\x8A|\xE2\x80\x8B|\xE2\x80\x8F|\xE2\x80\x90",
        "\xE2\x80\x8A|\\u200b|\\u200f|\xE2\x80\x90"},
    {"\xE2\x80\xA7|\xE2\x80\xA8|\xE2\x80\xA9|\xE2\x80\xAA|\xE2\x80\xAE|\xE2\x80\xAF",
        "\xE2\x80\xA7|\\u2028|\\u2029|\\u202a|\\u202e|\xE2\x80\xAF"},
    {"\xE2\x81\xA0|\xE2\x81\xA6|\xE2\x81\xA9|\xE2\x81\xAF|\xE2\x81\xB0",
        "\\u2060|\\u2066|\\u2069|\\u206f|\xE2\x81\xB0"},
    {"\xE3\x85\xA4|\xEF\xBB\xBF|\xEF\xB8\x8F", "\\u3164|\\ufeff|\\ufe0f"},
    {"\xF3\xA0\x80\x81|\xF3\xA0\x84\x80", "\\U000e0001|\\U000e0100"},
    /* Letters of other scripts, and what lies beyond 16 bits. */
    {"\xC3\xA9 \xD7\x90 \xD8\xA7 \xE4\xB8\xAD \xF0\x9F\xA7\xAC",
        "\xC3\xA9 \xD7\x90 \xD8\xA7 \xE4\xB8\xAD \xF0\x9F\xA7\xAC"},
    /* No UTF-8: a byte alone, a cut sequence, a surrogate, an overlong NUL. */
    {"\xFF|\xC3", "\\xff|\\xc3"},
    {"\xED\xA0\x80|\xC0\x80", "\\xed\\xa0\\x80|\\xc0\\x80"},
};

static void test_escape_spells_what_could_deceive(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out;
        buf_init(&out, 1024);
        buf_append_text(&out, "");
        escape_append(&out, cases[i].text);
        assert_string_equal(out.data, cases[i].shown);
        buf_clear(&out);
    }
}

static void assert_json(const char *text, const char *shown)
{
    struct escaped out;
    assert_int_equal(escape_next(text, strlen(text), true, &out) > 0, 1);
    assert_int_equal(out.length, strlen(shown));
    assert_memory_equal(out.at, shown, out.length);
}

static void test_escape_for_json_makes_valid_strings(void **state)
{
    (void)state;
    assert_json("\"", "\\\"");
    assert_json("\\", "\\\\");
    assert_json("\n", "\\u000a");
    assert_json("\xE2\x80\xAE", "\\u202e");
    assert_json("\xF3\xA0\x80\x81", "\\udb40\\udc01");
    assert_json("\xFF", "\\\\xff");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escape_spells_what_could_deceive),
        cmocka_unit_test(test_escape_for_json_makes_valid_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
