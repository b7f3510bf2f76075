#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"
#include "config.h"
#include "counters.h"
#include "loop_fixture.h"
#include "publisher.h"
#include "tracker.h"

/* Fewer are removed than make so many messages that the removal waits for a broker. */
enum { MANY = 30000, LISTED = 26000 };

#define HEAD "{\"job_id\":\"head\",\"status\":\"queued\"}"

static struct fixture fixture;
static struct config *config;
static struct counters counters;
static struct publisher *publisher;
static struct tracker *tracker;
static struct tracker_list lists[2];
static struct buf body;
static unsigned passes, ended, failed;
static int order[2];

static const char *environment(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return NULL;
}

static void on_room(void *ctx, size_t room)
{
    (void)ctx;
    (void)room;
}

static void on_pressure(void *ctx, enum pressure pressure)
{
    (void)ctx;
    (void)pressure;
}

static void on_changed(void *ctx)
{
    (void)ctx;
}

static bool on_gone(void *ctx, const char *id)
{
    (void)ctx;
    (void)id;
    return false;
}

static void on_taken(void *ctx, const struct error *error)
{
    const struct tracker_list *list = ctx;
    order[ended++] = (int)(list - lists);
    failed += error != NULL;
    assert_null(list->tracker);
}

static int setup(void **state)
{
    static const char text[] = "{\"aiva\": {\"api_key\": \"test\"}}";
    const struct config_source source = {
        .text = text, .length = sizeof text - 1, .name = "test", .environment = environment};
    struct error error;
    config = config_load(&source, &error);
    if (!config)
        return -1;
    fixture_open(&fixture);
    counters = (struct counters){0};
    struct publisher_options queue = {
        .root = "aiva", .qos = 1, .queue_limit = SIZE_MAX, .counters = &counters};
    publisher = publisher_new(fixture.loop, &queue,
        &(struct publisher_handler){.on_room = on_room, .on_pressure = on_pressure});
    tracker = tracker_new(fixture.loop, publisher, config, &counters,
        &(struct tracker_handler){.on_changed = on_changed, .on_gone = on_gone});
    buf_init(&body, 16 * 1024 * 1024);
    passes = ended = failed = 0;
    memset(lists, 0, sizeof lists);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    tracker_free(tracker);
    publisher_free(publisher);
    config_free(config);
    buf_clear(&body);
    fixture_close(*state);
    return 0;
}

/* The jobs from `first` on, behind `head`, which is "" or ends with a comma. */
static void make_body(const char *head, unsigned first, unsigned count)
{
    char text[64];
    buf_reset(&body);
    buf_append_char(&body, '[');
    buf_append_text(&body, head);
    for (unsigned i = first; i < first + count; i++) {
        snprintf(text, sizeof text, "%s{\"job_id\":\"j%u\",\"status\":\"queued\"}",
            i == first ? "" : ",", i);
        buf_append_text(&body, text);
    }
    buf_append_char(&body, ']');
}

static void take(struct tracker_list *list, const char *text, size_t length, bool removes)
{
    *list = (struct tracker_list){
        .body = text,
        .length = length,
        .mark = tracker_mark(tracker),
        .removes = removes,
        .source = PAYLOAD_LIST,
        .done = on_taken,
        .ctx = list,
    };
    tracker_take_list(tracker, list);
}

static bool is_ended(void *ctx)
{
    passes++;
    return ended == *(unsigned *)ctx;
}

static void run_until_ended(unsigned count)
{
    fixture_run(&fixture, is_ended, &count);
}

static bool has_begun(void *ctx)
{
    (void)ctx;
    return jobs_find(tracker_jobs(tracker), "head") != NULL;
}

/* Until the first entry of a list has been applied; there are others. */
static void run_until_begun(void)
{
    fixture_run(&fixture, has_begun, NULL);
    assert_int_equal(ended, 0);
}

static bool is_over(void *ctx)
{
    (void)ctx;
    return jobs_walk_is_over(tracker_jobs(tracker), JOBS_WALK_MISSING);
}

static void know_many(void)
{
    make_body("", 0, MANY);
    take(&lists[0], body.data, body.length, true);
    run_until_ended(1);
    fixture_run(&fixture, is_over, NULL); /* the look for jobs that it lacks */
    assert_int_equal(jobs_count(tracker_jobs(tracker)), MANY);
    ended = passes = 0;
}

static void assert_status(const char *id, const char *wanted)
{
    char status[LIMIT_STATUS + 1];
    const struct job *job = jobs_find(tracker_jobs(tracker), id);
    assert_non_null(job);
    jobs_status_name(tracker_jobs(tracker), job, status);
    assert_string_equal(status, wanted);
}

/* ---- The tests */

static void test_listing_takes_a_long_list_in_turns(void **state)
{
    (void)state;
    make_body("", 0, MANY);
    take(&lists[0], body.data, body.length, true);
    assert_int_equal(ended, 0);
    run_until_ended(1);
    assert_int_equal(failed, 0);
    assert_true(passes > 3);
    assert_true(tracker_has_list(tracker));
    assert_int_equal(jobs_count(tracker_jobs(tracker)), MANY);
}

