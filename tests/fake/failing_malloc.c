/*
 * LD_PRELOAD: memory that runs out once. Allocation number FAIL_AT (from 1) returns NULL, all
 * others succeed. Counted are those that are asked for by the file whose path ends with FAIL_IN;
 * without it, by any file. At the end their number is written to the file that FAIL_COUNT names.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* glibc's own, by names that nothing overrides. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *memory, size_t size);

static unsigned long fail_at;
static const char *fail_in;
static atomic_ulong counted;
static atomic_bool ready;

__attribute__((constructor)) static void begin(void)
{
    const char *at = getenv("FAIL_AT");

    fail_at = at != NULL ? strtoul(at, NULL, 10) : 0;
    fail_in = getenv("FAIL_IN");
    atomic_store(&ready, true);
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("FAIL_COUNT");
    FILE *file;

    atomic_store(&ready, false);
    file = path != NULL ? fopen(path, "w") : NULL;
    if (file == NULL)
        return;
    fprintf(file, "%lu\n", atomic_load(&counted));
    fclose(file);
}

static bool is_counted(const void *caller)
{
    Dl_info info;
    size_t length, wanted;

    if (fail_in == NULL)
        return true;
    if (dladdr(caller, &info) == 0 || info.dli_fname == NULL)
        return false;
    length = strlen(info.dli_fname);
    wanted = strlen(fail_in);
    return length >= wanted && strcmp(info.dli_fname + length - wanted, fail_in) == 0;
}

static bool fails(const void *caller)
{
    static _Thread_local bool inside; /* the look-up of the caller may allocate */
    bool failing = false;

    if (!atomic_load(&ready) || inside)
        return false;
    inside = true;
    if (is_counted(caller))
        failing = atomic_fetch_add(&counted, 1) + 1 == fail_at;
    inside = false;
    if (failing)
        errno = ENOMEM;
    return failing;
}

void *malloc(size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(memory, size);
}
