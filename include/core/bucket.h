#ifndef BUCKET_H
#define BUCKET_H

#include <stdbool.h>
#include <stdint.h>

/* Token bucket: `rate` tokens a second, at most `burst` saved up, full at the start. Pure: time
 * (monotonic milliseconds) is an argument. A value type. Exact: counts in thousandths of a token.
 */
struct bucket {
    int64_t rate_per_s;
    int64_t burst;
    int64_t thousandths;
    int64_t updated_ms;
};

void bucket_init(struct bucket *bucket, int64_t rate_per_s, int64_t burst, int64_t now_ms);
/* Takes one token. Returns false, and takes nothing, where there is none. A clock that goes
 * backwards adds nothing. */
bool bucket_take(struct bucket *bucket, int64_t now_ms);

#endif
