/* The log: one line a message on standard error, as text or JSON, safe to show on a terminal.
 * Lines are made in a fixed buffer, so that logging works when memory is short. */
#include "log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "escape.h"
#include "logwriter.h"
#include "secret.h"

enum {
    LINE_SIZE = 8192,
    LIMIT_PERIOD_MS = 60 * 1000,
    LIMIT_LONGEST_MS = 16 * LIMIT_PERIOD_MS,
};

#define CUT_MARK "..."
/* The end of the longest line: the mark, `"}` and the newline. */
#define END_SIZE (sizeof CUT_MARK - 1 + 3)

enum log_level log_threshold = LOG_LEVEL_INFO;
static enum log_format line_format = LOG_FORMAT_TEXT;
static bool to_journal;

struct line {
    bool json;
    size_t length;
    bool cut;
    char bytes[LINE_SIZE];
};

/* Whether the journal reads standard error: systemd says which stream is its own, as children of a
 * service may have others (systemd.exec(5), $JOURNAL_STREAM). */
static bool journal_reads(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char own[64];
    struct stat found;

    if (stream == NULL || fstat(STDERR_FILENO, &found) != 0)
        return false;
    snprintf(own, sizeof own, "%ju:%ju", (uintmax_t)found.st_dev, (uintmax_t)found.st_ino);
    return strcmp(own, stream) == 0;
}

void log_setup(enum log_level level, enum log_format format)
{
    log_threshold = level;
    line_format = format;
    to_journal = journal_reads();
}

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_ERROR:
        return "error";
    case LOG_LEVEL_WARN:
        return "warn";
    case LOG_LEVEL_INFO:
        return "info";
    case LOG_LEVEL_DEBUG:
        return "debug";
    }
    return "unknown";
}

/* Adds all of the bytes or none; after the first that do not fit, nothing more is added. */
static void put(struct line *line, const char *bytes, size_t length)
{
    if (line->cut || length > LINE_SIZE - END_SIZE - line->length) {
        line->cut = true;
        return;
    }
    memcpy(line->bytes + line->length, bytes, length);
    line->length += length;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static void put_escaped(struct line *line, const char *text)
{
    size_t left = strlen(text);

    while (left > 0 && !line->cut) {
        struct escaped shown;
        size_t used = escape_next(text, left, line->json, &shown);

        put(line, shown.at, shown.length);
        text += used;
        left -= used;
    }
}

/* In the log's levels, those of syslog; systemd's journal takes them from here (sd-daemon(3)). */
static void put_priority(struct line *line, enum log_level level)
{
    static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"};

    if (to_journal)
        put_text(line, priorities[level]);
}

static void put_head(struct line *line, enum log_level level, const char *tag)
{
    bool json = line->json;
    char now[CLOCK_TEXT_SIZE];

    clock_format(clock_unix_ms(), now);
    put_priority(line, level);
    put_text(line, json ? "{\"time\":\"" : "");
    put_text(line, now);
    put_text(line, json ? "\",\"level\":\"" : " ");
    put_text(line, level_name(level));
    put_text(line, json ? "\",\"tag\":\"" : " ");
    put_escaped(line, tag);
    put_text(line, json ? "\",\"message\":\"" : ": ");
}

/* Goes into the room that put() leaves. */
static void put_end(struct line *line)
{
    const char *end = line->json ? "\"}\n" : "\n";

    if (line->cut) {
        memcpy(line->bytes + line->length, CUT_MARK, sizeof CUT_MARK - 1);
        line->length += sizeof CUT_MARK - 1;
    }
    memcpy(line->bytes + line->length, end, strlen(end));
    line->length += strlen(end);
}

void log_write(enum log_level level, const char *tag, const char *format, ...)
{
    int kept_errno = errno;
    /* As long as a line: what does not fit here would not fit there, and the line says it is cut.
     */
    char message[LINE_SIZE];
    struct line line = {.json = line_format == LOG_FORMAT_JSON};
    va_list args;

    if (level > log_threshold)
        return;
    va_start(args, format);
    if (vsnprintf(message, sizeof message, format, args) < 0)
        snprintf(message, sizeof message, "(message cannot be formatted) %s", format);
    va_end(args);
    secret_mask(message);

    put_head(&line, level, tag);
    put_escaped(&line, message);
    put_end(&line);
    logwriter_put(line.bytes, line.length);
    errno = kept_errno;
}

void log_last_words(const char *text)
{
    char message[LINE_SIZE];
    struct line line = {.json = false};

    snprintf(message, sizeof message, "%s", text);
    secret_mask(message);
    put_priority(&line, LOG_LEVEL_ERROR);
    put_text(&line, "aiva-mqtt-bridge: ");
    put_escaped(&line, message);
    put_end(&line);
    logwriter_put(line.bytes, line.length);
}

/* On the thread that writes. */
static size_t describe_lost(uint64_t lost, char *out, size_t size)
{
    struct line line = {.json = line_format == LOG_FORMAT_JSON};
    char message[96];

    snprintf(message, sizeof message, "%llu line%s of the log %s lost: nobody read them in time",
        (unsigned long long)lost, lost == 1 ? "" : "s", lost == 1 ? "was" : "were");
    put_head(&line, LOG_LEVEL_WARN, "log");
    put_escaped(&line, message);
    put_end(&line);
    assert(line.length <= size);
    memcpy(out, line.bytes, line.length);
    return line.length;
}

void log_start(void)
{
    if (!logwriter_start(describe_lost))
        log_write(LOG_LEVEL_WARN, "log",
            "no thread can be started for the log: whoever does not read it stops the bridge");
}

void log_change_level(int by)
{
    int old = (int)log_threshold, new = old + by;
    if (new < LOG_LEVEL_ERROR)
        new = LOG_LEVEL_ERROR;
    if (new > LOG_LEVEL_DEBUG)
        new = LOG_LEVEL_DEBUG;
    int more = new > old ? new : old;
    log_threshold = (enum log_level)more;
    log_write(more < LOG_LEVEL_INFO ? (enum log_level)more : LOG_LEVEL_INFO, "log",
        new == old ? "the log level is %s already" : "the log level is %s from now on",
        level_name((enum log_level) new));
    log_threshold = (enum log_level) new;
}

bool log_limit_pass_within(struct log_limit *limit, int64_t now_ms, int64_t first_ms,
    int64_t longest_ms, unsigned *suppressed)
{
    if (now_ms < limit->next_ms) {
        limit->suppressed++;
        return false;
    }
    bool goes_on = limit->suppressed > 0 && now_ms - limit->next_ms < limit->period_ms;
    limit->period_ms = goes_on ? 2 * limit->period_ms : first_ms;
    if (limit->period_ms > longest_ms)
        limit->period_ms = longest_ms;
    *suppressed = limit->suppressed;
    limit->suppressed = 0;
    limit->next_ms = now_ms + limit->period_ms;
    return true;
}

bool log_limit_pass(struct log_limit *limit, int64_t now_ms, unsigned *suppressed)
{
    return log_limit_pass_within(limit, now_ms, LIMIT_PERIOD_MS, LIMIT_LONGEST_MS, suppressed);
}
