#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "announcer.h"
#include "limit.h"
#include "mem.h"
#include "within.h"

struct fixture {
    struct announcer *announcer;
    struct announcement sent;
    int64_t now_ms;
    int64_t wake_ms;
    bool seen; /* Home Assistant is there */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    f->announcer = announcer_new(3);
    f->now_ms = 1000000;
    f->seen = true;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    announcer_free(f->announcer);
    free(f);
    return 0;
}

static void show(struct fixture *f, const char *topic, const char *payload)
{
    enum announcer_kind kind = strncmp(topic, "bridge", 6) == 0 ? ANNOUNCER_BRIDGE : ANNOUNCER_JOB;
    announcer_show(f->announcer,
        &(struct announcer_device){.topic = topic, .kind = kind, .name = payload}, payload,
        strlen(payload));
}

static void found(struct fixture *f, const char *topic, const char *payload)
{
    enum announcer_kind kind = strncmp(topic, "bridge", 6) == 0 ? ANNOUNCER_BRIDGE : ANNOUNCER_JOB;
    assert_true(announcer_found(f->announcer, topic, kind, payload, strlen(payload), f->now_ms));
}

/* The next message is this one; it stays on the way. */
static void assert_next(struct fixture *f, const char *topic, const char *payload)
{
    assert_true(announcer_next(f->announcer, f->now_ms, &f->sent, &f->wake_ms));
    assert_string_equal(f->sent.topic, topic);
    assert_int_equal(f->sent.length, strlen(payload));
    assert_string_equal(f->sent.payload, payload);
}

static void done(struct fixture *f)
{
    announcer_done(f->announcer, f->now_ms, f->seen ? ANNOUNCER_SEEN : ANNOUNCER_TAKEN);
}

static void give_up(struct fixture *f)
{
    announcer_done(f->announcer, f->now_ms, ANNOUNCER_GIVEN_UP);
}

/* The same, acknowledged at once; then the pace is waited for. */
static void assert_sent(struct fixture *f, const char *topic, const char *payload)
{
    assert_next(f, topic, payload);
    done(f);
    f->now_ms += ANNOUNCER_PACE_MS;
}

/* Nothing now; the next in so many milliseconds, or -1: until something changes. */
static void assert_nothing(struct fixture *f, int64_t in_ms)
{
    assert_false(announcer_next(f->announcer, f->now_ms, &f->sent, &f->wake_ms));
    assert_int_equal(f->wake_ms, in_ms < 0 ? INT64_MAX : f->now_ms + in_ms);
}

/* A device that has been there for long. */
static void standing(struct fixture *f, const char *topic, const char *payload)
{
    show(f, topic, payload);
    assert_sent(f, topic, payload);
    f->now_ms += ANNOUNCER_SPACING_MS;
}

static void test_announcer_sends_what_is_new_and_nothing_twice(void **state)
{
    struct fixture *f = *state;
    assert_nothing(f, -1);
    assert_true(announcer_is_idle(f->announcer));
    show(f, "a", "1");
    assert_false(announcer_is_idle(f->announcer));
    assert_next(f, "a", "1");
    assert_false(announcer_is_idle(f->announcer));
    done(f);
    assert_true(announcer_is_idle(f->announcer));
    show(f, "a", "1");
    f->now_ms += 2 * ANNOUNCER_SPACING_MS;
    assert_nothing(f, -1);
}

static void test_announcer_spaces_messages_about_one_device_and_sends_the_latest(void **state)
{
    struct fixture *f = *state;
    show(f, "a", "1");
    assert_next(f, "a", "1");
    f->now_ms += 700;
    done(f);
    show(f, "a", "2");
    assert_nothing(f, ANNOUNCER_SPACING_MS);
    f->now_ms += ANNOUNCER_SPACING_MS - 1;
    show(f, "a", "3");
    assert_nothing(f, 1);
    f->now_ms++;
    assert_sent(f, "a", "3");
    /* There and back before anything was sent: said once more, which does no harm. */
    show(f, "a", "4");
    show(f, "a", "3");
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_sent(f, "a", "3");
}

