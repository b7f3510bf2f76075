#ifndef ERROR_H
#define ERROR_H

#include <stdbool.h>

#define NODISCARD                      __attribute__((warn_unused_result))
#define PRINTF_LIKE(text_at, first_at) __attribute__((format(printf, text_at, first_at)))

/* What an error means for the program's exit code; main.c alone turns one into the other. */
enum error_class {
    ERROR_NONE,
    ERROR_RUN,      /* a failure while running that retrying cannot mend: exit code 1 */
    ERROR_USAGE,    /* usage or configuration: exit code 2 */
    ERROR_UPSTREAM, /* AIVA out of reach or refusing: exit code 3 */
    ERROR_BROKER,   /* the broker out of reach or refusing: exit code 4 */
};

/*
 * An error as a value. It lives on the caller's stack, is passed last and is never NULL. A
 * function that fails sets it and returns false; one that succeeds leaves it alone.
 */
struct error {
    enum error_class class;
    char text[512];
};

/* Sets the class and the text (cut at the size of `text`). Returns false, for `return
 * error_set(…)`. */
bool error_set(struct error *error, enum error_class class, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Puts "<format>: " before the text, to say where it happened. Keeps the class. Returns false. */
bool error_wrap(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
