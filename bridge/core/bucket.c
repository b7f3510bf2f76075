/* A token bucket. A rate in tokens a second is the same number in thousandths a millisecond, so
 * nothing is ever rounded. */
#include "bucket.h"

#include <assert.h>

void bucket_init(struct bucket *bucket, int64_t rate_per_s, int64_t burst, int64_t now_ms)
{
    assert(rate_per_s >= 0 && burst >= 0 && burst <= INT64_MAX / 1000);
    *bucket = (struct bucket){
        .rate_per_s = rate_per_s,
        .burst = burst,
        .thousandths = burst * 1000,
        .updated_ms = now_ms,
    };
}

static void refill(struct bucket *bucket, int64_t now_ms)
{
    int64_t missing = bucket->burst * 1000 - bucket->thousandths;
    int64_t elapsed = now_ms - bucket->updated_ms;

    /* A time that was already counted is not counted again when the clock comes back to it. */
    if (elapsed <= 0)
        return;
    bucket->updated_ms = now_ms;
    /* Compared by division: the product of a long rest and a high rate may overflow. */
    if (bucket->rate_per_s > 0 && elapsed > missing / bucket->rate_per_s)
        bucket->thousandths += missing;
    else
        bucket->thousandths += elapsed * bucket->rate_per_s;
}

bool bucket_take(struct bucket *bucket, int64_t now_ms)
{
    refill(bucket, now_ms);
    if (bucket->thousandths < 1000)
        return false;
    bucket->thousandths -= 1000;
    return true;
}