static void test_announcer_one_is_on_the_way_and_ten_a_second(void **state)
{
    struct fixture *f = *state;
    show(f, "a", "1");
    show(f, "b", "1");
    assert_next(f, "a", "1");
    f->now_ms += ANNOUNCER_PACE_MS;
    assert_nothing(f, -1);
    done(f);
    assert_next(f, "b", "1");
    done(f);
    show(f, "c", "1");
    assert_nothing(f, ANNOUNCER_PACE_MS);
}

static void test_announcer_changed_on_the_way_is_sent_again(void **state)
{
    struct fixture *f = *state;
    show(f, "a", "1");
    assert_next(f, "a", "1");
    show(f, "a", "2");
    done(f);
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_sent(f, "a", "2");
    assert_nothing(f, -1);
}

static void test_announcer_hides_after_the_spacing_only(void **state)
{
    struct fixture *f = *state;
    show(f, "a", "1");
    assert_next(f, "a", "1");
    done(f);
    announcer_hide(f->announcer, "a");
    assert_false(announcer_has(f->announcer, "a"));
    assert_nothing(f, ANNOUNCER_SPACING_MS);
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_next(f, "a", "");
    /* Shown again: what was said last still has to be digested. */
    show(f, "a", "1");
    done(f);
    assert_nothing(f, ANNOUNCER_SPACING_MS);
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_sent(f, "a", "1");
}

static void test_announcer_clears_nothing_that_was_never_sent(void **state)
{
    struct fixture *f = *state;
    show(f, "a", "1");
    announcer_hide(f->announcer, "a");
    announcer_hide(f->announcer, "b");
    assert_false(announcer_remove(f->announcer, "a", "job"));
    assert_false(announcer_remove(f->announcer, "c", "job"));
    assert_nothing(f, -1);
}

static void test_announcer_a_job_that_is_gone_goes_first_and_says_so(void **state)
{
    struct fixture *f = *state;
    standing(f, "a", "1");
    standing(f, "b", "1");
    show(f, "new", "1");
    announcer_hide(f->announcer, "a");
    assert_true(announcer_remove(f->announcer, "b", "job b"));
    assert_next(f, "b", "");
    assert_string_equal(f->sent.job_id, "job b");
    done(f);
    f->now_ms += ANNOUNCER_PACE_MS;
    assert_next(f, "a", "");
    assert_null(f->sent.job_id);
    done(f);
    f->now_ms += ANNOUNCER_PACE_MS;
    assert_sent(f, "new", "1");
}

static void test_announcer_a_job_that_comes_back_is_waited_for_no_more(void **state)
{
    struct fixture *f = *state;
    show(f, "a", "1");
    assert_next(f, "a", "1");
    assert_true(announcer_remove(f->announcer, "a", "job a"));
    show(f, "a", "1");
    done(f);
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_nothing(f, -1);
    assert_false(announcer_settle(f->announcer, f->now_ms, &f->sent));
}

static void test_announcer_the_bridge_comes_first_and_goes_last(void **state)
{
    struct fixture *f = *state;
    show(f, "a", "1");
    show(f, "bridge", "1");
    assert_sent(f, "bridge", "1");
    assert_sent(f, "a", "1");
    f->now_ms += ANNOUNCER_SPACING_MS;
    announcer_hide(f->announcer, "bridge");
    announcer_hide(f->announcer, "a");
    assert_sent(f, "a", "");
    assert_sent(f, "bridge", "");
}

