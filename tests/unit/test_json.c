#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"
#include "limit.h"
#include "secret.h"

static enum json_result read_text(struct json_object *object, const char *text)
{
    return json_object_read(object, text, strlen(text));
}

static void assert_slice(struct json_slice slice, const char *text)
{
    assert_int_equal(slice.length, strlen(text));
    assert_memory_equal(slice.at, text, slice.length);
}

static void test_json_keeps_values_byte_for_byte(void **state)
{
    (void)state;
    struct json_object object = {0};
    assert_int_equal(
        read_text(&object, " { \"big\":12345678901234567890 ,\"dec\" : 1.10,"
                           "\"n\":{\"a\" : [ 1 , -0.0e+5 ] },\"s\":\"\\u00e9\\n\"} \n"),
        JSON_OK);
    assert_int_equal(object.count, 4);
    assert_slice(json_find(&object, "big")->value, "12345678901234567890");
    assert_slice(json_find(&object, "dec")->value, "1.10");
    assert_slice(json_find(&object, "n")->value, "{\"a\" : [ 1 , -0.0e+5 ] }");
    assert_slice(json_find(&object, "s")->value, "\"\\u00e9\\n\"");
    assert_null(json_find(&object, "Big"));
    json_object_clear(&object);
}

static void test_json_refuses_what_is_not_strictly_json(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum json_result result;
    } cases[] = {
        {"", JSON_SYNTAX},
        {"  ", JSON_SYNTAX},
        {"{", JSON_SYNTAX},
        {"{\"a\":1", JSON_SYNTAX},
        {"{\"a\":1}x", JSON_SYNTAX},
        {"{\"a\":1,}", JSON_SYNTAX},
        {"{,}", JSON_SYNTAX},
        {"{\"a\" 1}", JSON_SYNTAX},
        {"{a:1}", JSON_SYNTAX},
        {"{'a':1}", JSON_SYNTAX},
        {"{\"a\":01}", JSON_SYNTAX},
        {"{\"a\":1.}", JSON_SYNTAX},
        {"{\"a\":.5}", JSON_SYNTAX},
        {"{\"a\":+1}", JSON_SYNTAX},
        {"{\"a\":1e}", JSON_SYNTAX},
        {"{\"a\":-}", JSON_SYNTAX},
        {"{\"a\":NaN}", JSON_SYNTAX},
        {"{\"a\":Infinity}", JSON_SYNTAX},
        {"{\"a\":tru}", JSON_SYNTAX},
        {"{\"a\":\"\t\"}", JSON_SYNTAX},
        {"{\"a\":\"\\x\"}", JSON_SYNTAX},
        {"{\"a\":\"\\u12g4\"}", JSON_SYNTAX},
        {"{\"a\":\"\\", JSON_SYNTAX},
        {"{\"a\":\"\\u12", JSON_SYNTAX},
        {"{\"a\":[1 2]}", JSON_SYNTAX},
        {"{\"a\":[1}]", JSON_SYNTAX},
        {"{\"a\":[1]]}", JSON_SYNTAX},
        {"{\"a\":/* no */1}", JSON_SYNTAX},
        {"\xef\xbb\xbf{}", JSON_SYNTAX},
        {"[]", JSON_WRONG_TYPE},
        {"null", JSON_WRONG_TYPE},
        {"\"x\"", JSON_WRONG_TYPE},
        {"42", JSON_WRONG_TYPE},
        {"{\"a\":\"\xff\"}", JSON_NOT_UTF8},
        {"{\"a\":\"\\u0000\"}", JSON_OK},
        {"{\"a\\u0000\":1}", JSON_OK},
        {"{\"a\":{\"b\":\"x\\u0000\"}}", JSON_OK},
        {"{\"a\":\"\\ud83d\"}", JSON_OK},
        {"{\"a\":\"\\ud83d\\u0041\"}", JSON_OK},
        {"{\"a\":\"\\ude00\"}", JSON_OK},
        {"{\"a\":\"\\ud83d\\ud83d\\ude00\"}", JSON_OK},
        {"{\"a\":\"\\ud83d\\ude00\"}", JSON_OK},
        {"{}", JSON_OK},
        {"{\"a\":[]}", JSON_OK},
        {"{\"a\":{}}", JSON_OK},
        {"{\"a\":[{},[],[{}]]}", JSON_OK},
        {"{\"a\":-1.5E-7,\"b\":[true,false,null]}", JSON_OK},
    };
    struct json_object object = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (read_text(&object, cases[i].text) != cases[i].result)
            fail_msg("%s", cases[i].text);
    json_object_clear(&object);
}

