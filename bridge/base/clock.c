/* The two clocks, and RFC 3339 text of the one that people read. */
#include "clock.h"

#include <string.h>
#include <time.h>

#define EARLIEST_MS INT64_C(-62167219200000) /* 0000-01-01T00:00:00.000Z */
#define LATEST_MS   INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

static int64_t read_ms(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now); /* cannot fail for these clocks and a valid pointer */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_monotonic_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

int64_t clock_unix_ms(void)
{
    return read_ms(CLOCK_REALTIME);
}

static void put_number(char *out, int width, int value)
{
    for (int i = width - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

void clock_format(int64_t unix_ms, char out[static CLOCK_TEXT_SIZE])
{
    struct tm tm;
    time_t seconds;
    int ms;

    if (unix_ms < EARLIEST_MS)
        unix_ms = EARLIEST_MS;
    if (unix_ms > LATEST_MS)
        unix_ms = LATEST_MS;
    ms = (int)((unix_ms % 1000 + 1000) % 1000);
    seconds = (time_t)((unix_ms - ms) / 1000);
    gmtime_r(&seconds, &tm);

    memcpy(out, "yyyy-mm-ddThh:mm:ss.mmmZ", CLOCK_TEXT_SIZE);
    put_number(out, 4, tm.tm_year + 1900);
    put_number(out + 5, 2, tm.tm_mon + 1);
    put_number(out + 8, 2, tm.tm_mday);
    put_number(out + 11, 2, tm.tm_hour);
    put_number(out + 14, 2, tm.tm_min);
    put_number(out + 17, 2, tm.tm_sec);
    put_number(out + 20, 3, ms);
}

/* What is left to read. */
struct cursor {
    const char *at;
    const char *end;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads exactly `width` digits, as a number in [least, most]. */
static bool read_number(struct cursor *in, int width, int least, int most, int *value)
{
    int number = 0;

    if (in->end - in->at < width)
        return false;
    for (int i = 0; i < width; i++, in->at++) {
        if (!is_digit(*in->at))
            return false;
        number = number * 10 + (*in->at - '0');
    }
    *value = number;
    return number >= least && number <= most;
}

/* Reads one character that is in `allowed`. */
static bool read_one_of(struct cursor *in, const char *allowed)
{
    if (in->at == in->end || *in->at == '\0' || strchr(allowed, *in->at) == NULL)
        return false;
    in->at++;
    return true;
}

static bool read_date(struct cursor *in, struct tm *tm)
{
    if (!read_number(in, 4, 0, 9999, &tm->tm_year) || !read_one_of(in, "-") ||
        !read_number(in, 2, 1, 12, &tm->tm_mon) || !read_one_of(in, "-"))
        return false;
    tm->tm_year -= 1900;
    tm->tm_mon -= 1;
    return read_number(in, 2, 1, 31, &tm->tm_mday);
}

static bool read_time(struct cursor *in, struct tm *tm)
{
    return read_number(in, 2, 0, 23, &tm->tm_hour) && read_one_of(in, ":") &&
           read_number(in, 2, 0, 59, &tm->tm_min) && read_one_of(in, ":") &&
           read_number(in, 2, 0, 60, &tm->tm_sec);
}

/* An optional fraction; what is finer than a millisecond is dropped. */
static bool read_fraction(struct cursor *in, int *ms)
{
    int scale = 100;

    *ms = 0;
    if (!read_one_of(in, "."))
        return true;
    if (in->at == in->end || !is_digit(*in->at))
        return false;
    for (; in->at < in->end && is_digit(*in->at); in->at++, scale /= 10)
        *ms += scale * (*in->at - '0');
    return true;
}

static bool read_offset(struct cursor *in, int *seconds)
{
    int hours, minutes;
    bool east;

    *seconds = 0;
    if (read_one_of(in, "Zz"))
        return true;
    east = in->at < in->end && *in->at == '+';
    if (!read_one_of(in, "+-") || !read_number(in, 2, 0, 23, &hours) || !read_one_of(in, ":") ||
        !read_number(in, 2, 0, 59, &minutes))
        return false;
    *seconds = (east ? 1 : -1) * (hours * 3600 + minutes * 60);
    return true;
}

/* Seconds since 1970 without regard to the offset. False where the month has no such day. */
static bool to_seconds(const struct tm *tm, int64_t *seconds)
{
    struct tm date = {.tm_year = tm->tm_year, .tm_mon = tm->tm_mon, .tm_mday = tm->tm_mday};
    int64_t midnight = (int64_t)timegm(&date);

    if (date.tm_mday != tm->tm_mday)
        return false; /* timegm made 1 March of 29 February */
    *seconds = midnight + (tm->tm_hour * 60 + tm->tm_min) * INT64_C(60) + tm->tm_sec;
    return true;
}

bool clock_parse(const char *text, size_t length, int64_t *unix_ms)
{
    struct cursor in = {text, text + length};
    struct tm tm = {0};
    int ms, offset;
    int64_t seconds;

    /* A space between date and time is what RFC 3339, section 5.6 allows for readability. */
    if (!read_date(&in, &tm) || !read_one_of(&in, "Tt ") || !read_time(&in, &tm) ||
        !read_fraction(&in, &ms) || !read_offset(&in, &offset) || in.at != in.end)
        return false;
    if (!to_seconds(&tm, &seconds))
        return false;
    seconds -= offset;
    /* A leap second ends a UTC day and nothing else. */
    if (tm.tm_sec == 60 && seconds % 86400 != 0)
        return false;
    *unix_ms = seconds * 1000 + ms;
    return true;
}