static void test_announcer_a_review_hides_what_it_does_not_keep(void **state)
{
    struct fixture *f = *state;
    standing(f, "bridge", "1");
    standing(f, "a", "1");
    standing(f, "b", "1");
    standing(f, "c", "1");
    announcer_review_begin(f->announcer);
    assert_true(announcer_keep(f->announcer, "a", "1"));
    assert_false(announcer_keep(f->announcer, "b", "2"));
    show(f, "b", "2");
    assert_false(announcer_keep(f->announcer, "d", "1"));
    show(f, "d", "1");
    announcer_review_end(f->announcer);
    assert_sent(f, "c", "");
    assert_sent(f, "b", "2");
    assert_sent(f, "d", "1");
    assert_nothing(f, -1);
}

/* ---- What stands at the broker */

static void test_announcer_found_as_wanted_is_not_sent(void **state)
{
    struct fixture *f = *state;
    found(f, "a", "1");
    found(f, "b", "1");
    found(f, "c", "1");
    announcer_read_end(f->announcer);
    assert_true(announcer_has(f->announcer, "a"));
    assert_nothing(f, -1);
    assert_true(announcer_is_idle(f->announcer));
    show(f, "a", "1");
    show(f, "b", "2");
    announcer_review_begin(f->announcer);
    assert_true(announcer_keep(f->announcer, "a", "1") && announcer_keep(f->announcer, "b", "2"));
    announcer_review_end(f->announcer);
    /* Home Assistant may just be reading the same. */
    assert_nothing(f, ANNOUNCER_SPACING_MS);
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_sent(f, "c", "");
    assert_sent(f, "b", "2");
    assert_nothing(f, -1);
}

static void test_announcer_sends_again_what_the_broker_has_lost(void **state)
{
    struct fixture *f = *state;
    standing(f, "a", "1");
    standing(f, "b", "1");
    standing(f, "c", "1");
    announcer_read_begin(f->announcer);
    found(f, "a", "1");
    announcer_hide(f->announcer, "c");
    announcer_read_end(f->announcer);
    /* "c" is cleared all the same: Home Assistant has not lost it. */
    assert_sent(f, "c", "");
    assert_sent(f, "b", "1");
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_nothing(f, -1);
}

/* The job came back before its device was cleared. */
static void test_announcer_what_was_to_go_and_was_lost_is_announced_where_it_comes_back(
    void **state)
{
    struct fixture *f = *state;
    standing(f, "a", "1");
    assert_true(announcer_remove(f->announcer, "a", "job a"));
    announcer_read_begin(f->announcer);
    announcer_read_end(f->announcer);
    show(f, "a", "1");
    assert_sent(f, "a", "1");
    /* The same, and it goes for good: Home Assistant has to be told, and the job's state waits. */
    f->now_ms += ANNOUNCER_SPACING_MS;
    announcer_hide(f->announcer, "a");
    announcer_read_begin(f->announcer);
    announcer_read_end(f->announcer);
    show(f, "a", "1");
    assert_true(announcer_remove(f->announcer, "a", "job a"));
    assert_next(f, "a", "");
    assert_string_equal(f->sent.job_id, "job a");
    done(f);
    assert_false(announcer_remove(f->announcer, "a", "job a"));
}

/* Without a refusal that may pass, as one that is too large. */
static void test_announcer_what_was_given_up_does_not_stand_there(void **state)
{
    struct fixture *f = *state;
    show(f, "a", "1");
    assert_next(f, "a", "1");
    give_up(f);
    assert_false(announcer_remove(f->announcer, "a", "job a"));
    f->now_ms += ANNOUNCER_SPACING_MS;
    announcer_again(f->announcer);
    assert_nothing(f, -1);
    assert_true(announcer_is_idle(f->announcer));
}

static void test_announcer_mends_what_the_broker_has_of_before(void **state)
{
    struct fixture *f = *state;
    standing(f, "a", "1");
    show(f, "a", "2");
    assert_sent(f, "a", "2");
    f->now_ms += ANNOUNCER_SPACING_MS;
    announcer_read_begin(f->announcer);
    found(f, "a", "1");
    found(f, "b", "1");
    announcer_read_end(f->announcer);
    announcer_hide(f->announcer, "b");
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_sent(f, "b", "");
    assert_sent(f, "a", "2");
}

