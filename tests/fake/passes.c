/*
 * For LD_PRELOAD: how long the longest pass of an epoll loop was, as processor time of its thread,
 * which does not depend on what else the machine does. Each new record goes to the file that
 * PASSES_FILE names, in whole microseconds, one a line.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static __thread int64_t woken_us = -1, longest_us;

static int64_t processor_us(void)
{
    struct timespec used;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return used.tv_sec * 1000000LL + used.tv_nsec / 1000;
}

static void report(int64_t longest)
{
    const char *path = getenv("PASSES_FILE");
    int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

    if (fd < 0)
        return;
    dprintf(fd, "%lld\n", (long long)longest);
    close(fd);
}

int epoll_wait(int epoll_fd, struct epoll_event *events, int most, int timeout_ms)
{
    static int (*real)(int, struct epoll_event *, int, int);
    int64_t pass_us = woken_us >= 0 ? processor_us() - woken_us : 0;
    int count;

    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "epoll_wait");
    if (pass_us > longest_us) {
        longest_us = pass_us;
        report(pass_us);
    }
    count = real(epoll_fd, events, most, timeout_ms);
    woken_us = processor_us();
    return count;
}
