#ifndef LISTWATCH_H
#define LISTWATCH_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Watches the body of GET /jobs as it comes, so that one without an end is given up while it is
 * small: where the bytes grow and the jobs do not, and beyond what all jobs together may take. Does
 * not judge whether it is JSON. Pure. A value type; zero is valid.
 */
struct listwatch {
    size_t jobs;
    size_t since_job; /* bytes since the last one ended */
    size_t entry;     /* bytes of the entry that is being read */
    unsigned depth;
    bool in_string, escaped;
};

/* Takes the next bytes. False where the answer is to be given up, with the reason for people. */
bool listwatch_take(
    struct listwatch *watch, const char *bytes, size_t length, char *why, size_t size);

#endif