static void test_announcer_what_is_on_the_way_is_newer_than_what_is_found(void **state)
{
    struct fixture *f = *state;
    standing(f, "a", "1");
    show(f, "a", "2");
    assert_next(f, "a", "2");
    announcer_read_begin(f->announcer);
    found(f, "a", "1");
    announcer_read_end(f->announcer);
    done(f);
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_nothing(f, -1);
    show(f, "b", "1");
    assert_next(f, "b", "1");
    announcer_read_begin(f->announcer);
    done(f);
    announcer_read_end(f->announcer);
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_sent(f, "a", "2");
    assert_nothing(f, -1);
}

static void show_with_farewell(struct fixture *f, const char *farewell, const char *payload)
{
    announcer_show(f->announcer,
        &(struct announcer_device){.topic = "a",
            .kind = ANNOUNCER_JOB,
            .name = payload,
            .farewell = farewell,
            .farewell_length = strlen(farewell)},
        payload, strlen(payload));
}

static void test_announcer_says_farewell_before_what_is_new(void **state)
{
    struct fixture *f = *state;
    size_t length = 0;
    assert_null(announcer_standing(f->announcer, "a", &length));
    found(f, "a", "old");
    announcer_read_end(f->announcer);
    assert_string_equal(announcer_standing(f->announcer, "a", &length), "old");
    assert_int_equal(length, 3);
    show_with_farewell(f, "bye", "new");
    assert_null(announcer_standing(f->announcer, "a", &length));
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_sent(f, "a", "bye");
    assert_nothing(f, ANNOUNCER_SPACING_MS - ANNOUNCER_PACE_MS);
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_sent(f, "a", "new");
    assert_nothing(f, -1);
}

static void test_announcer_says_farewell_again_where_it_was_refused(void **state)
{
    struct fixture *f = *state;
    found(f, "a", "old");
    announcer_read_end(f->announcer);
    show_with_farewell(f, "bye", "new");
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_next(f, "a", "bye");
    give_up(f);
    announcer_again(f->announcer);
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_sent(f, "a", "bye");
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_sent(f, "a", "new");
    /* Nobody needs it any more. */
    found(f, "b", "old");
    announcer_hide(f->announcer, "a");
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_sent(f, "a", "");
}

static bool find_one(struct fixture *f, int number, const char *payload, size_t length)
{
    char topic[32];
    snprintf(topic, sizeof topic, "d%d", number);
    return announcer_found(f->announcer, topic, ANNOUNCER_JOB, payload, length, f->now_ms);
}

static void test_announcer_has_room_for_so_many_that_are_found(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < LIMIT_DEVICES; i++) {
        assert_int_equal(announcer_has_room(f->announcer), i <= LIMIT_DEVICES / 2);
        assert_true(find_one(f, i, "1", 1));
    }
    assert_false(find_one(f, LIMIT_DEVICES, "1", 1));
    assert_true(find_one(f, 7, "2", 1));
    /* What is to be shown always has room. */
    show(f, "a", "1");
    assert_sent(f, "a", "1");
}

static void test_announcer_has_room_for_so_many_bytes(void **state)
{
    struct fixture *f = *state;
    char *payload = xmalloc(LIMIT_DISCOVERY);
    int count = 0;
    memset(payload, 'x', LIMIT_DISCOVERY);
    while (find_one(f, count, payload, LIMIT_DISCOVERY))
        count++;
    assert_within(
        count, LIMIT_DEVICES_BYTES / LIMIT_DISCOVERY - 1, LIMIT_DEVICES_BYTES / LIMIT_DISCOVERY);
    /* Small ones that somebody makes large later: they are known, and their payloads are not. */
    while (find_one(f, ++count, "1", 1))
        continue;
    assert_true(find_one(f, count - 1, payload, LIMIT_DISCOVERY));
    f->seen = false;
    f->now_ms += ANNOUNCER_SPACING_MS;
    announcer_hide(f->announcer, "d0");
    assert_sent(f, "d0", "");
    announcer_repeat(f->announcer, f->now_ms);
    f->now_ms += ANNOUNCER_SPACING_MS;
    payload[LIMIT_DISCOVERY - 1] = '\0';
    assert_true(announcer_next(f->announcer, f->now_ms, &f->sent, &f->wake_ms));
    assert_int_equal(f->sent.length, LIMIT_DISCOVERY);
    free(payload);
}

