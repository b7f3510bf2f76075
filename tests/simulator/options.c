#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "world.h"

static const char help[] =
    "Usage: aiva-simulator [OPTION]...\n"
    "Answers like the job API of the AIVA genomics portal, with jobs that live by themselves.\n"
    "\n"
    "  --listen HOST:PORT    where to listen (127.0.0.1:0, port 0: any free port)\n"
    "  --port-file FILE      write the port's number there once it listens\n"
    "  --key KEY             the API key that is accepted (aiva-demo-key)\n"
    "  --key-file FILE       read the key from the file's first line\n"
    "\n"
    "  --jobs N              jobs at the start (6; none with --manual or --scenario)\n"
    "  --rate R              new jobs a minute (6)\n"
    "  --speed X             how much faster than life (1: a job takes 60 to 120 s)\n"
    "  --max-jobs N          beyond it, the oldest jobs that have ended go (40)\n"
    "  --seed S              the same lives every time (any: by the clock)\n"
    "  --scenario FILE       follow a fixed script; implies --manual\n"
    "  --manual              nothing happens by itself, only by /_control\n"
    "\n"
    "  --keepalive SECONDS   between the stream's comment lines (15; 0: none)\n"
    "  --line-end E          of the stream: crlf, lf or cr (crlf)\n"
    "  --event-ids           number the events and send them again after Last-Event-ID\n"
    "  --help                this text\n"
    "\n"
    "Control, without a key, all under /_control (details in the simulator's README.md):\n"
    "  GET    jobs             every job with all members and its number of changes\n"
    "  PUT    jobs             replace all jobs (JSON array), without events\n"
    "  POST   jobs/ID          make or change a job (JSON object), with an event; ?quiet=1 "
    "without\n"
    "  DELETE jobs/ID          let a job vanish, without an event\n"
    "  POST   emit             send the body as an event; ?event= ?id= ?retry=\n"
    "  POST   raw              write the body to every stream as it stands\n"
    "  POST   cut              end all streams; ?hard=1 in the middle of a chunk\n"
    "  POST   faults           misbehave: {\"on\": \"list\", \"times\": 2, \"status\": 503}; also\n"
    "                          body, content_type, retry_after, location, delay_ms, cut_after,\n"
    "                          stall, chunk, after_work; on: stream, list, status, cancel,\n"
    "                          delete, health, other, any\n"
    "  DELETE faults           behave again\n"
    "  GET    stats            what was asked so far\n"
    "  POST   key              the key from now on; streams are cut\n"
    "  POST   auto             {\"rate\": R, \"speed\": X} or {\"manual\": true}\n";

enum {
    OPTION_LISTEN = 1,
    OPTION_PORT_FILE,
    OPTION_KEY,
    OPTION_KEY_FILE,
    OPTION_JOBS,
    OPTION_RATE,
    OPTION_SPEED,
    OPTION_SEED,
    OPTION_MAX_JOBS,
    OPTION_SCENARIO,
    OPTION_MANUAL,
    OPTION_KEEPALIVE,
    OPTION_LINE_END,
    OPTION_EVENT_IDS,
    OPTION_HELP,
};

static const struct option known[] = {
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"port-file", required_argument, NULL, OPTION_PORT_FILE},
    {"key", required_argument, NULL, OPTION_KEY},
    {"key-file", required_argument, NULL, OPTION_KEY_FILE},
    {"jobs", required_argument, NULL, OPTION_JOBS},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"speed", required_argument, NULL, OPTION_SPEED},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"max-jobs", required_argument, NULL, OPTION_MAX_JOBS},
    {"scenario", required_argument, NULL, OPTION_SCENARIO},
    {"manual", no_argument, NULL, OPTION_MANUAL},
    {"keepalive", required_argument, NULL, OPTION_KEEPALIVE},
    {"line-end", required_argument, NULL, OPTION_LINE_END},
    {"event-ids", no_argument, NULL, OPTION_EVENT_IDS},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

void options_print_help(void)
{
    fputs(help, stdout);
}

static bool read_number(const char *name, double low, double high, double *out, struct error *error)
{
    char *end;
    double value = strtod(optarg, &end);
    if (end == optarg || *end != '\0' || !(value >= low && value <= high))
        return error_set(error, ERROR_USAGE, "--%s: %s: expected a number from %g to %g", name,
            optarg, low, high);
    *out = value;
    return true;
}

static bool read_count(const char *name, double low, double *out, struct error *error)
{
    if (!read_number(name, low, 1e6, out, error))
        return false;
    if (*out != (double)(long)*out)
        return error_set(error, ERROR_USAGE, "--%s: %s: expected a whole number", name, optarg);
    return true;
}

static void replace(char **out, const char *start, size_t length)
{
    free(*out);
    *out = xmemdup0(start, length);
}

static bool is_port(const char *text)
{
    size_t length = strlen(text);
    return length > 0 && length <= 5 && strspn(text, "0123456789") == length && atoi(text) <= 65535;
}

