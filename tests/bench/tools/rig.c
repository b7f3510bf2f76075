/* Time, sockets, signals and options of the benchmark's programs. */
#include "rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stopped;

uint64_t rig_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void rig_die(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void prepare(int fd)
{
    const int on = 1;

    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        rig_die("fcntl: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int rig_listen(int port)
{
    struct sockaddr_in address = loopback(port);
    socklen_t size = sizeof address;
    char line[32];
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0)
        rig_die("socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        rig_die("port %d: %s", port, strerror(errno));
    prepare(fd);
    snprintf(line, sizeof line, "port %d", ntohs(address.sin_port));
    rig_say(line);
    return fd;
}

int rig_accept(int listening)
{
    int fd = accept(listening, NULL, NULL);

    if (fd >= 0)
        prepare(fd);
    return fd;
}

int rig_connect(int port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        rig_die("connecting to port %d: %s", port, strerror(errno));
    prepare(fd);
    return fd;
}

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

void rig_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool rig_stopped(void)
{
    return stopped != 0;
}

void rig_say(const char *line)
{
    puts(line);
    fflush(stdout);
}

static void help(const char *about, const struct rig_option *options)
{
    puts(about);
    for (; options->name != NULL; options++) {
        if (options->number != NULL)
            printf("  %-14s %s (%ld)\n", options->name, options->help, *options->number);
        else
            printf("  %-14s %s (%s)\n", options->name, options->help, *options->text);
    }
    exit(0);
}

static void set(const struct rig_option *option, const char *value)
{
    char *end;

    if (option->text != NULL) {
        *option->text = value;
        return;
    }
    errno = 0;
    *option->number = strtol(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || *option->number < 0)
        rig_die("%s: %s: expected a whole number", option->name, value);
}

void rig_options(int argc, char **argv, const char *about, const struct rig_option *options)
{
    for (int i = 1; i < argc; i += 2) {
        const struct rig_option *option = options;

        if (strcmp(argv[i], "--help") == 0)
            help(about, options);
        while (option->name != NULL && strcmp(option->name, argv[i]) != 0)
            option++;
        if (option->name == NULL || i + 1 == argc)
            rig_die("%s: unknown, or its value is missing; try --help", argv[i]);
        set(option, argv[i + 1]);
    }
}