/* ---- Home Assistant comes and goes */

static void test_announcer_repeats_everything_from_the_given_time_on(void **state)
{
    struct fixture *f = *state;
    standing(f, "a", "1");
    standing(f, "bridge", "1");
    announcer_repeat(f->announcer, f->now_ms + 2000);
    assert_nothing(f, 2000);
    f->now_ms += 2000;
    assert_sent(f, "bridge", "1");
    assert_sent(f, "a", "1");
    assert_nothing(f, -1);
}

static void test_announcer_repeats_no_earlier_than_the_spacing(void **state)
{
    struct fixture *f = *state;
    show(f, "a", "1");
    assert_next(f, "a", "1");
    done(f);
    announcer_repeat(f->announcer, f->now_ms + 1);
    assert_nothing(f, ANNOUNCER_SPACING_MS);
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_sent(f, "a", "1");
}

static void test_announcer_makes_removals_again_that_nobody_saw(void **state)
{
    struct fixture *f = *state;
    standing(f, "a", "1");
    standing(f, "b", "1");
    announcer_hide(f->announcer, "b");
    assert_sent(f, "b", "");
    f->seen = false;
    announcer_hide(f->announcer, "a");
    assert_sent(f, "a", "");
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_nothing(f, -1);
    announcer_repeat(f->announcer, f->now_ms);
    f->seen = true;
    assert_sent(f, "a", "1");
    assert_nothing(f, ANNOUNCER_SPACING_MS - ANNOUNCER_PACE_MS);
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_sent(f, "a", "");
    f->now_ms += ANNOUNCER_SPACING_MS;
    announcer_repeat(f->announcer, f->now_ms);
    assert_nothing(f, -1);
}

static void test_announcer_an_unseen_removal_is_forgotten_when_the_device_is_back(void **state)
{
    struct fixture *f = *state;
    standing(f, "a", "1");
    f->seen = false;
    announcer_hide(f->announcer, "a");
    assert_sent(f, "a", "");
    show(f, "a", "2");
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_sent(f, "a", "2");
    f->now_ms += ANNOUNCER_SPACING_MS;
    announcer_repeat(f->announcer, f->now_ms);
    assert_sent(f, "a", "2");
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_nothing(f, -1);
}

static void test_announcer_remembers_the_last_unseen_removals(void **state)
{
    struct fixture *f = *state;
    f->seen = false;
    for (const char *topic = "a\0b\0c\0d\0e\0"; *topic != '\0'; topic += 2) {
        standing(f, topic, "1");
        announcer_hide(f->announcer, topic);
        assert_sent(f, topic, "");
    }
    announcer_repeat(f->announcer, f->now_ms);
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_sent(f, "c", "1");
    assert_sent(f, "d", "1");
    assert_sent(f, "e", "1");
    assert_nothing(f, ANNOUNCER_SPACING_MS - 3 * ANNOUNCER_PACE_MS);
}

/* ---- The broker refuses */

static void test_announcer_what_was_refused_waits_until_it_may_be_taken(void **state)
{
    struct fixture *f = *state;
    standing(f, "a", "1");
    show(f, "a", "2");
    show(f, "b", "1");
    assert_next(f, "a", "2");
    give_up(f);
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_sent(f, "b", "1");
    assert_nothing(f, -1);
    assert_false(announcer_is_idle(f->announcer));
    announcer_again(f->announcer);
    assert_sent(f, "a", "2");
    assert_nothing(f, -1);
}

