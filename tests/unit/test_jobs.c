#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jobs.h"
#include "secret.h"
#include "within.h"

struct fixture {
    struct job_hidden hidden;
    struct jobs *jobs;
    struct job_update update;
    struct job_change change;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    f->jobs = jobs_new(&f->hidden);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    jobs_free(f->jobs);
    job_update_clear(&f->update);
    free(f);
    return 0;
}

static void say(struct fixture *f, const char *text, uint64_t mark, bool from_list)
{
    assert_int_equal(job_update_read(&f->update, text, strlen(text)), JOB_UPDATE_OK);
    jobs_apply(f->jobs, &f->update, mark, from_list, 1000, &f->change);
}

static void stream_says(struct fixture *f, const char *text)
{
    say(f, text, JOBS_NOW, false);
}

static void list_says(struct fixture *f, const char *text, uint64_t mark)
{
    say(f, text, mark, true);
}

static void assert_record(struct fixture *f, const char *id, const char *text)
{
    struct job *job = jobs_find(f->jobs, id);
    assert_non_null(job);
    assert_string_equal(job->text, text);
}

static void test_jobs_merge_keeps_members_until_the_upstream_says_otherwise(void **state)
{
    struct fixture *f = *state;
    list_says(f,
        "{\"job_id\":\"a\",\"status\":\"queued\",\"sample_name\":\"P1\",\"big\":"
        "12345678901234567890}",
        0);
    assert_true(f->change.created && f->change.status_changed && f->change.changed);
    assert_string_equal(f->change.previous, "");
    stream_says(
        f, "{\"job_id\":\"a\",\"status\":\"processing\",\"progress\":1.50,\"message\":\"m\"}");
    assert_string_equal(f->change.previous, "queued");
    assert_record(f, "a",
        "{\"job_id\":\"a\",\"status\":\"processing\",\"sample_name\":\"P1\","
        "\"big\":12345678901234567890,\"progress\":1.50,\"message\":\"m\"}");
}

static void test_jobs_merge_drops_progress_and_message_with_their_status(void **state)
{
    struct fixture *f = *state;
    stream_says(
        f, "{\"job_id\":\"a\",\"status\":\"processing\",\"progress\":45,\"message\":\"m\"}");
    stream_says(f, "{\"job_id\":\"a\",\"status\":\"processing\",\"progress\":46}");
    assert_false(f->change.status_changed);
    assert_record(
        f, "a", "{\"job_id\":\"a\",\"status\":\"processing\",\"progress\":46,\"message\":\"m\"}");
    stream_says(f, "{\"job_id\":\"a\",\"status\":\"failed\"}");
    assert_record(f, "a", "{\"job_id\":\"a\",\"status\":\"failed\"}");
}

static void test_jobs_show_100_for_completed_without_progress(void **state)
{
    struct fixture *f = *state;
    stream_says(f, "{\"job_id\":\"a\",\"status\":\"completed\"}");
    assert_record(f, "a", "{\"job_id\":\"a\",\"status\":\"completed\",\"progress\":100}");
    stream_says(f, "{\"job_id\":\"b\",\"status\":\"completed\",\"progress\":99.5}");
    assert_record(f, "b", "{\"job_id\":\"b\",\"status\":\"completed\",\"progress\":99.5}");
    stream_says(f, "{\"job_id\":\"c\",\"status\":\"completed\",\"progress\":null}");
    assert_record(f, "c", "{\"job_id\":\"c\",\"status\":\"completed\",\"progress\":100}");
    list_says(f, "{\"job_id\":\"b\",\"status\":\"completed\"}", jobs_mark(f->jobs));
    assert_record(f, "b", "{\"job_id\":\"b\",\"status\":\"completed\",\"progress\":99.5}");
}

static void test_jobs_hide_members_whatever_their_spelling(void **state)
{
    struct fixture *f = *state;
    char *names[] = {"sample_name", "progress"};
    f->hidden = (struct job_hidden){names, 2};
    stream_says(f, "{\"job_id\":\"a\",\"status\":\"completed\",\"sample_n\\u0061me\":\"P1\","
                   "\"observed_at\":\"x\",\"n\":{\"sample_name\":1}}");
    assert_record(f, "a", "{\"job_id\":\"a\",\"status\":\"completed\",\"n\":{\"sample_name\":1}}");
}