static void test_json_refuses_a_nul_byte(void **state)
{
    (void)state;
    struct json_object object = {0};
    assert_int_equal(json_object_read(&object, "{\"a\":\"x\0y\"}", 11), JSON_SYNTAX);
    assert_int_equal(json_object_read(&object, "{}\0", 3), JSON_SYNTAX);
    json_object_clear(&object);
}

static void test_json_tells_the_first_problem(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum json_result result;
        size_t at;
        const char *reason;
    } cases[] = {
        {"", JSON_SYNTAX, 0, "expected a value"},
        {" \n", JSON_SYNTAX, 2, "expected a value"},
        {"<html>", JSON_SYNTAX, 0, "expected a value"},
        {"{\"a\":}", JSON_SYNTAX, 5, "expected a value"},
        {"{\"a\":]", JSON_SYNTAX, 5, "expected a value"},
        {"[,1]", JSON_SYNTAX, 1, "expected a value"},
        {"[1,,2]", JSON_SYNTAX, 3, "expected a value"},
        {"[1,", JSON_SYNTAX, 3, "expected a value"},
        {"[1,}", JSON_SYNTAX, 3, "expected a value"},
        {"]", JSON_SYNTAX, 0, "expected a value"},
        {"[tru]", JSON_SYNTAX, 1, "expected a value"},
        {"[+1]", JSON_SYNTAX, 1, "expected a value"},
        {"[1, ]", JSON_SYNTAX, 4, "the comma before this is one too many"},
        {"{\"a\":[1,2,]}", JSON_SYNTAX, 10, "the comma before this is one too many"},
        {"{\"a\":{\"b\":1,\n}}", JSON_SYNTAX, 13, "the comma before this is one too many"},
        {"{\"a\":1,}", JSON_SYNTAX, 7, "the comma before this is one too many"},
        {"{", JSON_SYNTAX, 1, "expected a member's name in double quotes"},
        {"{]", JSON_SYNTAX, 1, "expected a member's name in double quotes"},
        {"{a:1}", JSON_SYNTAX, 1, "expected a member's name in double quotes"},
        {"[{\"a\":1, 2}]", JSON_SYNTAX, 9, "expected a member's name in double quotes"},
        {"{\"a\" 1}", JSON_SYNTAX, 5, "expected a colon"},
        {"{\"a\"", JSON_SYNTAX, 4, "expected a colon"},
        {"[{\"a\";1}]", JSON_SYNTAX, 5, "expected a colon"},
        {"{\"a\":1", JSON_SYNTAX, 6, "expected a comma or a closing brace"},
        {"{\"a\":1 \"b\":2}", JSON_SYNTAX, 7, "expected a comma or a closing brace"},
        {"{\"a\":{\"b\":1]}", JSON_SYNTAX, 11, "expected a comma or a closing brace"},
        {"[1 2]", JSON_SYNTAX, 3, "expected a comma or a closing bracket"},
        {"[[1", JSON_SYNTAX, 3, "expected a comma or a closing bracket"},
        {"[1}", JSON_SYNTAX, 2, "expected a comma or a closing bracket"},
        {"{} {}", JSON_SYNTAX, 3, "expected nothing more here"},
        {"[1]]", JSON_SYNTAX, 3, "expected nothing more here"},
        {"[01]", JSON_SYNTAX, 2, "a number must not begin with 0"},
        {"[-01]", JSON_SYNTAX, 3, "a number must not begin with 0"},
        {"[1.]", JSON_SYNTAX, 3, "expected a digit"},
        {"[1e+]", JSON_SYNTAX, 4, "expected a digit"},
        {"[-]", JSON_SYNTAX, 2, "expected a digit"},
        {"-", JSON_SYNTAX, 1, "expected a digit"},
        {"[\"a]", JSON_SYNTAX, 1, "this string has no end on its line"},
        {"[\"a\n\"]", JSON_SYNTAX, 1, "this string has no end on its line"},
        {"{\"a:1}", JSON_SYNTAX, 1, "this string has no end on its line"},
        {"[\"a\tb\"]", JSON_SYNTAX, 3, "a control character in a string must be escaped"},
        {"[\"a\\x\"]", JSON_SYNTAX, 3, "this is not an escape sequence of JSON"},
        {"[\"a\\", JSON_SYNTAX, 3, "this is not an escape sequence of JSON"},
        {"[\"\\u12\"]", JSON_SYNTAX, 2, "expected four hexadecimal digits after \\u"},
        {"[\"\\u12", JSON_SYNTAX, 2, "expected four hexadecimal digits after \\u"},
        {"[\"\\ud83d\\u12\"]", JSON_SYNTAX, 8, "expected four hexadecimal digits after \\u"},
        {"[\"a\\u0000\"", JSON_NUL, 3, "\\u0000 is not allowed"},
        {"[\"a\\ude00\"]", JSON_SURROGATE, 3, "this is half of a surrogate pair"},
        {"[\"a\\ud83d\\ud83d\"]", JSON_SURROGATE, 3, "this is half of a surrogate pair"},
        {"[ \"\xff\"", JSON_NOT_UTF8, 3, "this is not valid UTF-8"},
        {"[\"0123456789\xc3\xa4\xc3\"]", JSON_NOT_UTF8, 14, "this is not valid UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_problem problem;
        enum json_result result = json_check(cases[i].text, strlen(cases[i].text), &problem);
        assert_non_null(problem.reason);
        if (result != cases[i].result || problem.at != cases[i].at ||
            strcmp(problem.reason, cases[i].reason) != 0)
            fail_msg("%s: %d at %zu: %s", cases[i].text, (int)result, problem.at, problem.reason);
    }
}