static void test_announcer_a_clearing_that_was_refused_is_made_again(void **state)
{
    struct fixture *f = *state;
    standing(f, "a", "1");
    show(f, "a", "2");
    assert_next(f, "a", "2");
    give_up(f);
    /* What stood there before is there still. */
    announcer_hide(f->announcer, "a");
    announcer_again(f->announcer);
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_next(f, "a", "");
    give_up(f);
    f->now_ms += ANNOUNCER_SPACING_MS;
    assert_nothing(f, -1);
    /* A new connection may mend it as well. */
    announcer_read_begin(f->announcer);
    announcer_read_end(f->announcer);
    assert_sent(f, "a", "");
}

/* ---- The end */

static void test_announcer_settles_with_everyone_who_waits(void **state)
{
    struct fixture *f = *state;
    standing(f, "a", "1");
    standing(f, "b", "1");
    standing(f, "c", "1");
    show(f, "b", "2");
    assert_sent(f, "b", "2");
    assert_true(announcer_remove(f->announcer, "a", "job a"));
    assert_true(announcer_remove(f->announcer, "b", "job b"));
    show(f, "d", "1");
    assert_true(announcer_settle(f->announcer, f->now_ms, &f->sent));
    assert_string_equal(f->sent.topic, "a");
    assert_int_equal(f->sent.length, 0);
    assert_string_equal(f->sent.job_id, "job a");
    /* Too short a time after the last message about it. */
    assert_true(announcer_settle(f->announcer, f->now_ms, &f->sent));
    assert_null(f->sent.topic);
    assert_string_equal(f->sent.job_id, "job b");
    assert_false(announcer_settle(f->announcer, f->now_ms, &f->sent));
}

/* ---- All of it, by chance: the rules hold, and each calm ends with all as it should be. */

#define TOPICS 6
#define ROUND  2000 /* steps */
#define CALM   500  /* of them, at the end of a round */

struct walk {
    const char *broker[TOPICS], *wanted[TOPICS];
    const char *before; /* what is on the way is to take this one's place */
    int64_t last_ms[TOPICS], any_ms;
    size_t way; /* TOPICS: nothing is on it */
    unsigned random;
};

static const char *const walk_topics[TOPICS] = {"bridge", "a", "b", "c", "d", "e"};
static const char *const walk_payloads[] = {"1", "2", "3"};

/* The broker lost a topic, and the connection was lost with it. */
static void walk_lose(struct fixture *f, struct walk *walk, size_t i)
{
    if (walk->way != i)
        walk->broker[i] = NULL;
    announcer_read_begin(f->announcer);
    for (size_t j = 0; j < TOPICS; j++)
        if (walk->broker[j])
            found(f, walk_topics[j], walk->broker[j]);
    announcer_read_end(f->announcer);
}

static void walk_end(struct fixture *f, struct walk *walk, bool calm)
{
    if (!calm && walk->random >> 12 & 4) {
        walk->broker[walk->way] = walk->before;
        give_up(f);
    } else {
        f->seen = calm || (walk->random >> 12 & 1);
        done(f);
    }
    walk->last_ms[walk->way] = f->now_ms;
    walk->way = TOPICS;
}

static void walk_send(struct fixture *f, struct walk *walk)
{
    size_t way = 0;
    while (strcmp(walk_topics[way], f->sent.topic) != 0)
        way++;
    assert_true(f->now_ms - walk->last_ms[way] >= ANNOUNCER_SPACING_MS);
    assert_true(f->now_ms - walk->any_ms >= ANNOUNCER_PACE_MS);
    walk->any_ms = f->now_ms;
    walk->way = way;
    walk->before = walk->broker[way];
    walk->broker[way] = NULL;
    for (size_t j = 0; j < 3; j++)
        if (f->sent.length > 0 && strcmp(walk_payloads[j], f->sent.payload) == 0)
            walk->broker[way] = walk_payloads[j];
}