static void test_listing_changes_nothing_where_the_list_breaks_off(void **state)
{
    (void)state;
    static const char *const broken[] = {"", "{}", "[{\"job_id\":\"a\",\"status\":\"queued\"},",
        "[{\"job_id\":\"a\",\"status\":\"queued\"}]]"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        ended = failed = 0;
        take(&lists[0], broken[i], strlen(broken[i]), true);
        run_until_ended(1);
        assert_int_equal(failed, 1);
        assert_int_equal(jobs_count(tracker_jobs(tracker)), 0);
        assert_false(tracker_has_list(tracker));
    }
    ended = 0;
    know_many();
    make_body(HEAD ",", 0, MANY / 2);
    take(&lists[0], body.data, body.length - 1, true);
    run_until_ended(1);
    assert_false(has_begun(NULL));
    assert_int_equal(jobs_count(tracker_jobs(tracker)), MANY);
}

static void answer_about(const char *id, const char *text)
{
    struct error error;
    assert_true(tracker_answer(
        tracker, id, text, strlen(text), tracker_mark(tracker), PAYLOAD_POLL, &error));
}

static void test_listing_overwrites_nothing_that_came_meanwhile(void **state)
{
    (void)state;
    static const char late[] = "{\"job_id\":\"j25000\",\"status\":\"processing\"}",
                      spoken_of[] = "{\"job_id\":\"j29999\",\"status\":\"processing\"}",
                      fresh[] = "{\"job_id\":\"new\",\"status\":\"processing\"}";
    know_many();
    make_body(HEAD, 0, 0);
    body.length--; /* the bracket */
    for (unsigned i = 0; i < LISTED; i++) {
        char text[64];
        snprintf(text, sizeof text, ",{\"job_id\":\"j%u\",\"status\":\"%s\"}", i,
            i == 25001 ? "failed" : "queued");
        buf_append_text(&body, text);
    }
    buf_append_char(&body, ']');
    take(&lists[0], body.data, body.length, true);
    run_until_begun();
    tracker_event(tracker, late, sizeof late - 1);
    tracker_event(tracker, spoken_of, sizeof spoken_of - 1);
    tracker_event(tracker, fresh, sizeof fresh - 1);
    /* It only confirms what is known, and all the same is newer than the list. */
    answer_about("j25001", "{\"job_id\":\"j25001\",\"status\":\"queued\"}");
    tracker_gone(tracker, "j25002", PAYLOAD_COMMAND);
    run_until_ended(1);
    fixture_run(&fixture, is_over, NULL);
    assert_status("j25000", "processing");
    assert_status("j25001", "queued");
    assert_null(jobs_find(tracker_jobs(tracker), "j25002"));
    assert_status("j29999", "processing");
    assert_status("new", "processing");
    assert_null(jobs_find(tracker_jobs(tracker), "j29998"));
    assert_int_equal(jobs_count(tracker_jobs(tracker)), LISTED - 1 + 3);
}

static void test_listing_dropped_on_the_way_removes_nothing(void **state)
{
    (void)state;
    know_many();
    make_body(HEAD ",", 0, LISTED);
    take(&lists[0], body.data, body.length, true);
    run_until_begun();
    tracker_drop_list(&lists[0]);
    tracker_drop_list(&lists[0]);
    assert_null(lists[0].tracker);
    buf_clear(&body);
    assert_true(is_over(NULL));
    take(&lists[1], "[]", 2, false);
    run_until_ended(1);
    assert_int_equal(order[0], 1);
    assert_int_equal(jobs_count(tracker_jobs(tracker)), MANY + 1);
}

static void test_listing_takes_lists_one_after_the_other(void **state)
{
    (void)state;
    static const char second[] = "[" HEAD "]";
    make_body("", 0, MANY);
    take(&lists[0], body.data, body.length, true);
    take(&lists[1], second, sizeof second - 1, false);
    run_until_ended(2);
    assert_int_equal(order[0], 0);
    assert_int_equal(order[1], 1);
    assert_true(has_begun(NULL));
    assert_int_equal(jobs_count(tracker_jobs(tracker)), MANY + 1);
}

static void test_listing_drops_one_that_waits(void **state)
{
    (void)state;
    make_body("", 0, MANY);
    take(&lists[0], body.data, body.length, true);
    take(&lists[1], "[]", 2, true);
    tracker_drop_list(&lists[1]);
    run_until_ended(1);
    assert_int_equal(order[0], 0);
    assert_int_equal(jobs_count(tracker_jobs(tracker)), MANY);
}

/* What the list before lacks is there again. */
static void test_listing_holds_the_removal_for_the_list_before(void **state)
{
    (void)state;
    know_many();
    make_body("", 0, LISTED);
    take(&lists[0], body.data, body.length, true);
    run_until_ended(1);
    make_body("", 0, MANY);
    take(&lists[1], body.data, body.length, false);
    run_until_ended(2);
    fixture_run(&fixture, is_over, NULL);
    assert_int_equal(jobs_count(tracker_jobs(tracker)), MANY);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(test_listing_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(takes_a_long_list_in_turns),
        CASE(changes_nothing_where_the_list_breaks_off),
        CASE(overwrites_nothing_that_came_meanwhile),
        CASE(dropped_on_the_way_removes_nothing),
        CASE(takes_lists_one_after_the_other),
        CASE(drops_one_that_waits),
        CASE(holds_the_removal_for_the_list_before),
    };
#undef CASE
    return cmocka_run_group_tests_name("listing", tests, NULL, NULL);
}
