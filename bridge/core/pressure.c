/* How far reading may run ahead of the broker. */
#include "pressure.h"

#include "limit.h"

/* Enough to keep the broker busy for the moments until reading goes on. */
#define AHEAD_MESSAGES 512
#define AHEAD_BYTES    (2u * 1024 * 1024)

static bool exceeds(size_t messages, size_t bytes, size_t most_messages, size_t most_bytes)
{
    return messages > most_messages || bytes > most_bytes;
}

static bool is_full(const struct pressure_gauge *gauge, size_t messages, size_t bytes)
{
    if (gauge->pressure == PRESSURE_FULL)
        return exceeds(messages, bytes, gauge->limit / 2, LIMIT_OUTBOX_BYTES / 2);
    return exceeds(messages, bytes, gauge->limit - 1, LIMIT_OUTBOX_BYTES - 1);
}

static bool is_ahead(const struct pressure_gauge *gauge, size_t messages, size_t bytes)
{
    if (gauge->pressure == PRESSURE_AHEAD)
        return exceeds(messages, bytes, AHEAD_MESSAGES / 4, AHEAD_BYTES / 4);
    return exceeds(messages, bytes, AHEAD_MESSAGES, AHEAD_BYTES);
}

enum pressure pressure_update(
    struct pressure_gauge *gauge, size_t messages, size_t bytes, bool flows)
{
    if (is_full(gauge, messages, bytes))
        gauge->pressure = PRESSURE_FULL;
    else if (flows && is_ahead(gauge, messages, bytes))
        gauge->pressure = PRESSURE_AHEAD;
    else
        gauge->pressure = PRESSURE_NONE;
    return gauge->pressure;
}