static void test_jobs_let_nothing_older_overwrite_the_stream(void **state)
{
    struct fixture *f = *state;
    list_says(f, "{\"job_id\":\"a\",\"status\":\"queued\"}", 0);
    uint64_t mark = jobs_mark(f->jobs);
    stream_says(f, "{\"job_id\":\"a\",\"status\":\"completed\",\"message\":\"done\"}");
    list_says(f,
        "{\"job_id\":\"a\",\"status\":\"processing\",\"sample_name\":\"P1\",\"progress\":7,"
        "\"message\":\"old\"}",
        mark);
    assert_false(f->change.status_changed);
    assert_true(f->change.changed);
    assert_record(f, "a",
        "{\"job_id\":\"a\",\"status\":\"completed\",\"message\":\"done\",\"progress\":100,\"sample_"
        "name\":\"P1\"}");
    list_says(f, "{\"job_id\":\"a\",\"status\":\"cancelled\"}", jobs_mark(f->jobs));
    assert_string_equal(f->change.previous, "completed");
}

static void test_jobs_let_no_answer_overwrite_what_was_learnt_since_it_was_asked_for(void **state)
{
    struct fixture *f = *state;
    list_says(f, "{\"job_id\":\"a\",\"status\":\"processing\"}", 0);
    uint64_t status_mark = jobs_mark(f->jobs);
    list_says(f, "{\"job_id\":\"a\",\"status\":\"completed\"}", jobs_mark(f->jobs));
    say(f, "{\"job_id\":\"a\",\"status\":\"processing\",\"progress\":7}", status_mark, false);
    assert_false(f->change.status_changed);
    assert_record(f, "a", "{\"job_id\":\"a\",\"status\":\"completed\",\"progress\":100}");
}

static void test_jobs_confirmed_while_a_list_is_taken_in_are_newer_than_it(void **state)
{
    struct fixture *f = *state;
    list_says(f, "{\"job_id\":\"a\",\"status\":\"queued\"}", 0);
    uint64_t mark = jobs_mark(f->jobs);
    say(f, "{\"job_id\":\"a\",\"status\":\"queued\"}", mark, false);
    list_says(f, "{\"job_id\":\"a\",\"status\":\"processing\"}", mark);
    assert_true(f->change.status_changed);
    mark = jobs_mark(f->jobs);
    jobs_expect_list(f->jobs, true);
    say(f, "{\"job_id\":\"a\",\"status\":\"processing\"}", mark, false);
    list_says(f, "{\"job_id\":\"a\",\"status\":\"completed\"}", mark);
    assert_false(f->change.status_changed);
}

static void test_jobs_that_a_list_lacks_are_missing_unless_heard_of_since(void **state)
{
    struct fixture *f = *state;
    const char *const texts[] = {"{\"job_id\":\"a\",\"status\":\"queued\"}",
        "{\"job_id\":\"b\",\"status\":\"queued\"}", "{\"job_id\":\"c\",\"status\":\"queued\"}",
        "{\"job_id\":\"d\",\"status\":\"queued\"}"};
    for (int i = 0; i < 4; i++)
        list_says(f, texts[i], 0);
    uint64_t mark = jobs_mark(f->jobs);
    stream_says(f, texts[1]);
    jobs_list_begin(f->jobs);
    jobs_list_saw(f->jobs, "c");
    uint32_t number = jobs_list_number(f->jobs);
    struct job *job;
    char gone[8] = "";
    jobs_walk_begin(f->jobs, JOBS_WALK_MISSING);
    while ((job = jobs_walk_next(f->jobs, JOBS_WALK_MISSING))) {
        if (!jobs_list_lacks(job, number, mark))
            continue;
        strcat(gone, job->id);
        assert_true(jobs_remove(f->jobs, gone + strlen(gone) - 1));
        /* Another list meanwhile: what that one names is there, what it lacks it says nothing of.
         */
        jobs_list_begin(f->jobs);
    }
    assert_string_equal(gone, "ad");
    assert_int_equal(jobs_count(f->jobs), 2);
}

