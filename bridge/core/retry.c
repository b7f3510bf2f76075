/* When calls of one kind may be made again. */
#include "retry.h"

void retry_init(struct retry *retry, int64_t base_ms, int64_t cap_ms)
{
    *retry = (struct retry){0};
    backoff_init(&retry->backoff, base_ms, cap_ms);
}

int64_t retry_failed(struct retry *retry, unsigned incident, int64_t now_ms, int64_t asked_ms,
    bool is_busy, uint64_t random)
{
    int64_t asked = asked_ms > 0 ? asked_ms : 0;
    if (incident == retry->incident) {
        retry->incident++;
        retry->backoff.floor_ms = asked;
        retry->until_ms = now_ms + backoff_next(&retry->backoff, random);
    } else if (now_ms + asked > retry->until_ms) {
        retry->until_ms = now_ms + asked;
    }
    if (is_busy && retry->asked_until_ms < retry->until_ms)
        retry->asked_until_ms = retry->until_ms;
    return retry->until_ms - now_ms;
}

void retry_succeeded(struct retry *retry)
{
    backoff_reset(&retry->backoff);
    retry->until_ms = 0;
    retry->asked_until_ms = 0;
}
