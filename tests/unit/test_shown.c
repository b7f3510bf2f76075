#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shown.h"

#define MOST 64

struct fixture {
    struct job_hidden hidden;
    struct jobs *jobs;
    struct shown *shown;
    struct job_update update;
    const struct job *chosen[MOST];
    const char *before; /* ids that were shown before, each with a space behind it */
    char ids[1024];     /* of those that were chosen, in the order of first sight */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    f->jobs = jobs_new(&f->hidden);
    f->before = "";
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    jobs_free(f->jobs);
    shown_free(f->shown);
    job_update_clear(&f->update);
    free(f);
    return 0;
}

/* `end`: seconds of the hour at which it ended; -1 for a job that has not. */
static void add(struct fixture *f, const char *id, int end)
{
    char text[256], completed_at[64] = "";
    struct job_change change;
    if (end >= 0)
        snprintf(completed_at, sizeof completed_at,
            ",\"completed_at\":\"2026-03-09T10:%02d:%02dZ\"", end / 60, end % 60);
    snprintf(text, sizeof text, "{\"job_id\":\"%s\",\"status\":\"%s\"%s}", id,
        end >= 0 ? "completed" : "queued", completed_at);
    assert_int_equal(job_update_read(&f->update, text, strlen(text)), JOB_UPDATE_OK);
    jobs_apply(f->jobs, &f->update, JOBS_NOW, true, 1000, &change);
    assert_non_null(change.job);
}

static bool was_before(void *ctx, const struct job *job)
{
    struct fixture *f = ctx;
    char id[160];
    snprintf(id, sizeof id, "%s ", job->id);
    return strstr(f->before, id) != NULL;
}

/* Fills f->chosen and returns how many they are. */
static size_t choose(struct fixture *f)
{
    shown_begin(f->shown, f->jobs);
    for (const struct job *job = jobs_next(f->jobs, NULL); job; job = jobs_next(f->jobs, job))
        shown_take(f->shown, job, was_before, f);
    size_t count = shown_end(f->shown);
    for (size_t i = 0; i < count; i++)
        f->chosen[i] = jobs_find(f->jobs, shown_id(f->shown, i));
    return count;
}

static void assert_shown(struct fixture *f, const char *expected)
{
    size_t count = choose(f);
    f->ids[0] = '\0';
    for (const struct job *job = jobs_next(f->jobs, NULL); job; job = jobs_next(f->jobs, job))
        for (size_t i = 0; i < count; i++)
            if (f->chosen[i] == job)
                snprintf(f->ids + strlen(f->ids), sizeof f->ids - strlen(f->ids), "%s ", job->id);
    assert_string_equal(f->ids, expected);
}

static void test_shown_all_where_there_is_room(void **state)
{
    struct fixture *f = *state;
    f->shown = shown_new(3);
    assert_shown(f, "");
    add(f, "a", 1);
    add(f, "b", -1);
    add(f, "c", 3);
    assert_shown(f, "a b c ");
}

static void test_shown_unfinished_first_then_those_that_ended_last(void **state)
{
    struct fixture *f = *state;
    f->shown = shown_new(3);
    add(f, "a", 7);
    add(f, "b", 9);
    add(f, "c", 8);
    add(f, "d", 6);
    assert_shown(f, "a b c ");
    add(f, "e", -1);
    assert_shown(f, "b c e ");
    add(f, "f", -1);
    add(f, "g", -1);
    assert_shown(f, "e f g ");
}

static void test_shown_a_job_that_ends_keeps_its_place(void **state)
{
    struct fixture *f = *state;
    f->shown = shown_new(2);
    add(f, "a", 7);
    add(f, "b", -1);
    add(f, "c", -1);
    assert_shown(f, "b c ");
    add(f, "b", 9);
    assert_shown(f, "b c ");
    add(f, "d", -1);
    assert_shown(f, "c d ");
}

static void test_shown_same_moment_is_decided_by_id(void **state)
{
    struct fixture *f = *state;
    f->shown = shown_new(2);
    add(f, "b", 5);
    add(f, "d", 5);
    add(f, "a", 5);
    add(f, "c", 5);
    assert_shown(f, "d c ");
    shown_free(f->shown);
    f->shown = shown_new(2);
    assert_shown(f, "d c ");
}