static void test_jobs_walk_goes_on_whatever_comes_and_goes(void **state)
{
    struct fixture *f = *state;
    char text[64], id[2] = "a", walked[8] = "";
    for (; id[0] <= 'e'; id[0]++) {
        snprintf(text, sizeof text, "{\"job_id\":\"%s\",\"status\":\"queued\"}", id);
        stream_says(f, text);
    }
    jobs_walk_begin(f->jobs, JOBS_WALK_UNSAID);
    jobs_walk_begin(f->jobs, JOBS_WALK_SHOWN);
    assert_string_equal(jobs_walk_next(f->jobs, JOBS_WALK_UNSAID)->id, "a");
    assert_true(
        jobs_remove(f->jobs, "a") && jobs_remove(f->jobs, "b") && jobs_remove(f->jobs, "d"));
    stream_says(f, "{\"job_id\":\"f\",\"status\":\"queued\"}");
    for (struct job *job; (job = jobs_walk_next(f->jobs, JOBS_WALK_UNSAID));)
        strcat(walked, job->id);
    assert_string_equal(walked, "cef");
    assert_true(jobs_walk_is_over(f->jobs, JOBS_WALK_UNSAID));
    assert_false(jobs_walk_is_over(f->jobs, JOBS_WALK_SHOWN));
    assert_string_equal(jobs_walk_next(f->jobs, JOBS_WALK_SHOWN)->id, "c");
}

static void test_jobs_that_are_gone_come_back_only_by_a_later_list(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "{\"job_id\":\"a\",\"status\":\"queued\"}";
    stream_says(f, text);
    uint64_t before = jobs_mark(f->jobs);
    assert_true(jobs_remove(f->jobs, "a"));
    assert_false(jobs_remove(f->jobs, "a"));
    stream_says(f, text);
    assert_null(f->change.job);
    list_says(f, text, before);
    assert_null(f->change.job);
    list_says(f, text, jobs_mark(f->jobs));
    assert_true(f->change.created);
    stream_says(f, text);
    assert_non_null(f->change.job);
}

static void test_jobs_remember_so_many_that_are_gone(void **state)
{
    struct fixture *f = *state;
    char id[16], text[64];
    for (int i = 0; i <= LIMIT_TOMBSTONES; i++) {
        snprintf(id, sizeof id, "j%d", i);
        assert_false(jobs_remove(f->jobs, id));
    }
    /* A late event brings the one back that was forgotten, and no other. */
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "{\"job_id\":\"j%d\",\"status\":\"queued\"}", i);
        stream_says(f, text);
    }
    assert_non_null(jobs_find(f->jobs, "j0"));
    assert_null(jobs_find(f->jobs, "j1"));
}

static void test_jobs_count_by_state_also_unknown_ones(void **state)
{
    struct fixture *f = *state;
    stream_says(f, "{\"job_id\":\"a\",\"status\":\"queued\"}");
    stream_says(f, "{\"job_id\":\"b\",\"status\":\"archived\"}");
    stream_says(f, "{\"job_id\":\"a\",\"status\":\"archived\"}");
    assert_int_equal(jobs_states(f->jobs), JOB_STATUS_DOCUMENTED + 1);
    assert_string_equal(jobs_state_name(f->jobs, JOB_STATUS_DOCUMENTED), "archived");
    assert_int_equal(jobs_state_count(f->jobs, JOB_STATUS_DOCUMENTED), 2);
    assert_int_equal(jobs_state_count(f->jobs, JOB_QUEUED), 0);
    assert_false(job_has_ended(jobs_find(f->jobs, "a")));
}

static void test_jobs_survive_more_unknown_states_than_they_count(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 2 * LIMIT_UNKNOWN_STATES; i++) {
        char text[64];
        snprintf(text, sizeof text, "{\"job_id\":\"a\",\"status\":\"s%d\"}", i);
        stream_says(f, text);
        assert_true(f->change.status_changed);
    }
    char previous[16];
    snprintf(previous, sizeof previous, "s%d", 2 * LIMIT_UNKNOWN_STATES - 2);
    assert_string_equal(f->change.previous, previous);
    assert_int_equal(jobs_states(f->jobs), JOB_STATUS_DOCUMENTED + LIMIT_UNKNOWN_STATES);
    stream_says(f, "{\"job_id\":\"a\",\"status\":\"queued\"}");
    assert_int_equal(jobs_state_count(f->jobs, JOB_QUEUED), 1);
}

static void test_jobs_know_when_a_job_ended(void **state)
{
    struct fixture *f = *state;
    list_says(
        f, "{\"job_id\":\"a\",\"status\":\"failed\",\"completed_at\":\"1970-01-01T00:00:07Z\"}", 0);
    assert_int_equal(jobs_find(f->jobs, "a")->ended_ms, 7000);
    stream_says(f, "{\"job_id\":\"b\",\"status\":\"failed\"}");
    assert_int_equal(jobs_find(f->jobs, "b")->ended_ms, 1000);
    stream_says(f, "{\"job_id\":\"b\",\"status\":\"queued\"}");
    assert_int_equal(jobs_find(f->jobs, "b")->ended_ms, 0);
}

