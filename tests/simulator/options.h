#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "stream.h"

/* The command line. */
struct options {
    char *host; /* owned */
    char *port; /* owned */
    const char *port_file;
    char *key; /* owned */
    int jobs;  /* -1: not given */
    double rate;
    double speed;
    uint64_t seed;
    bool has_seed;
    size_t max_jobs;
    const char *scenario;
    bool manual;
    int64_t keepalive_ms;
    enum line_end line_end;
    bool event_ids;
    bool help;
};

bool options_parse(struct options *options, int argc, char **argv, struct error *error) NODISCARD;
void options_clear(struct options *options);
void options_print_help(void);

#endif