static void test_shown_who_made_room_stays_away_until_much_is_free(void **state)
{
    struct fixture *f = *state;
    char id[16], all[512] = "";
    f->shown = shown_new(30);
    for (int i = 10; i < 45; i++) {
        snprintf(id, sizeof id, "j%d", i);
        add(f, id, i);
        if (i >= 15)
            snprintf(all + strlen(all), sizeof all - strlen(all), "%s ", id);
    }
    assert_shown(f, all);
    /* One short job: the last of the old ones goes for it, and does not come back after it. */
    const char *without_15 = strchr(all, ' ') + 1;
    char with_new[640];
    add(f, "new", -1);
    snprintf(with_new, sizeof with_new, "%snew ", without_15);
    assert_shown(f, with_new);
    jobs_remove(f->jobs, "new");
    assert_shown(f, without_15);
    /* Two places are less than a tenth of thirty; with three all of them are filled. */
    jobs_remove(f->jobs, "j16");
    const char *without_16 = strchr(without_15, ' ') + 1;
    assert_shown(f, without_16);
    jobs_remove(f->jobs, "j17");
    const char *without_17 = strchr(without_16, ' ') + 1;
    char refilled[640];
    snprintf(refilled, sizeof refilled, "j13 j14 j15 %s", without_17);
    assert_shown(f, refilled);
}

static void test_shown_a_job_that_ended_later_needs_no_free_tenth(void **state)
{
    struct fixture *f = *state;
    f->shown = shown_new(20);
    char id[16];
    for (int i = 10; i < 31; i++) {
        snprintf(id, sizeof id, "j%d", i);
        add(f, id, i);
    }
    assert_int_equal(choose(f), 20);
    jobs_remove(f->jobs, "j20");
    assert_int_equal(choose(f), 19);
    add(f, "late", 50);
    assert_int_equal(choose(f), 20);
    assert_shown(f, "j11 j12 j13 j14 j15 j16 j17 j18 j19 j21 j22 j23 j24 j25 j26 j27 j28 j29 j30 "
                    "late ");
}

static void test_shown_too_many_unfinished_those_before_keep_their_places(void **state)
{
    struct fixture *f = *state;
    f->shown = shown_new(3);
    for (const char *id = "a\0b\0c\0d\0e\0"; *id != '\0'; id += 2)
        add(f, id, -1);
    add(f, "z", 50);
    assert_shown(f, "a b c ");
    f->before = "b d e ";
    assert_shown(f, "b d e ");
    f->before = "d ";
    assert_shown(f, "a b d ");
}

static void test_shown_cleared_jobs_never_are(void **state)
{
    struct fixture *f = *state;
    f->shown = shown_new(2);
    add(f, "a", 1);
    add(f, "b", 2);
    add(f, "c", 3);
    jobs_set_cleared(jobs_find(f->jobs, "c"), true);
    assert_shown(f, "a b ");
    jobs_set_cleared(jobs_find(f->jobs, "a"), true);
    assert_shown(f, "b ");
}

/* Against the definition, with times and removals by chance; the cut may leave a tenth free. */
static void test_shown_is_what_the_rule_says(void **state)
{
    struct fixture *f = *state;
    char id[16];
    unsigned random = 12345;
    f->shown = shown_new(12);
    for (int step = 0; step < 3000; step++) {
        random = random * 1103515245u + 12345u;
        snprintf(id, sizeof id, "%u", (random >> 16) % 40);
        if ((random >> 8) % 3 == 0)
            jobs_remove(f->jobs, id);
        else
            add(f, id, (int)((random >> 10) % 7) - 1);
        size_t count = choose(f);
        size_t unfinished = 0, total = jobs_count(f->jobs), worse = 0;
        for (size_t i = 0; i < count; i++)
            unfinished += !job_has_ended(f->chosen[i]);
        assert_true(count <= 12 && count + 1 >= (total < 12 ? total : 12));
        size_t all_unfinished = jobs_state_count(f->jobs, JOB_QUEUED);
        assert_int_equal(unfinished, all_unfinished < 12 ? all_unfinished : 12);
        /* Nobody who is left out ended later than someone who is not. */
        for (const struct job *job = jobs_next(f->jobs, NULL); job; job = jobs_next(f->jobs, job)) {
            bool is_chosen = false;
            for (size_t i = 0; i < count; i++)
                is_chosen = is_chosen || f->chosen[i] == job;
            for (size_t i = 0; i < count && !is_chosen && job_has_ended(job); i++)
                worse += job_has_ended(f->chosen[i]) && f->chosen[i]->ended_ms < job->ended_ms;
        }
        assert_int_equal(worse, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_shown_all_where_there_is_room, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_shown_unfinished_first_then_those_that_ended_last, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_shown_a_job_that_ends_keeps_its_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shown_same_moment_is_decided_by_id, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_shown_who_made_room_stays_away_until_much_is_free, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_shown_a_job_that_ended_later_needs_no_free_tenth, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_shown_too_many_unfinished_those_before_keep_their_places, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shown_cleared_jobs_never_are, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shown_is_what_the_rule_says, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