static void test_jobs_stand_in_the_queue_once(void **state)
{
    struct fixture *f = *state;
    stream_says(f, "{\"job_id\":\"a\",\"status\":\"queued\"}");
    stream_says(f, "{\"job_id\":\"b\",\"status\":\"queued\"}");
    struct job *a = jobs_find(f->jobs, "a"), *b = jobs_find(f->jobs, "b");
    jobs_set_unpublished(f->jobs, b);
    jobs_set_unpublished(f->jobs, a);
    jobs_set_unpublished(f->jobs, b);
    assert_ptr_equal(jobs_next_unpublished(f->jobs), b);
    jobs_set_published(f->jobs, b);
    jobs_set_published(f->jobs, b);
    assert_ptr_equal(jobs_next_unpublished(f->jobs), a);
    assert_true(jobs_remove(f->jobs, "a"));
    assert_null(jobs_next_unpublished(f->jobs));
}

static void test_jobs_records_are_fit_for_strict_readers(void **state)
{
    struct fixture *f = *state;
    stream_says(f,
        "{\"job_id\":\"j1\",\"status\":\"q\\udc00\",\"message\":\"\\ud800\",\"\\udfff\":1,"
        "\"\\ufffd\":2,\"n\":1e400}");
    assert_record(f, "j1",
        "{\"job_id\":\"j1\",\"status\":\"q\\ufffd\",\"message\":\"\\ufffd\",\"\\ufffd\":2,\"n\":"
        "null}");
    assert_string_equal(jobs_state_name(f->jobs, JOB_STATUS_DOCUMENTED), "q\xef\xbf\xbd");
    const char *half = "{\"job_id\":\"j\\ud800\",\"status\":\"queued\"}";
    assert_int_equal(job_update_read(&f->update, half, strlen(half)), JOB_UPDATE_REFUSED_ID);
}

static void test_jobs_know_no_key(void **state)
{
    struct fixture *f = *state;
    static const char *const refused[] = {
        "{\"job_id\":\"key-12345678\",\"status\":\"queued\"}",
        "{\"job_id\":\"key\\u002d12345678\",\"status\":\"queued\"}",
    };
    secret_set(SECRET_API_KEY, "key-12345678");
    stream_says(f, "{\"job_id\":\"j1\",\"status\":\"key-12345678\"}");
    stream_says(f, "{\"job_id\":\"j2\",\"status\":\"\\u006bey-1234567\\u0038\","
                   "\"message\":\"\\u006bey-12345678\",\"key\\u002d12345678\":[\"key-12345678\"]}");
    assert_record(f, "j1", "{\"job_id\":\"j1\",\"status\":\"***\"}");
    assert_record(
        f, "j2", "{\"job_id\":\"j2\",\"status\":\"***\",\"message\":\"***\",\"***\":[\"***\"]}");
    assert_int_equal(jobs_states(f->jobs), JOB_STATUS_DOCUMENTED + 1);
    assert_string_equal(jobs_state_name(f->jobs, JOB_STATUS_DOCUMENTED), "***");
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(
            job_update_read(&f->update, refused[i], strlen(refused[i])), JOB_UPDATE_REFUSED_ID);
    secret_clear();
}

