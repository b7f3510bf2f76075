/* How far reading may run ahead of the broker. */
#include "pressure.h"

#include "limit.h"

/* Enough to keep the broker busy until reading goes on; few enough to be still in the processor's
 * cache when they are sent. What is under way does not count: with a large window it would hold
 * reading back until nothing is left to send, and a broker without TCP_NODELAY holds its
 * acknowledgements back while nothing is sent. */
#define AHEAD_BYTES (2u * 1024 * 1024)

static bool exceeds(size_t messages, size_t bytes, size_t most_messages, size_t most_bytes)
{
    return messages > most_messages || bytes > most_bytes;
}

static bool is_full(const struct pressure_gauge *gauge, const struct pressure_load *load)
{
    if (gauge->pressure == PRESSURE_FULL)
        return exceeds(load->messages, load->bytes, gauge->limit / 2, LIMIT_OUTBOX_BYTES / 2);
    return exceeds(load->messages, load->bytes, gauge->limit - 1, LIMIT_OUTBOX_BYTES - 1);
}

static bool is_ahead(const struct pressure_gauge *gauge, const struct pressure_load *load)
{
    if (gauge->pressure == PRESSURE_AHEAD)
        return exceeds(load->unsent, load->unsent_bytes, PRESSURE_AHEAD_ENDS, AHEAD_BYTES / 4);
    return exceeds(load->unsent, load->unsent_bytes, PRESSURE_AHEAD_BEGINS, AHEAD_BYTES);
}

enum pressure pressure_update(struct pressure_gauge *gauge, const struct pressure_load *load)
{
    if (is_full(gauge, load))
        gauge->pressure = PRESSURE_FULL;
    else if (load->flows && is_ahead(gauge, load))
        gauge->pressure = PRESSURE_AHEAD;
    else
        gauge->pressure = PRESSURE_NONE;
    return gauge->pressure;
}