static void test_json_checks_any_value(void **state)
{
    (void)state;
    static const char *const texts[] = {"1", " null ", "\"\"", "[]", "{}", "-0", "1.5E+3", "true\n",
        "{\"a\":[{\"b\":{}},[[]],\"\\ud83d\\ude00\"]}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct json_problem problem;
        if (json_check(texts[i], strlen(texts[i]), &problem) != JSON_OK || problem.reason)
            fail_msg("%s: %s", texts[i], problem.reason);
    }
}

static void test_json_describes_a_problem(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *described;
    } cases[] = {
        {"{\"job_id\":\"a\",\"b\" 1}", "not valid JSON at byte 18: expected a colon"},
        {"{\"a\":1,}", "not valid JSON at byte 7: the comma before this is one too many"},
        {"{} x", "not valid JSON at byte 3: expected nothing more here"},
        {" [1]", "not of the expected JSON type at byte 1: expected an object"},
        {"{\"a\":\"\xff\"}", "not valid UTF-8 at byte 6"},
    };
    struct json_object object = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char described[JSON_DESCRIBED];
        enum json_result result = read_text(&object, cases[i].text);
        json_describe(described, sizeof described, result, &object.problem);
        assert_string_equal(described, cases[i].described);
    }
    assert_int_equal(read_text(&object, "{}"), JSON_OK);
    assert_null(object.problem.reason);
    json_object_clear(&object);
}

/* Every prefix of a good text is refused, and none is read beyond its end (the sanitizer watches).
 */
static void test_json_refuses_every_prefix(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":[1,2.5e3,\"\\ud83d\\ude00\\n\",{\"b\":null}],\"c\":\"d\"}";
    struct json_object object = {0};
    for (size_t length = 0; length < sizeof text - 1; length++) {
        char *copy = malloc(length + 1);
        assert_non_null(copy);
        memcpy(copy, text, length);
        assert_int_not_equal(json_object_read(&object, copy, length), JSON_OK);
        free(copy);
    }
    assert_int_equal(read_text(&object, text), JSON_OK);
    json_object_clear(&object);
}

static char *nested(size_t depth)
{
    char *text = malloc(6 + 2 * depth);
    assert_non_null(text);
    memcpy(text, "{\"a\":", 5);
    memset(text + 5, '[', depth);
    memset(text + 5 + depth, ']', depth);
    text[5 + 2 * depth] = '}';
    return text;
}

