/* The AIVA simulator: one thread, one loop. */
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG_TAG "simulator"
#include "clock.h"
#include "log.h"
#include "mem.h"
#include "options.h"
#include "server.h"
#include "sim.h"

static int open_listener(const struct options *options, struct error *error)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    int failure = getaddrinfo(options->host, options->port, &hints, &found);
    if (failure != 0) {
        error_set(error, ERROR_USAGE, "--listen: %s:%s: %s", options->host, options->port,
            gai_strerror(failure));
        return -1;
    }
    int yes = 1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 128) != 0) {
        error_set(error, ERROR_RUN, "%s:%s: %s", options->host, options->port, strerror(errno));
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

static void read_port(int fd, char *out, size_t size)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &length) != 0 ||
        getnameinfo((struct sockaddr *)&address, length, NULL, 0, out, (socklen_t)size,
            NI_NUMERICSERV) != 0)
        snprintf(out, size, "0");
}

/* By a rename, so that who waits for the file never reads half a number. */
static bool write_port_file(const char *path, const char *port, struct error *error)
{
    struct buf temporary;
    buf_init(&temporary, SIZE_MAX / 2);
    buf_printf(&temporary, "%s.new", path);
    FILE *file = fopen(temporary.data, "we");
    bool written = file != NULL && fprintf(file, "%s\n", port) > 0;
    if (file != NULL)
        written = fclose(file) == 0 && written;
    if (!written || rename(temporary.data, path) != 0)
        written = error_set(error, ERROR_RUN, "--port-file: %s: %s", path, strerror(errno));
    buf_clear(&temporary);
    return written;
}

static int open_signals(struct error *error)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        error_set(error, ERROR_RUN, "signalfd: %s", strerror(errno));
    return fd;
}

static bool open_sim(struct sim *sim, const struct options *options, struct error *error)
{
    *sim = (struct sim){.key = xstrdup(options->key)};
    sim->stream = stream_new(options->line_end, options->event_ids, options->keepalive_ms);
    sim->world = (struct world){
        .jobs = &sim->jobs,
        .random = {options->has_seed ? options->seed : (uint64_t)clock_unix_ms()},
        .manual = options->manual,
        .rate = options->rate,
        .speed = options->speed,
        .max_jobs = options->max_jobs,
        .announce = sim_announce,
        .ctx = sim,
        .next_arrival_ms = 1e300,
    };
    world_populate(&sim->world, options->jobs, clock_unix_ms());
    if (options->scenario == NULL)
        return true;
    sim->scenario = scenario_load(options->scenario, error);
    return sim->scenario != NULL && scenario_begin(sim->scenario, sim, clock_monotonic_ms(), error);
}

static void close_sim(struct sim *sim)
{
    scenario_free(sim->scenario);
    faults_clear(&sim->faults);
    jobs_clear(&sim->jobs);
    journal_clear(&sim->journal);
    stream_free(sim->stream);
    free(sim->key);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void run(struct sim *sim, struct server *server, int signal_fd)
{
    bool stop = false;
    while (!stop) {
        int64_t now_ms = clock_monotonic_ms();
        int64_t next_ms = world_step(&sim->world, now_ms, clock_unix_ms());
        if (sim->scenario != NULL)
            next_ms = earlier(next_ms, scenario_step(sim->scenario, sim, now_ms));
        next_ms = earlier(next_ms, stream_tick(sim->stream, now_ms));
        next_ms = earlier(next_ms, server_tick(server, now_ms));
        stop = server_wait_and_run(server, signal_fd, next_ms, now_ms);
    }
}

static bool serve(const struct options *options, struct sim *sim, struct error *error)
{
    char port[16];
    int signal_fd = open_signals(error);
    int listen_fd = signal_fd < 0 ? -1 : open_listener(options, error);
    struct server *server = listen_fd < 0 ? NULL : server_new(listen_fd, sim, error);
    bool served = server != NULL;
    if (served) {
        read_port(listen_fd, port, sizeof port);
        log_info("listening on http://%s:%s", options->host, port);
        served = options->port_file == NULL || write_port_file(options->port_file, port, error);
    }
    if (served) {
        run(sim, server, signal_fd);
        log_info("stopped");
    }
    server_free(server);
    if (signal_fd >= 0)
        close(signal_fd);
    return served;
}

int main(int argc, char **argv)
{
    struct options options;
    struct error error = {0};
    struct sim sim = {0};
    bool done = options_parse(&options, argc, argv, &error);
    if (done && options.help)
        options_print_help();
    else
        done = done && open_sim(&sim, &options, &error) && serve(&options, &sim, &error);
    if (!done)
        log_error("%s", error.text);
    close_sim(&sim);
    options_clear(&options);
    if (done)
        return 0;
    return error.class == ERROR_USAGE ? 2 : 1;
}
