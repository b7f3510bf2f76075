/* The texts of jobs and events, as AIVA writes them and as the bridge publishes them. */
#include "work.h"

#include <string.h>

#define SAMPLE  "\"sample_name\": \"NA12878-duo\", "
#define CREATED "\"created_at\": \"2026-03-09T10:26:09Z\""
#define UPDATED "\"updated_at\": \"2026-03-09T10:26:54Z\""
#define ENDED   "\"completed_at\": \"2026-03-09T10:45:00Z\""

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

uint64_t work_events_of(uint64_t events, uint64_t jobs, uint64_t job)
{
    return events / jobs + (job < events % jobs ? 1 : 0);
}

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

static char *put_progress(char *at, uint64_t seq, bool last)
{
    return put_number(put_text(at, ", \"progress\": "), last ? 100 : seq % 100);
}

static char *put_measure(char *at, uint64_t seq, uint64_t t_ns)
{
    at = put_number(put_text(at, ", \"seq\": "), seq);
    return put_number(put_text(at, ", \"t\": "), t_ns);
}

size_t work_event(char *out, uint64_t job, uint64_t seq, uint64_t t_ns, bool last)
{
    char *at = put_id(put_text(out, "{\"job_id\": \""), job);

    at = put_member(at, "\", \"status\": \"", status_of(seq, last));
    at = put_progress(put_text(at, "\""), seq, last);
    at = put_member(at, ", \"message\": \"", message_of(seq, last));
    at = put_measure(put_text(at, "\""), seq, t_ns);
    return (size_t)(put_text(at, "}") - out);
}

size_t work_state(char *out, uint64_t job, uint64_t seq, uint64_t t_ns, bool last)
{
    char *at = put_id(put_text(out, "{\"job_id\":\""), job);

    at = put_member(at, "\",\"status\":\"", status_of(seq, last));
    at = put_text(at,
        "\",\"sample_name\":\"NA12878-duo\","
        "\"created_at\":\"2026-03-09T10:26:09Z\",\"updated_at\":\"2026-03-09T10:26:54Z\"");
    at = put_number(put_text(at, ",\"progress\":"), last ? 100 : seq % 100);
    at = put_member(at, ",\"message\":\"", message_of(seq, last));
    at = put_number(put_text(at, "\",\"seq\":"), seq);
    at = put_number(put_text(at, ",\"t\":"), t_ns);
    return (size_t)(put_text(at, ",\"observed_at\":\"2026-03-09T10:26:56.118Z\"}") - out);
}

size_t work_listed(char *out, uint64_t job, bool unfinished)
{
    char *at = put_id(put_text(out, "{\"job_id\": \""), job);

    at = put_member(at, "\", \"status\": \"", unfinished ? "processing" : "completed");
    at = put_text(at, "\", " SAMPLE CREATED);
    return (size_t)(put_text(at, unfinished ? "}" : ", " ENDED "}") - out);
}

size_t work_listed_state(char *out, uint64_t job, bool unfinished)
{
    char *at = put_id(put_text(out, "{\"job_id\":\""), job);

    at = put_member(at, "\",\"status\":\"", unfinished ? "processing" : "completed");
    at = put_text(at, "\",\"sample_name\":\"NA12878-duo\",\"created_at\":\"2026-03-09T10:26:09Z\"");
    if (!unfinished)
        at = put_text(at, ",\"completed_at\":\"2026-03-09T10:45:00Z\",\"progress\":100");
    return (size_t)(put_text(at, ",\"observed_at\":\"2026-03-09T10:26:56.118Z\"}") - out);
}

size_t work_status(char *out, uint64_t job, bool unfinished)
{
    char *at = put_id(put_text(out, "{\"job_id\": \""), job);

    if (unfinished)
        at = put_text(at, "\", \"status\": \"processing\", \"progress\": 0, "
                          "\"message\": \"Running quality control...\", " CREATED ", " UPDATED "}");
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