static void test_json_limits_depth(void **state)
{
    (void)state;
    struct json_object object = {0};
    char *text = nested(LIMIT_JSON_DEPTH);
    assert_int_equal(json_object_read(&object, text, 6 + 2 * LIMIT_JSON_DEPTH), JSON_OK);
    free(text);
    text = nested(LIMIT_JSON_DEPTH + 1);
    assert_int_equal(json_object_read(&object, text, 8 + 2 * LIMIT_JSON_DEPTH), JSON_TOO_DEEP);
    assert_int_equal(object.problem.at, 5 + LIMIT_JSON_DEPTH);
    assert_string_equal(object.problem.reason, "nested too deeply");
    free(text);
    text = nested(500000);
    assert_int_equal(json_object_read(&object, text, 1000006), JSON_TOO_DEEP);
    free(text);
    json_object_clear(&object);
}

static void test_json_limits_members(void **state)
{
    (void)state;
    struct buf text;
    struct json_object object = {0};
    buf_init(&text, 4 * LIMIT_EVENT);
    buf_append_text(&text, "{\"m\":0");
    for (int i = 1; i < LIMIT_JSON_MEMBERS; i++)
        buf_printf(&text, ",\"m%d\":%d", i, i);
    size_t full = text.length;
    buf_append_char(&text, '}');
    assert_int_equal(json_object_read(&object, text.data, text.length), JSON_OK);
    assert_int_equal(object.count, LIMIT_JSON_MEMBERS);
    text.length = full;
    buf_append_text(&text, ",\"one more\":1}");
    assert_int_equal(json_object_read(&object, text.data, text.length), JSON_TOO_MANY);
    assert_int_equal(object.problem.at, full + 1);
    buf_clear(&text);
    json_object_clear(&object);
}

static void test_json_keeps_the_last_of_equal_names_at_the_first_place(void **state)
{
    (void)state;
    struct json_object object = {0};
    assert_int_equal(read_text(&object, "{\"a\":1,\"b\":2,\"\\u0061\":3,\"A\":4}"), JSON_OK);
    assert_int_equal(object.count, 3);
    assert_slice(object.members[0].value, "3");
    assert_true(object.members[0].repeated);
    assert_false(object.members[1].repeated || object.members[2].repeated);
    json_object_clear(&object);
}

/* Names of one to four characters in no order, each twice, some with an escape the second time. */
static void append_many_members(struct buf *text, int round)
{
    for (int i = 0; i < 5000; i++) {
        unsigned number = (unsigned)i * 7919 % 5000;
        bool escape = round == 1 && i % 3 == 0;
        buf_printf(text, "%s\"%s%u\":%d", round + i > 0 ? "," : "", escape ? "\\u006e" : "n",
            number, round * 5000 + i);
    }
}

static void test_json_keeps_the_last_of_equal_names_among_many(void **state)
{
    (void)state;
    struct buf text;
    struct json_object object = {0};
    char name[16], value[16];
    buf_init(&text, LIMIT_EVENT);
    buf_append_char(&text, '{');
    append_many_members(&text, 0);
    append_many_members(&text, 1);
    buf_append_text(&text, ",\"N7\":\"other\",\"\":\"empty\"}");
    assert_int_equal(json_object_read(&object, text.data, text.length), JSON_OK);
    assert_int_equal(object.count, 5002);
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "n%u", (unsigned)i * 7919 % 5000);
        snprintf(value, sizeof value, "%d", 5000 + i);
        assert_true(json_name_is(&object.members[i], name) && object.members[i].repeated);
        assert_ptr_equal(json_find(&object, name), &object.members[i]);
        assert_slice(object.members[i].value, value);
    }
    assert_slice(json_find(&object, "N7")->value, "\"other\"");
    assert_slice(json_find(&object, "")->value, "\"empty\"");
    assert_null(json_find(&object, "n5000"));
    assert_null(json_find(&object, "n"));
    buf_clear(&text);
    json_object_clear(&object);
}

static void test_json_finds_a_name_that_is_escaped(void **state)
{
    (void)state;
    struct json_object object = {0};
    assert_int_equal(read_text(&object, "{\"job\\u005fid\":\"x\"}"), JSON_OK);
    assert_non_null(json_find(&object, "job_id"));
    assert_int_equal(
        read_text(&object, "{\"\\ud83d\\ude00\\t\\\\\":1,\"\xf0\x9f\x98\x80\\u0009\\u005C\":2}"),
        JSON_OK);
    assert_int_equal(object.count, 1);
    assert_int_equal(
        read_text(&object, "{\"a\\u0000\":1,\"a\":2,\"\\ud83d\":3,\"\\ud83d\\u0041\":4}"), JSON_OK);
    assert_int_equal(object.count, 4);
    json_object_clear(&object);
}