static void test_jobs_updates_that_cannot_be_used_are_told_apart(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        enum job_update_result result;
    } cases[] = {
        {"{\"job_id\":\"a\",\"status\":\"queued\"}", JOB_UPDATE_OK},
        {"{\"status\":\"queued\",\"job_id\":\"\\u0061\"}", JOB_UPDATE_OK},
        {"no", JOB_UPDATE_NOT_JSON},
        {"[]", JOB_UPDATE_NOT_JSON},
        {"{}", JOB_UPDATE_NO_ID},
        {"{\"JOB_ID\":\"a\",\"status\":\"queued\"}", JOB_UPDATE_NO_ID},
        {"{\"job_id\":1,\"status\":\"queued\"}", JOB_UPDATE_NO_ID},
        {"{\"job_id\":null,\"status\":\"queued\"}", JOB_UPDATE_NO_ID},
        {"{\"job_id\":\"\",\"status\":\"queued\"}", JOB_UPDATE_REFUSED_ID},
        {"{\"job_id\":\"a\\u0000\",\"status\":\"queued\"}", JOB_UPDATE_REFUSED_ID},
        {"{\"job_id\":\"\\ud83d\",\"status\":\"queued\"}", JOB_UPDATE_REFUSED_ID},
        {"{\"job_id\":\"a\",\"status\":\"q\\u0000\"}", JOB_UPDATE_NO_STATUS},
        {"{\"job_id\":\"a\",\"status\":\"queued\",\"x\":\"\\u0000\\udead\"}", JOB_UPDATE_OK},
        {"{\"job_id\":\"..\",\"status\":\"queued\"}", JOB_UPDATE_REFUSED_ID},
        {"{\"job_id\":\"a\"}", JOB_UPDATE_NO_STATUS},
        {"{\"job_id\":\"a\",\"status\":7}", JOB_UPDATE_NO_STATUS},
        {"{\"job_id\":\"a\",\"status\":\"\"}", JOB_UPDATE_NO_STATUS},
        {"{\"job_id\":\"a\",\"job_id\":\"b\",\"status\":\"queued\"}", JOB_UPDATE_AMBIGUOUS},
        {"{\"job_id\":\"a\",\"status\":\"queued\",\"st\\u0061tus\":\"failed\"}",
            JOB_UPDATE_AMBIGUOUS},
        {"{\"x\":1,\"x\":2,\"job_id\":\"a\",\"status\":\"queued\",\"status\":\"failed\"}",
            JOB_UPDATE_AMBIGUOUS},
        {"{\"job_id\":\"a\",\"status\":\"queued\",\"x\":1,\"x\":2}", JOB_UPDATE_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (job_update_read(&f->update, cases[i].text, strlen(cases[i].text)) != cases[i].result)
            fail_msg("%s", cases[i].text);
    char text[256];
    snprintf(text, sizeof text, "{\"job_id\":\"%0129d\",\"status\":\"queued\"}", 0);
    assert_int_equal(job_update_read(&f->update, text, strlen(text)), JOB_UPDATE_REFUSED_ID);
    snprintf(text, sizeof text, "{\"job_id\":\"a\",\"status\":\"%065d\"}", 0);
    assert_int_equal(job_update_read(&f->update, text, strlen(text)), JOB_UPDATE_NO_STATUS);
}

static void test_jobs_start_a_record_anew_that_outgrows_its_cap(void **state)
{
    struct fixture *f = *state;
    struct buf text;
    buf_init(&text, 4 * LIMIT_EVENT);
    char *filler = malloc(LIMIT_EVENT - 100);
    assert_non_null(filler);
    memset(filler, 'x', LIMIT_EVENT - 100);
    for (int i = 0; i < 3; i++) {
        buf_reset(&text);
        buf_printf(&text, "{\"job_id\":\"a\",\"status\":\"queued\",\"m%d\":\"", i);
        buf_append(&text, filler, LIMIT_EVENT - 100);
        buf_append_text(&text, "\"}");
        assert_int_equal(job_update_read(&f->update, text.data, text.length), JOB_UPDATE_OK);
        jobs_apply(f->jobs, &f->update, JOBS_NOW, false, 1000, &f->change);
        assert_non_null(f->change.job);
    }
    assert_true(jobs_find(f->jobs, "a")->length < LIMIT_EVENT);
    assert_string_equal(f->change.previous, "queued");
    free(filler);
    buf_clear(&text);
}

/* `count` members in all, with names so short that as many as can be read fit into a record. */
static void say_members(struct fixture *f, const char *status, char prefix, int count)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    struct buf text;
    buf_init(&text, LIMIT_JOB_RECORD);
    buf_printf(&text, "{\"job_id\":\"a\",\"status\":\"%s\"", status);
    for (int i = 2; i < count; i++)
        buf_printf(&text, ",\"%c%c%c%c\":0", prefix, digits[i / (62 * 62)], digits[i / 62 % 62],
            digits[i % 62]);
    buf_append_char(&text, '}');
    assert_int_equal(job_update_read(&f->update, text.data, text.length), JOB_UPDATE_OK);
    jobs_apply(f->jobs, &f->update, JOBS_NOW, false, 1000, &f->change);
    assert_non_null(f->change.job);
    buf_clear(&text);
}

static size_t count_members(const struct job *job)
{
    struct json_object record = {0};
    assert_int_equal(json_object_read(&record, job->text, job->length), JSON_OK);
    size_t count = record.count;
    json_object_clear(&record);
    return count;
}

