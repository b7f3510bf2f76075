/* How long to wait before the next attempt. */
#include "backoff.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

void backoff_init(struct backoff *backoff, int64_t base_ms, int64_t cap_ms)
{
    assert(base_ms > 0 && cap_ms >= base_ms);
    *backoff = (struct backoff){.base_ms = base_ms, .cap_ms = cap_ms};
}

void backoff_reset(struct backoff *backoff)
{
    backoff->failures = 0;
}

void backoff_forgive(struct backoff *backoff)
{
    if (backoff->failures > 0)
        backoff->failures--;
}

int64_t backoff_next(struct backoff *backoff, uint64_t random)
{
    int64_t ceiling = backoff->base_ms;
    int64_t wait;

    for (unsigned i = 0; i < backoff->failures && ceiling < backoff->cap_ms; i++)
        ceiling = ceiling > backoff->cap_ms / 2 ? backoff->cap_ms : 2 * ceiling;
    if (backoff->failures < UINT32_MAX)
        backoff->failures++;
    /* The bias of the remainder is far below a millisecond. */
    wait = (int64_t)(random % ((uint64_t)ceiling + 1));
    return __builtin_add_overflow(wait, backoff->floor_ms, &wait) ? INT64_MAX : wait;
}

enum { FIELD_SIZE = 64 }; /* more than any HTTP-date, and than any number of seconds that counts */

/* Copies the text without the spaces and tabs around it. False where nothing is left, or more than
 * a readable field has. */
static bool trim(const char *text, char out[static FIELD_SIZE])
{
    size_t length;

    text += strspn(text, " \t");
    length = strlen(text);
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    if (length == 0 || length >= FIELD_SIZE)
        return false;
    memcpy(out, text, length);
    out[length] = '\0';
    return true;
}

static bool parse_seconds(const char *text, int64_t limit_ms, int64_t *wait_ms)
{
    int64_t seconds = 0;

    if (text[strspn(text, "0123456789")] != '\0')
        return false;
    for (; *text != '\0' && seconds <= limit_ms / 1000; text++)
        seconds = seconds * 10 + (*text - '0');
    *wait_ms = seconds > limit_ms / 1000 ? limit_ms : seconds * 1000;
    return true;
}

/* Two digits of a year mean the last such year that is at most 50 years ahead (RFC 9110, 5.6.7). */
static void place_in_century(struct tm *date, int64_t now_unix_ms)
{
    time_t now = (time_t)(now_unix_ms / 1000);
    struct tm today;
    int latest;

    if (gmtime_r(&now, &today) == NULL)
        return;
    latest = today.tm_year + 50;
    date->tm_year = latest - (latest % 100 - date->tm_year % 100 + 100) % 100;
}

static bool matches(const char *text, const char *format, struct tm *date)
{
    const char *end;

    *date = (struct tm){0};
    end = strptime(text, format, date);
    return end != NULL && *end == '\0';
}

/* An HTTP-date in any of its forms. The program never leaves the C locale, which strptime needs
 * to read English names. */
static bool parse_http_date(const char *text, int64_t now_unix_ms, int64_t *unix_s)
{
    struct tm date;
    int day;

    if (matches(text, "%A, %d-%b-%y %H:%M:%S GMT", &date))
        place_in_century(&date, now_unix_ms);
    else if (!matches(text, "%a, %d %b %Y %H:%M:%S GMT", &date) &&
             !matches(text, "%a %b %d %H:%M:%S %Y", &date))
        return false;
    day = date.tm_mday;
    if (date.tm_sec > 59)
        date.tm_sec = 59; /* a leap second, which must not move the day that is compared */
    *unix_s = (int64_t)timegm(&date);
    return date.tm_mday == day;
}

int64_t backoff_retry_after(const char *text, int64_t now_unix_ms, int64_t limit_ms)
{
    char field[FIELD_SIZE];
    int64_t unix_s, wait_ms;

    if (text == NULL || !trim(text, field))
        return -1;
    if (!parse_seconds(field, limit_ms, &wait_ms)) {
        if (!parse_http_date(field, now_unix_ms, &unix_s))
            return -1;
        wait_ms = unix_s * 1000 - now_unix_ms;
    }
    if (wait_ms < 0)
        return 0;
    return wait_ms < limit_ms ? wait_ms : limit_ms;
}