static void walk_step(struct fixture *f, struct walk *walk, bool calm)
{
    walk->random = walk->random * 1103515245u + 12345u;
    unsigned chance = walk->random >> 12;
    size_t i = (walk->random >> 8) % TOPICS;
    unsigned what = calm ? 9 : (walk->random >> 16) % 10;
    f->now_ms += (walk->random >> 20) % (calm ? 2000 : 300);
    if (what < 2) {
        walk->wanted[i] = walk_payloads[chance % 3];
        show(f, walk_topics[i], walk->wanted[i]);
    } else if (what == 2) {
        walk->wanted[i] = NULL;
        announcer_hide(f->announcer, walk_topics[i]);
    } else if (what == 3 && chance % 20 == 0) {
        walk_lose(f, walk, i);
    } else if (what == 4 && chance % 20 == 0) {
        announcer_repeat(f->announcer, f->now_ms + 1000);
    } else if (what == 5) {
        announcer_again(f->announcer);
    } else if (walk->way < TOPICS) {
        walk_end(f, walk, calm);
    } else if (announcer_next(f->announcer, f->now_ms, &f->sent, &f->wake_ms)) {
        walk_send(f, walk);
    } else {
        assert_true(f->wake_ms > f->now_ms);
    }
}

static void test_announcer_random_walk_keeps_the_rules(void **state)
{
    struct fixture *f = *state;
    struct walk walk = {.any_ms = INT64_MIN / 2, .way = TOPICS, .random = 99};
    for (size_t i = 0; i < TOPICS; i++)
        walk.last_ms[i] = INT64_MIN / 2;
    for (int step = 0; step < 50 * ROUND; step++) {
        if (step % ROUND == ROUND - CALM)
            announcer_again(f->announcer);
        walk_step(f, &walk, step % ROUND >= ROUND - CALM);
        if (step % ROUND < ROUND - 1)
            continue;
        assert_true(announcer_is_idle(f->announcer));
        for (size_t i = 0; i < TOPICS; i++)
            assert_ptr_equal(walk.broker[i], walk.wanted[i]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_announcer_##name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(sends_what_is_new_and_nothing_twice),
        TEST(spaces_messages_about_one_device_and_sends_the_latest),
        TEST(one_is_on_the_way_and_ten_a_second),
        TEST(changed_on_the_way_is_sent_again),
        TEST(hides_after_the_spacing_only),
        TEST(clears_nothing_that_was_never_sent),
        TEST(a_job_that_is_gone_goes_first_and_says_so),
        TEST(a_job_that_comes_back_is_waited_for_no_more),
        TEST(the_bridge_comes_first_and_goes_last),
        TEST(a_review_hides_what_it_does_not_keep),
        TEST(found_as_wanted_is_not_sent),
        TEST(sends_again_what_the_broker_has_lost),
        TEST(has_room_for_so_many_that_are_found),
        TEST(has_room_for_so_many_bytes),
        TEST(what_was_to_go_and_was_lost_is_announced_where_it_comes_back),
        TEST(what_was_given_up_does_not_stand_there),
        TEST(mends_what_the_broker_has_of_before),
        TEST(what_is_on_the_way_is_newer_than_what_is_found),
        TEST(says_farewell_before_what_is_new),
        TEST(says_farewell_again_where_it_was_refused),
        TEST(repeats_everything_from_the_given_time_on),
        TEST(repeats_no_earlier_than_the_spacing),
        TEST(makes_removals_again_that_nobody_saw),
        TEST(an_unseen_removal_is_forgotten_when_the_device_is_back),
        TEST(remembers_the_last_unseen_removals),
        TEST(what_was_refused_waits_until_it_may_be_taken),
        TEST(a_clearing_that_was_refused_is_made_again),
        TEST(settles_with_everyone_who_waits),
        TEST(random_walk_keeps_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