static void test_jobs_keep_a_record_to_as_many_members_as_can_be_read_again(void **state)
{
    struct fixture *f = *state;
    say_members(f, "queued", 'm', 100);
    say_members(f, "queued", 'm', 101);
    assert_int_equal(count_members(f->change.job), 101);
    say_members(f, "processing", 'n', LIMIT_JSON_MEMBERS - 56);
    assert_int_equal(count_members(f->change.job), LIMIT_JSON_MEMBERS - 56);
    say_members(f, "completed", 'n', LIMIT_JSON_MEMBERS - 1);
    assert_int_equal(count_members(f->change.job), LIMIT_JSON_MEMBERS);
    assert_non_null(strstr(f->change.job->text, "\"progress\":100"));
    say_members(f, "queued", 'o', 3);
    say_members(f, "completed", 'n', LIMIT_JSON_MEMBERS);
    assert_int_equal(count_members(f->change.job), LIMIT_JSON_MEMBERS);
}

static void test_jobs_take_no_more_than_the_limit_of_all_records(void **state)
{
    struct fixture *f = *state;
    char text[128];
    size_t known;
    jobs_set_limit(f->jobs, 10000);
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "{\"job_id\":\"j%d\",\"status\":\"queued\"}", i);
        stream_says(f, text);
        assert_int_equal(f->change.job == NULL, f->change.full);
    }
    assert_true(f->change.full);
    known = jobs_count(f->jobs);
    assert_within(known, 20, 100);
    /* A known job goes on, but grows no more; others take the place of those that are gone. */
    stream_says(f, "{\"job_id\":\"j0\",\"status\":\"failed\"}");
    assert_false(f->change.full);
    stream_says(f,
        "{\"job_id\":\"j0\",\"status\":\"failed\",\"x\":\"a longer one, which is too "
        "much, and it goes on and on and on and on and on and on and on and on and on\"}");
    while (!f->change.full) {
        snprintf(text, sizeof text, "{\"job_id\":\"k%zu\",\"status\":\"queued\"}", known++);
        stream_says(f, text);
    }
    assert_true(jobs_remove(f->jobs, "j1"));
    stream_says(f, "{\"job_id\":\"j2\",\"status\":\"failed\"}");
    assert_false(f->change.full);
    stream_says(f, "{\"job_id\":\"jx\",\"status\":\"queued\"}");
    assert_non_null(f->change.job);
    while (jobs_next(f->jobs, NULL)) {
        snprintf(text, sizeof text, "%s", jobs_next(f->jobs, NULL)->id);
        assert_true(jobs_remove(f->jobs, text));
    }
    jobs_set_limit(f->jobs, 500); /* nothing of what is gone counts any more */
    stream_says(f, "{\"job_id\":\"one\",\"status\":\"queued\"}");
    assert_non_null(f->change.job);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_jobs_take_no_more_than_the_limit_of_all_records),
        TEST(test_jobs_merge_keeps_members_until_the_upstream_says_otherwise),
        TEST(test_jobs_merge_drops_progress_and_message_with_their_status),
        TEST(test_jobs_show_100_for_completed_without_progress),
        TEST(test_jobs_hide_members_whatever_their_spelling),
        TEST(test_jobs_let_nothing_older_overwrite_the_stream),
        TEST(test_jobs_let_no_answer_overwrite_what_was_learnt_since_it_was_asked_for),
        TEST(test_jobs_confirmed_while_a_list_is_taken_in_are_newer_than_it),
        TEST(test_jobs_that_a_list_lacks_are_missing_unless_heard_of_since),
        TEST(test_jobs_walk_goes_on_whatever_comes_and_goes),
        TEST(test_jobs_remember_so_many_that_are_gone),
        TEST(test_jobs_that_are_gone_come_back_only_by_a_later_list),
        TEST(test_jobs_count_by_state_also_unknown_ones),
        TEST(test_jobs_survive_more_unknown_states_than_they_count),
        TEST(test_jobs_know_when_a_job_ended),
        TEST(test_jobs_stand_in_the_queue_once),
        TEST(test_jobs_know_no_key),
        TEST(test_jobs_records_are_fit_for_strict_readers),
        TEST(test_jobs_updates_that_cannot_be_used_are_told_apart),
        TEST(test_jobs_start_a_record_anew_that_outgrows_its_cap),
        TEST(test_jobs_keep_a_record_to_as_many_members_as_can_be_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
