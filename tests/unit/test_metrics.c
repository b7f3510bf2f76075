#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "job.h"
#include "metrics.h"

struct fixture {
    struct counters counters;
    struct jobs *jobs;
    struct metrics metrics;
    struct buf out;
};

static const struct job_hidden nothing_hidden;

static int open_fixture(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->jobs = jobs_new(&nothing_hidden);
    fixture->metrics = (struct metrics){
        .counters = &fixture->counters,
        .jobs = fixture->jobs,
        .version = "1.2.3",
        .upstream_state = "polling",
        .now_ms = 50000,
        .now_unix_ms = 1700000050000,
        .started_unix_ms = 1700000000250,
        .process = {.cpu_us = 61000007, .resident_bytes = 123, .open_fds = 9, .max_fds = 1024},
    };
    buf_init(&fixture->out, 1 << 20);
    *state = fixture;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *fixture = *state;
    jobs_free(fixture->jobs);
    buf_clear(&fixture->out);
    free(fixture);
    return 0;
}

static void add_job(struct fixture *fixture, const char *text)
{
    struct job_update update = {0};
    struct job_change change;
    assert_int_equal(job_update_read(&update, text, strlen(text)), JOB_UPDATE_OK);
    jobs_apply(fixture->jobs, &update, JOBS_NOW, false, 0, &change);
    assert_non_null(change.job);
    jobs_set_unpublished(fixture->jobs, change.job);
    job_update_clear(&update);
}

static const char *written(struct fixture *fixture)
{
    buf_reset(&fixture->out);
    metrics_write(&fixture->out, &fixture->metrics);
    assert_false(fixture->out.failed);
    return fixture->out.data;
}

/* The whole line is there. */
static void assert_line(const char *text, const char *line)
{
    size_t length = strlen(line);
    for (const char *at = text; (at = strstr(at, line)); at += length)
        if ((at == text || at[-1] == '\n') && at[length] == '\n')
            return;
    fail_msg("no line %s", line);
}

static void test_metrics_show_what_is_true_now(void **state)
{
    struct fixture *fixture = *state;
    fixture->metrics.broker_connected = true;
    fixture->metrics.waiting_messages = 17;
    fixture->metrics.waiting_bytes = 4096;
    const char *text = written(fixture);
    assert_line(text, "aiva_bridge_build_info{version=\"1.2.3\"} 1");
    assert_line(text, "aiva_bridge_ready 0");
    assert_line(text, "aiva_bridge_broker_connected 1");
    assert_line(text, "aiva_bridge_upstream_state{state=\"polling\"} 1");
    assert_line(text, "aiva_bridge_upstream_state{state=\"streaming\"} 0");
    assert_line(text, "aiva_bridge_waiting_messages 17");
    assert_line(text, "aiva_bridge_waiting_bytes 4096");
    assert_line(text, "process_cpu_seconds_total 61.000007");
    assert_line(text, "process_resident_memory_bytes 123");
    assert_line(text, "process_start_time_seconds 1700000000.250");
}

static void test_metrics_show_what_was_counted(void **state)
{
    struct fixture *fixture = *state;
    fixture->counters.events = UINT64_MAX;
    fixture->counters.events_skipped[COUNTERS_SKIP_NOT_JSON] = 2;
    fixture->counters.refused[COUNTERS_REFUSED_POISON] = 3;
    fixture->counters.broker_failures[COUNTERS_BROKER_REFUSED] = 4;
    fixture->counters.stream_failures[COUNTERS_STREAM_IDLE] = 5;
    fixture->counters.commands[COUNTERS_BRIDGE_REFRESH][counters_outcome("timeout")] = 6;
    const char *text = written(fixture);
    assert_line(text, "aiva_bridge_stream_events_total 18446744073709551615");
    assert_line(text, "aiva_bridge_stream_events_skipped_total{reason=\"not_json\"} 2");
    assert_line(text, "aiva_bridge_publications_refused_total{reason=\"ends_connection\"} 3");
    assert_line(text, "aiva_bridge_broker_failures_total{cause=\"refused\"} 4");
    assert_line(text, "aiva_bridge_stream_failures_total{cause=\"idle\"} 5");
    assert_line(
        text, "aiva_bridge_commands_total{command=\"bridge_refresh\",outcome=\"timeout\"} 6");
    assert_line(text, "aiva_bridge_commands_total{command=\"cancel\",outcome=\"ok\"} 0");
}

