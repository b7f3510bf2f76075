/* What the kernel says of this process. Only /proc/self is read: a sandbox may hide the rest. */
#include "process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* proc(5), /proc/pid/statm: total and resident size, in pages. */
static void measure_memory(struct metrics_process *process)
{
    char text[128] = "";
    unsigned long long total, resident;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0 || sscanf(text, "%llu %llu", &total, &resident) != 2)
        return;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    process->virtual_bytes = total * page;
    process->resident_bytes = resident * page;
}

static void measure_descriptors(struct metrics_process *process)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        process->max_fds = limit.rlim_cur;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return;
    const struct dirent *entry;
    while ((entry = readdir(folder)))
        process->open_fds += entry->d_name[0] != '.';
    closedir(folder);
    process->open_fds--; /* the folder's own */
}

static uint64_t microseconds(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000 + (uint64_t)time->tv_usec;
}

void process_measure(struct metrics_process *process)
{
    struct rusage usage;
    *process = (struct metrics_process){0};
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        process->cpu_us = microseconds(&usage.ru_utime) + microseconds(&usage.ru_stime);
    measure_memory(process);
    measure_descriptors(process);
}