static size_t count_elements(struct json_array *array, const char *text, enum json_result *result)
{
    struct json_slice element;
    size_t count = 0;
    *result = json_array_begin(array, text, strlen(text));
    while (*result == JSON_OK && (*result = json_array_next(array, &element)) == JSON_OK)
        count++;
    return count;
}

static void test_json_array_gives_each_element_and_tells_a_whole_from_a_broken_one(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t count;
        enum json_result result;
    } cases[] = {
        {"[]", 0, JSON_END},
        {" [ ] ", 0, JSON_END},
        {"[1, {\"a\":[2]} ,\"x\"]", 3, JSON_END},
        {"[1,2", 2, JSON_SYNTAX},
        {"[1,2,", 2, JSON_SYNTAX},
        {"[1,2,]", 2, JSON_SYNTAX},
        {"[,1]", 0, JSON_SYNTAX},
        {"[1 2]", 1, JSON_SYNTAX},
        {"[1]x", 1, JSON_SYNTAX},
        {"{\"jobs\":[]}", 0, JSON_WRONG_TYPE},
        {"", 0, JSON_SYNTAX},
        {"<html>", 0, JSON_SYNTAX},
        {"[{\"a\":\"\\u0000\"},{}]", 2, JSON_END},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_array array;
        enum json_result result;
        size_t count = count_elements(&array, cases[i].text, &result);
        if (count != cases[i].count || result != cases[i].result)
            fail_msg("%s: %zu elements, result %d", cases[i].text, count, (int)result);
    }
}

static void test_json_array_tells_where_it_breaks(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *described;
    } cases[] = {
        {"", "not valid JSON at byte 0: expected a value"},
        {" [", "not valid JSON at byte 2: expected a value"},
        {"[1,2", "not valid JSON at byte 4: expected a comma or a closing bracket"},
        {"[1,2 3]", "not valid JSON at byte 5: expected a comma or a closing bracket"},
        {"[{},\n]", "not valid JSON at byte 5: the comma before this is one too many"},
        {"[{},{\"a\"}]", "not valid JSON at byte 8: expected a colon"},
        {"[{}] ]", "not valid JSON at byte 5: expected nothing more here"},
        {" {\"jobs\":[]}", "not of the expected JSON type at byte 1: expected an array"},
        {"{\"jobs\":[}", "not valid JSON at byte 9: expected a value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_array array;
        enum json_result result;
        char described[JSON_DESCRIBED];
        count_elements(&array, cases[i].text, &result);
        json_describe(described, sizeof described, result, &array.problem);
        assert_string_equal(described, cases[i].described);
    }
}

static void test_json_decodes_strings(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 64);
    assert_true(json_decode_string((struct json_slice){"\"plain\"", 7}, &out));
    assert_string_equal(out.data, "plain");
    buf_reset(&out);
    assert_true(json_decode_string((struct json_slice){"\"\\ud83d\\ude00\\\"\\/\"", 18}, &out));
    assert_string_equal(out.data, "\xf0\x9f\x98\x80\"/");
    assert_false(json_decode_string((struct json_slice){"12", 2}, &out));
    assert_false(json_decode_string((struct json_slice){"\"a\\u0000b\"", 10}, &out));
    assert_string_equal(out.data, "\xf0\x9f\x98\x80\"/");
    buf_reset(&out);
    assert_true(json_decode_string((struct json_slice){"\"\\ude00x\\ud83d\"", 15}, &out));
    assert_string_equal(out.data, "\xef\xbf\xbdx\xef\xbf\xbd");
    buf_reset(&out);
    assert_true(json_decode_string((struct json_slice){"\"\\\\u0000\"", 9}, &out));
    assert_string_equal(out.data, "\\u0000");
    buf_clear(&out);
}

static void assert_clean(const char *text, const char *expected)
{
    struct json_object object = {0};
    struct buf out;
    buf_init(&out, 4096);
    assert_int_equal(json_object_read(&object, text, strlen(text)), JSON_OK);
    bool unclean = json_is_unclean(text, strlen(text), object.untidy);
    if (unclean != (strcmp(text, expected) != 0))
        fail_msg("%s: %d", text, unclean);
    json_clean(&out, text, strlen(text));
    assert_string_equal(out.data, expected);
    json_object_clear(&object);
    buf_clear(&out);
}

