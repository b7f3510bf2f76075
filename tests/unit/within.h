#ifndef WITHIN_H
#define WITHIN_H

/* cmocka 2.0 has other names for assert_in_range, which 1.1 does not know; include after cmocka.h.
 */
#include <inttypes.h>

/* Both limits belong to the range. */
#define assert_within(value, least, most)                                                          \
    do {                                                                                           \
        intmax_t within = (intmax_t)(value);                                                       \
        if (within < (intmax_t)(least) || within > (intmax_t)(most))                               \
            fail_msg("%s is %jd, which is not from %jd to %jd", #value, within, (intmax_t)(least), \
                (intmax_t)(most));                                                                 \
    } while (0)

#endif