/* HOST:PORT, with brackets around an IPv6 address. */
static bool read_listen(struct options *options, struct error *error)
{
    const char *colon = strrchr(optarg, ':');
    if (colon == NULL || colon == optarg || !is_port(colon + 1))
        return error_set(error, ERROR_USAGE, "--listen: %s: expected HOST:PORT", optarg);
    const char *host = optarg;
    size_t length = (size_t)(colon - host);
    if (*host == '[' && length > 2 && host[length - 1] == ']') {
        host++;
        length -= 2;
    }
    replace(&options->host, host, length);
    replace(&options->port, colon + 1, strlen(colon + 1));
    return true;
}

static bool read_key(struct options *options, const char *text, struct error *error)
{
    size_t length = strcspn(text, "\r\n");
    if (length == 0)
        return error_set(error, ERROR_USAGE, "the key is empty");
    replace(&options->key, text, length);
    return true;
}

static bool read_key_file(struct options *options, struct error *error)
{
    char line[4096];
    FILE *file = fopen(optarg, "re");
    if (file == NULL)
        return error_set(error, ERROR_USAGE, "--key-file: %s: %s", optarg, strerror(errno));
    bool read = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    return read_key(options, read ? line : "", error);
}

static bool read_line_end(struct options *options, struct error *error)
{
    if (strcmp(optarg, "crlf") == 0)
        options->line_end = LINE_END_CRLF;
    else if (strcmp(optarg, "lf") == 0)
        options->line_end = LINE_END_LF;
    else if (strcmp(optarg, "cr") == 0)
        options->line_end = LINE_END_CR;
    else
        return error_set(error, ERROR_USAGE, "--line-end: %s: expected crlf, lf or cr", optarg);
    return true;
}

static bool read_seed(struct options *options, struct error *error)
{
    char *end;
    errno = 0;
    options->seed = strtoull(optarg, &end, 10);
    options->has_seed = true;
    if (end == optarg || *end != '\0' || errno != 0)
        return error_set(error, ERROR_USAGE, "--seed: %s: expected a number", optarg);
    return true;
}

static bool read_lives(struct options *options, int option, struct error *error)
{
    double value = 0;
    bool valid;
    if (option == OPTION_RATE) {
        return read_number("rate", 0, WORLD_MOST_RATE, &options->rate, error);
    } else if (option == OPTION_SPEED) {
        return read_number("speed", 0.001, WORLD_MOST_SPEED, &options->speed, error);
    } else if (option == OPTION_JOBS) {
        valid = read_count("jobs", 0, &value, error);
        options->jobs = (int)value;
    } else if (option == OPTION_MAX_JOBS) {
        valid = read_count("max-jobs", 1, &value, error);
        options->max_jobs = (size_t)value;
    } else {
        valid = read_number("keepalive", 0, 86400, &value, error);
        options->keepalive_ms = (int64_t)(value * 1000);
    }
    return valid;
}

static bool take_option(struct options *options, int option, struct error *error)
{
    switch (option) {
    case OPTION_LISTEN:
        return read_listen(options, error);
    case OPTION_PORT_FILE:
        options->port_file = optarg;
        return true;
    case OPTION_KEY:
        return read_key(options, optarg, error);
    case OPTION_KEY_FILE:
        return read_key_file(options, error);
    case OPTION_SEED:
        return read_seed(options, error);
    case OPTION_SCENARIO:
        options->scenario = optarg;
        return true;
    case OPTION_MANUAL:
        options->manual = true;
        return true;
    case OPTION_LINE_END:
        return read_line_end(options, error);
    case OPTION_EVENT_IDS:
        options->event_ids = true;
        return true;
    case OPTION_HELP:
        options->help = true;
        return true;
    case '?':
        return error_set(error, ERROR_USAGE, "see --help");
    default:
        return read_lives(options, option, error);
    }
}

static void set_defaults(struct options *options)
{
    *options = (struct options){
        .host = xstrdup("127.0.0.1"),
        .port = xstrdup("0"),
        .key = xstrdup("aiva-demo-key"),
        .jobs = -1,
        .rate = 6,
        .speed = 1,
        .max_jobs = 40,
        .keepalive_ms = 15000,
        .line_end = LINE_END_CRLF,
    };
}

bool options_parse(struct options *options, int argc, char **argv, struct error *error)
{
    int option;
    set_defaults(options);
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (!take_option(options, option, error))
            return false;
    }
    if (optind < argc)
        return error_set(error, ERROR_USAGE, "%s: not an option; see --help", argv[optind]);
    if (options->scenario != NULL)
        options->manual = true;
    if (options->scenario != NULL && options->jobs > 0)
        return error_set(error, ERROR_USAGE, "--jobs: the scenario brings its own");
    if (options->jobs < 0)
        options->jobs = options->manual ? 0 : 6;
    if (options->max_jobs < (size_t)options->jobs)
        options->max_jobs = (size_t)options->jobs;
    return true;
}

void options_clear(struct options *options)
{
    free(options->host);
    free(options->port);
    free(options->key);
}