static void test_json_cleans_halves_of_surrogate_pairs(void **state)
{
    (void)state;
    assert_clean("{\"a\":\"\\ud800\"}", "{\"a\":\"\\ufffd\"}");
    assert_clean("{\"a\":\"x\\uDFFFy\"}", "{\"a\":\"x\\ufffdy\"}");
    assert_clean("{\"\\ud800\":1}", "{\"\\ufffd\":1}");
    assert_clean("{\"a\":[{\"\\udbff\":[\"\\udc00\"]}]}", "{\"a\":[{\"\\ufffd\":[\"\\ufffd\"]}]}");
    assert_clean("{\"a\":\"\\ud800\\ud800\\udc00\"}", "{\"a\":\"\\ufffd\\ud800\\udc00\"}");
    assert_clean("{\"a\":\"\\udc00\\ud800\"}", "{\"a\":\"\\ufffd\\ufffd\"}");
    assert_clean("{\"a\":\"\\ud800\\n\\ud800\"}", "{\"a\":\"\\ufffd\\n\\ufffd\"}");
    assert_clean("{\"a\":\"\\\\ud800\"}", "{\"a\":\"\\\\ud800\"}");
    assert_clean(
        "{\"a\":\"\\ud83d\\ude00 \\u0000\\uffff\"}", "{\"a\":\"\\ud83d\\ude00 \\u0000\\uffff\"}");
    assert_clean("{ \"a\" : [ \"\\\"\\ud800\" , 1 ] }", "{ \"a\" : [ \"\\\"\\ufffd\" , 1 ] }");
}

static void test_json_cleans_numbers_that_no_double_holds(void **state)
{
    (void)state;
    static const struct {
        const char *number;
        bool huge;
    } cases[] = {{"1e308", false}, {"1e309", true}, {"-1e309", true}, {"1E+400", true},
        {"1e-400", false}, {"0e999999999999999999999", false}, {"0.0e400", false},
        {"1e999999999999999999999", true}, {"1e-999999999999999999999", false},
        {"1.7976931348623157e308", false}, {"1.7976931348623159e308", true},
        {"0.0017976931348623157e311", false}, {"0.0017976931348623159e311", true},
        {"17976931348623157e292", false}, {"17976931348623159e292", true}, {"1e0000400", true},
        {"0.00001e313", false}, {"0.00001e314", true}, {"12345678901234567890", false},
        {"-0", false}, {"1.10", false}, {"1e5", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64], expected[64];
        snprintf(text, sizeof text, "{\"n\":[%s]}", cases[i].number);
        snprintf(
            expected, sizeof expected, "{\"n\":[%s]}", cases[i].huge ? "null" : cases[i].number);
        assert_clean(text, expected);
    }
    char digits[400];
    memset(digits, '9', sizeof digits);
    for (int length = 307; length < 312; length++) {
        char text[420];
        snprintf(text, sizeof text, "{\"n\":%.*s}", length, digits);
        assert_clean(text, length <= 308 ? text : "{\"n\":null}");
    }
}

static void test_json_covers_the_key_however_it_is_spelled(void **state)
{
    (void)state;
    secret_set(SECRET_API_KEY, "key/12345678");
    assert_clean("{\"a\":\"key/12345678\"}", "{\"a\":\"***\"}");
    assert_clean(
        "{\"a\":\"\\u006bey\\/1234567\\u0038 and\\nmore\"}", "{\"a\":\"*** and\\u000amore\"}");
    assert_clean("{\"x\\u006bey/12345678\":{\"key\\/12345678\":0}}", "{\"***\":{\"***\":0}}");
    assert_clean("{\"a\":[\"\\nkey/12345678\"]}", "{\"a\":[\"\\u000a***\"]}");
    assert_clean(
        "{\"a\":\"key%2F12345678 \\u0000\\ud800\"}", "{\"a\":\"*** \\u0000\xef\xbf\xbd\"}");
    assert_clean("{\"a\":\"\\u006bey\",\"b\":\"\\/12345678\"}",
        "{\"a\":\"\\u006bey\",\"b\":\"\\/12345678\"}");
    secret_set(SECRET_API_KEY, "123456789012");
    assert_clean("{\"a\":-123456789012.5,\"b\":true}", "{\"a\":null,\"b\":true}");
    secret_clear();
    assert_clean("{\"a\":\"key/12345678\"}", "{\"a\":\"key/12345678\"}");
}

