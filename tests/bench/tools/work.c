/* The texts of jobs and events, as AIVA writes them and as the bridge publishes them. */
#include "work.h"

#include <string.h>

#include "rig.h"

#define CREATED  "\"created_at\": \"2026-03-09T10:26:09Z\""
#define UPDATED  "\"updated_at\": \"2026-03-09T10:26:54Z\""
#define OBSERVED "\"observed_at\":\"2026-03-09T10:26:56.118Z\""
#define ENDED    "\"completed_at\": \"2026-03-09T10:45:00Z\""

/* printf would cost more than all the rest that is done with an event. */
static char *put_text(char *at, const char *text)
{
    size_t length = strlen(text);

    memcpy(at, text, length);
    return at + length;
}

static char *put_number(char *at, uint64_t number)
{
    char digits[20];
    size_t count = 0;

    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (count > 0)
        *at++ = digits[--count];
    return at;
}

static char *put_id(char *at, uint64_t job)
{
    at = put_text(at, "job_");
    for (int i = 6; i >= 0; i--) {
        at[i] = (char)('0' + job % 10);
        job /= 10;
    }
    return at + 7;
}

static char *put_member(char *at, const char *before, const char *text)
{
    return put_text(put_text(at, before), text);
}

/* ---- Which job */

struct work work_make(const struct work_options *options)
{
    long active = options->active > 0 ? options->active : options->jobs;

    if (options->jobs < 1 || options->jobs > WORK_MOST_JOBS || active > options->jobs)
        rig_die("--jobs: from 1 to %d; --active: at most as many", WORK_MOST_JOBS);
    return (struct work){(uint64_t)options->jobs, (uint64_t)active, (uint64_t)options->events};
}

static uint64_t stride(const struct work *work)
{
    return work->jobs / work->active;
}

bool work_is_active(const struct work *work, uint64_t job)
{
    return job % stride(work) == 0 && job / stride(work) < work->active;
}

uint64_t work_job_of(const struct work *work, uint64_t event)
{
    return event % work->active * stride(work);
}

uint64_t work_seq_of(const struct work *work, uint64_t event)
{
    return event / work->active;
}

uint64_t work_events_of(const struct work *work, uint64_t job)
{
    uint64_t place = job / stride(work);

    if (!work_is_active(work, job))
        return 0;
    return work->events / work->active + (place < work->events % work->active ? 1 : 0);
}

static bool is_last(const struct work *work, uint64_t event)
{
    return event + work->active >= work->events;
}

/* ---- Its text */

static const char *status_of(uint64_t seq, bool last)
{
    if (last)
        return "completed";
    return seq % WORK_STATUS_EVERY == WORK_STATUS_EVERY - 1 ? "queued" : "processing";
}

static const char *message_of(uint64_t seq, bool last)
{
    static const char *const messages[] = {
        "Running quality control...",
        "Aligning reads to GRCh38...",
        "Calling variants on chr12...",
        "Running variant annotation...",
        "Ranking candidate variants...",
    };

    if (last)
        return "Job completed successfully.";
    return messages[seq / 8 % (sizeof messages / sizeof messages[0])];
}

size_t work_event(const struct work *work, uint64_t event, uint64_t t_ns, char *out)
{
    uint64_t seq = work_seq_of(work, event);
    bool last = is_last(work, event);
    char *at = put_id(put_text(out, "{\"job_id\": \""), work_job_of(work, event));

    at = put_member(at, "\", \"status\": \"", status_of(seq, last));
    at = put_number(put_text(at, "\", \"progress\": "), last ? 100 : seq % 100);
    at = put_member(at, ", \"message\": \"", message_of(seq, last));
    at = put_number(put_text(at, "\", \"seq\": "), seq);
    at = put_number(put_text(at, ", \"t\": "), t_ns);
    return (size_t)(put_text(at, "}") - out);
}

size_t work_state(const struct work *work, uint64_t event, uint64_t t_ns, char *out)
{
    uint64_t seq = work_seq_of(work, event);
    bool last = is_last(work, event);
    char *at = put_id(put_text(out, "{\"job_id\":\""), work_job_of(work, event));

    at = put_member(at, "\",\"status\":\"", status_of(seq, last));
    at = put_text(at, "\",\"sample_name\":\"NA12878-duo\",\"created_at\":\"2026-03-09T10:26:09Z\","
                      "\"updated_at\":\"2026-03-09T10:26:54Z\",\"progress\":");
    at = put_number(at, last ? 100 : seq % 100);
    at = put_member(at, ",\"message\":\"", message_of(seq, last));
    at = put_number(put_text(at, "\",\"seq\":"), seq);
    at = put_number(put_text(at, ",\"t\":"), t_ns);
    return (size_t)(put_text(at, "," OBSERVED "}") - out);
}

size_t work_listed(const struct work *work, uint64_t job, char *out)
{
    bool active = work_is_active(work, job);
    char *at = put_id(put_text(out, "{\"job_id\": \""), job);

    at = put_member(at, "\", \"status\": \"", active ? "processing" : "completed");
    at = put_text(at, "\", \"sample_name\": \"NA12878-duo\", " CREATED);
    return (size_t)(put_text(at, active ? "}" : ", " ENDED "}") - out);
}

size_t work_listed_state(const struct work *work, uint64_t job, char *out)
{
    bool active = work_is_active(work, job);
    char *at = put_id(put_text(out, "{\"job_id\":\""), job);

    at = put_member(at, "\",\"status\":\"", active ? "processing" : "completed");
    at = put_text(at, "\",\"sample_name\":\"NA12878-duo\",\"created_at\":\"2026-03-09T10:26:09Z\"");
    if (!active)
        at = put_text(at, ",\"completed_at\":\"2026-03-09T10:45:00Z\",\"progress\":100");
    return (size_t)(put_text(at, "," OBSERVED "}") - out);
}

size_t work_status(const struct work *work, uint64_t job, char *out)
{
    char *at = put_id(put_text(out, "{\"job_id\": \""), job);

    if (work_is_active(work, job))
        at = put_text(at, "\", \"status\": \"processing\", \"progress\": 0, \"message\": "
                          "\"Running quality control...\", " CREATED ", " UPDATED "}");
    else
        at = put_text(at, "\", \"status\": \"completed\", \"progress\": 100, " CREATED ", " UPDATED
                          ", " ENDED "}");
    return (size_t)(at - out);
}

int64_t work_job_at(const char *text, size_t length)
{
    int64_t job = 0;

    if (length < WORK_ID_SIZE - 1 || memcmp(text, "job_", 4) != 0)
        return -1;
    for (size_t i = 4; i < WORK_ID_SIZE - 1; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        job = job * 10 + (text[i] - '0');
    }
    return job;
}