static void test_histograms_add_up(void **state)
{
    struct fixture *fixture = *state;
    counters_note_latency(&fixture->counters, 0, 1);
    counters_note_latency(&fixture->counters, 0, 40);
    counters_note_latency(&fixture->counters, 0, 700000);
    counters_note_call(&fixture->counters, COUNTERS_GET_JOBS, 502, 1500);
    const char *text = written(fixture);
    assert_line(text, "aiva_bridge_event_latency_seconds_bucket{le=\"0.001\"} 1");
    assert_line(text, "aiva_bridge_event_latency_seconds_bucket{le=\"0.025\"} 1");
    assert_line(text, "aiva_bridge_event_latency_seconds_bucket{le=\"0.05\"} 2");
    assert_line(text, "aiva_bridge_event_latency_seconds_bucket{le=\"600\"} 2");
    assert_line(text, "aiva_bridge_event_latency_seconds_bucket{le=\"+Inf\"} 3");
    assert_line(text, "aiva_bridge_event_latency_seconds_sum 700.041");
    assert_line(text, "aiva_bridge_event_latency_seconds_count 3");
    assert_line(text, "aiva_bridge_rest_call_duration_seconds_bucket{endpoint=\"list\","
                      "code=\"5xx\",le=\"2.5\"} 1");
    assert_line(text, "aiva_bridge_rest_call_duration_seconds_sum{endpoint=\"list\",code=\"5xx\"} "
                      "1.500");
    assert_line(
        text, "aiva_bridge_rest_call_duration_seconds_count{endpoint=\"cancel\",code=\"none\"} 0");
}

static void test_moments_are_moved_to_the_clock_that_prometheus_has(void **state)
{
    struct fixture *fixture = *state;
    fixture->counters.last_event_ms = 49999;
    const char *text = written(fixture);
    assert_line(text, "aiva_bridge_last_stream_event_timestamp_seconds 1700000049.999");
    assert_line(text, "aiva_bridge_last_list_timestamp_seconds 0.000");
}

static void test_states_that_jobs_have_are_counted_and_escaped(void **state)
{
    struct fixture *fixture = *state;
    add_job(fixture, "{\"job_id\":\"a\",\"status\":\"queued\"}");
    add_job(fixture, "{\"job_id\":\"b\",\"status\":\"queued\"}");
    add_job(fixture, "{\"job_id\":\"c\",\"status\":\"odd \\\"\\\\ \\n state\"}");
    const char *text = written(fixture);
    assert_line(text, "aiva_bridge_jobs{state=\"queued\"} 2");
    assert_line(text, "aiva_bridge_jobs{state=\"failed\"} 0");
    assert_line(text, "aiva_bridge_jobs{state=\"odd \\\"\\\\ \\n state\"} 1");
    assert_line(text, "aiva_bridge_unpublished_jobs 3");
    jobs_remove(fixture->jobs, "b");
    jobs_set_published(fixture->jobs, jobs_find(fixture->jobs, "a"));
    assert_line(written(fixture), "aiva_bridge_unpublished_jobs 1");
}

/* Text format 0.0.4: HELP and TYPE once for each name, before its samples. */
static void test_every_sample_stands_below_its_name(void **state)
{
    struct fixture *fixture = *state;
    char name[128] = "";
    char *text = strdup(written(fixture)), *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) && *line != '\0';) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            size_t length = strcspn(line + 7, " ");
            assert_true(length < sizeof name);
            memcpy(name, line + 7, length);
            name[length] = '\0';
        } else if (strncmp(line, "# TYPE ", 7) == 0) {
            assert_memory_equal(line + 7, name, strlen(name));
        } else {
            assert_memory_equal(line, name, strlen(name));
            assert_non_null(strchr(line, ' '));
        }
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_metrics_show_what_is_true_now, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(
            test_metrics_show_what_was_counted, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(test_histograms_add_up, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(
            test_moments_are_moved_to_the_clock_that_prometheus_has, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(
            test_states_that_jobs_have_are_counted_and_escaped, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(
            test_every_sample_stands_below_its_name, open_fixture, close_fixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
