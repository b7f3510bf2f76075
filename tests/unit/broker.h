#ifndef BROKER_H
#define BROKER_H

/* A mosquitto of the test's own, on a free port of 127.0.0.1. Include after cmocka.h. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "certificates.h"

struct broker {
    char directory[64];
    unsigned short port;
    pid_t pid;
};

static inline void broker_init(struct broker *broker)
{
    *broker = (struct broker){.directory = "/tmp/test_mqtt.XXXXXX"};
    assert_non_null(mkdtemp(broker->directory));
    broker->port = certificates_free_port();
}

__attribute__((format(printf, 3, 4))) static inline void broker_write(
    const struct broker *broker, const char *name, const char *format, ...)
{
    char path[128];
    FILE *file;
    va_list args;

    snprintf(path, sizeof path, "%s/%s", broker->directory, name);
    file = fopen(path, "w");
    assert_non_null(file);
    va_start(args, format);
    vfprintf(file, format, args);
    va_end(args);
    fclose(file);
}

/* Starts it with the listener and the given further lines, and waits until it says it runs. */
static inline void broker_start(struct broker *broker, const char *lines)
{
    char path[128], log[4096];
    size_t length = 0;
    int ends[2];

    broker_write(broker, "mosquitto.conf",
        "user root\nlistener %u 127.0.0.1\nlog_dest stderr\n%s\n", broker->port, lines);
    snprintf(path, sizeof path, "%s/mosquitto.conf", broker->directory);
    assert_int_equal(pipe(ends), 0);
    broker->pid = fork();
    if (broker->pid == 0) {
        /* It must not outlive a test that is killed, nor hold that test's output open. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl("/usr/sbin/mosquitto", "mosquitto", "-c", path, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    log[0] = '\0';
    while (strstr(log, " running") == NULL) {
        ssize_t got = read(ends[0], log + length, sizeof log - 1 - length);

        if (got <= 0)
            fail_msg("mosquitto did not start: %s", log);
        length += (size_t)got;
        log[length] = '\0';
    }
    close(ends[0]);
}

static inline void broker_stop(struct broker *broker, int signal_number)
{
    if (broker->pid > 0) {
        kill(broker->pid, signal_number);
        waitpid(broker->pid, NULL, 0);
    }
    broker->pid = 0;
}

static inline void broker_remove(struct broker *broker)
{
    char line[128];

    broker_stop(broker, SIGKILL);
    snprintf(line, sizeof line, "rm -rf %s", broker->directory);
    assert_int_equal(system(line), 0);
}

#endif
