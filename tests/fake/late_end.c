/*
 * LD_PRELOAD: threads that take their time to end. Each stays for half a second when its function
 * has returned; and a process that ends meanwhile does so with 99 and a line on standard error.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

typedef int create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *), void *argument);

struct work {
    void *(*function)(void *);
    void *argument;
};

static atomic_int ending;

static void *work_and_stay(void *argument)
{
    struct work work = *(struct work *)argument;
    free(argument);
    struct timespec wait = {.tv_nsec = 500000000};
    void *result = work.function(work.argument);
    ending++;
    while (nanosleep(&wait, &wait) != 0)
        continue;
    ending--;
    return result;
}

int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attributes,
    void *(*function)(void *), void *restrict argument)
{
    union {
        void *symbol;
        create *function;
    } next = {.symbol = dlsym(RTLD_NEXT, "pthread_create")};
    struct work *work = malloc(sizeof *work);
    if (!next.symbol || !work)
        abort();
    *work = (struct work){function, argument};
    return next.function(thread, attributes, work_and_stay, work);
}

__attribute__((destructor)) static void look_for_threads(void)
{
    if (ending == 0)
        return;
    fprintf(stderr, "%d threads have not ended before the process\n", ending);
    _exit(99);
}
