#ifndef LOG_H
#define LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

/*
 * One line a message on standard error, in one write(2), control characters escaped, errno kept.
 * Owner thread only. Each source file defines LOG_TAG before it includes this header.
 *
 * A program that has to go on while nobody reads its log calls log_start; before that, and in
 * programs that do not, a write waits for its reader. logwriter.h has the end of it.
 */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Chooses what is written from now on. Before the first call: info and text. Where systemd's
 * journal reads standard error, lines begin with a priority in angle brackets, which it takes away.
 */
void log_setup(enum log_level level, enum log_format format);

/* From now on nothing here waits. Once, when the signals are blocked. */
void log_start(void);

/* Why the program ends, for the one who started it: "aiva-mqtt-bridge: " and the text, masked and
 * escaped, whatever the level and the format are. Nothing is logged afterwards. */
void log_last_words(const char *text);

/* One level more (1) or less (-1) from now on, as far as there is one; says so in a line that is
 * seen before and after. */
void log_change_level(int by);

extern enum log_level log_threshold;

/* Writes one line. Text: "<RFC 3339 time> <level> <tag>: <message>"; JSON: an object with the
 * members time, level, tag, message. Use the macros below. */
void log_write(enum log_level level, const char *tag, const char *format, ...) PRINTF_LIKE(3, 4);

#define log_error(...) log_write(LOG_LEVEL_ERROR, LOG_TAG, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, LOG_TAG, __VA_ARGS__)
#define log_info(...)                                                                              \
    do {                                                                                           \
        if (log_threshold >= LOG_LEVEL_INFO)                                                       \
            log_write(LOG_LEVEL_INFO, LOG_TAG, __VA_ARGS__);                                       \
    } while (0)
/* Answers what somebody has asked for by hand, at any level that the log is set to. */
#define log_answer(...)                                                                            \
    log_write(log_threshold < LOG_LEVEL_INFO ? log_threshold : LOG_LEVEL_INFO, LOG_TAG, __VA_ARGS__)
#define log_debug(...)                                                                             \
    do {                                                                                           \
        if (log_threshold >= LOG_LEVEL_DEBUG)                                                      \
            log_write(LOG_LEVEL_DEBUG, LOG_TAG, __VA_ARGS__);                                      \
    } while (0)

/* Remembers when a kind of message was last written. Zero-initialise; one for each kind. */
struct log_limit {
    int64_t next_ms;     /* monotonic; earlier messages are only counted */
    int64_t period_ms;   /* between two lines; grows while there is something to hold back */
    unsigned suppressed; /* counted since the last one written */
};

/* True at most once a minute for each limit, and down to once in 16 minutes while the message keeps
 * coming. *suppressed: how many were held back before this one. */
bool log_limit_pass(struct log_limit *limit, int64_t now_ms, unsigned *suppressed);
/* The same with another period, which doubles up to the longest. */
bool log_limit_pass_within(struct log_limit *limit, int64_t now_ms, int64_t first_ms,
    int64_t longest_ms, unsigned *suppressed);

/* Writes at most once a minute, as log_limit_pass says; a later line says how many like it were not
 * written. At least one argument follows the format. */
#define log_limited(level, limit, now_ms, format, ...)                                             \
    do {                                                                                           \
        unsigned log_suppressed_;                                                                  \
        if (log_limit_pass((limit), (now_ms), &log_suppressed_)) {                                 \
            if (log_suppressed_ > 0)                                                               \
                log_write((level), LOG_TAG,                                                        \
                    format " (and %u more like this since the last such line)", __VA_ARGS__,       \
                    log_suppressed_);                                                              \
            else                                                                                   \
                log_write((level), LOG_TAG, format, __VA_ARGS__);                                  \
        }                                                                                          \
    } while (0)
#define log_error_limited(...) log_limited(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn_limited(...)  log_limited(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info_limited(...)  log_limited(LOG_LEVEL_INFO, __VA_ARGS__)

#endif