static void test_json_writes_strings_that_it_reads_back(void **state)
{
    (void)state;
    static const char text[] = "a\"b\\c\n\t\x01\x7f\xc3\xa9 end";
    struct buf written, read;
    buf_init(&written, 256);
    buf_init(&read, 256);
    json_append_string(&written, text, sizeof text - 1);
    assert_true(json_decode_string((struct json_slice){written.data, written.length}, &read));
    assert_string_equal(read.data, text);
    buf_clear(&written);
    buf_clear(&read);
}

static void test_json_writes_no_bytes_that_are_not_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *written;
    } cases[] = {
        {"caf\xe9", "\"caf\xef\xbf\xbd\""},
        {"\xe9", "\"\xef\xbf\xbd\""},
        {"a\xffz", "\"a\xef\xbf\xbdz\""},
        {"a\xff\"\n", "\"a\xef\xbf\xbd\\\"\\u000a\""},
        /* A character that was cut: each of its bytes is replaced. */
        {"10 \xe2\x82", "\"10 \xef\xbf\xbd\xef\xbf\xbd\""},
        /* A surrogate, and more bytes than a character needs. */
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xe2\x82\xac \xf0\x9f\xa7\xac", "\"\xe2\x82\xac \xf0\x9f\xa7\xac\""},
    };
    struct buf written;
    buf_init(&written, 256);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_reset(&written);
        json_append_string(&written, cases[i].text, strlen(cases[i].text));
        assert_string_equal(written.data, cases[i].written);
    }
    buf_clear(&written);
}

/* Strings are searched eight bytes at a time. */
static void test_json_finds_the_end_of_a_string_at_every_place(void **state)
{
    static const struct {
        const char *bytes;
        bool valid;
    } inside[] = {{"\\\"", true}, {"\\n", true}, {"\xc2\x80", true}, {"\xef\xbf\xbf", true},
        {"\x7f", true}, {" ", true}, {"!#", true}, {"[]", true}, {"\x1f", false}, {"\x01", false},
        {"\\x", false}};
    (void)state;
    struct json_object object = {0};
    for (size_t which = 0; which < sizeof inside / sizeof *inside; which++)
        for (size_t before = 0; before < 20; before++)
            for (size_t behind = 0; behind < 20; behind++) {
                char text[128], value[64];
                snprintf(value, sizeof value, "\"%.*s%s%.*s\"", (int)before, "xxxxxxxxxxxxxxxxxxxx",
                    inside[which].bytes, (int)behind, "yyyyyyyyyyyyyyyyyyyy");
                snprintf(text, sizeof text, "{\"a\":%s,\"b\":1}", value);
                assert_int_equal(
                    read_text(&object, text), inside[which].valid ? JSON_OK : JSON_SYNTAX);
                if (inside[which].valid)
                    assert_slice(object.members[0].value, value);
            }
    json_object_clear(&object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_keeps_values_byte_for_byte),
        cmocka_unit_test(test_json_refuses_what_is_not_strictly_json),
        cmocka_unit_test(test_json_refuses_a_nul_byte),
        cmocka_unit_test(test_json_tells_the_first_problem),
        cmocka_unit_test(test_json_checks_any_value),
        cmocka_unit_test(test_json_describes_a_problem),
        cmocka_unit_test(test_json_refuses_every_prefix),
        cmocka_unit_test(test_json_limits_depth),
        cmocka_unit_test(test_json_limits_members),
        cmocka_unit_test(test_json_keeps_the_last_of_equal_names_at_the_first_place),
        cmocka_unit_test(test_json_keeps_the_last_of_equal_names_among_many),
        cmocka_unit_test(test_json_finds_a_name_that_is_escaped),
        cmocka_unit_test(test_json_array_gives_each_element_and_tells_a_whole_from_a_broken_one),
        cmocka_unit_test(test_json_array_tells_where_it_breaks),
        cmocka_unit_test(test_json_finds_the_end_of_a_string_at_every_place),
        cmocka_unit_test(test_json_decodes_strings),
        cmocka_unit_test(test_json_cleans_halves_of_surrogate_pairs),
        cmocka_unit_test(test_json_cleans_numbers_that_no_double_holds),
        cmocka_unit_test(test_json_covers_the_key_however_it_is_spelled),
        cmocka_unit_test(test_json_writes_strings_that_it_reads_back),
        cmocka_unit_test(test_json_writes_no_bytes_that_are_not_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
