#ifndef RIG_H
#define RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the programs of the benchmark have in common: time, sockets, signals, options. All end the
 * program with a message where they fail: a benchmark that goes on after that measures nothing. */

/* Nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share. */
uint64_t rig_now_ns(void);

_Noreturn void rig_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Listens on 127.0.0.1 and prints "port N" on standard output. Port 0: a free one. */
int rig_listen(int port);
/* The next connection of a listening socket, not blocking and without Nagle's delay; -1: none. */
int rig_accept(int listening);
/* Connects to 127.0.0.1. The socket does not block and has no Nagle's delay. */
int rig_connect(int port);

/* From now on SIGTERM and SIGINT only make rig_stopped true; SIGPIPE is ignored. */
void rig_catch_signals(void);
bool rig_stopped(void);

/* Prints a line on standard output at once: the runner waits for it. */
void rig_say(const char *line);

struct rig_option {
    const char *name; /* with the dashes */
    long *number;     /* one of the two */
    const char **text;
    const char *help;
};

/* Reads `--name value` pairs; --help prints the options and ends the program. The last row's name
 * is NULL. */
void rig_options(int argc, char **argv, const char *about, const struct rig_option *options);

#endif
