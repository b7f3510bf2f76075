/*
 * Debian builds paho-mqtt-c with its debugging aids on: every allocation is entered in a tree, with
 * two more allocations and the name of the file, every call and return of a function in a table,
 * under locks that all threads share. That is three quarters of the library's work. These functions
 * are linked in place of the two object files of libpaho-mqtt3as.a that hold the aids.
 *
 * One effect of the tree has to stay: what is not in it is not freed. Version 1.3.12 frees topic
 * and payload of a publication twice where writing it fails (MQTTAsync_freeCommand, then
 * MQTTProtocol_removePublication). Its own option PAHO_HIGH_PERFORMANCE, which leaves the aids out
 * as well, makes a crash of that. So the blocks in use are kept in a set, and those freed last are
 * not given back at once, lest the second time hits somebody else's. What the library forgets,
 * topic and payload of publications that it had not written when a connection was lost, is found in
 * the set, and goes before the next connection.
 */
#include "lean.h"

#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "mem.h"

/* Neighbours in time seldom meet in one shard, so that threads seldom wait for each other. */
#define SHARDS         8
#define FIRST_CAPACITY 256
/* Longer together than the library can have anything to free for one lost connection: about a dozen
 * blocks for each publication of a window. Large blocks rest nowhere, as many would add up. */
#define RESTING         256
#define RESTING_LARGEST 4096

#define UNLOCKED                                                                                   \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER                                                          \
    }

static struct shard {
    pthread_mutex_t lock; /* over all that follows */
    /* The blocks in use: open addressing, linear probing, at most half full. */
    void **slots;
    size_t capacity; /* a power of two */
    size_t count;
    void *resting[RESTING]; /* freed by the library, not yet given back; a ring */
    size_t rested_longest;
} shards[SHARDS] = {UNLOCKED, UNLOCKED, UNLOCKED, UNLOCKED, UNLOCKED, UNLOCKED, UNLOCKED, UNLOCKED};

/* ---- The set */

/* Fibonacci hashing; the low bits of an address are always 0. */
static uint64_t hash(uintptr_t block)
{
    return ((uint64_t)block >> 4) * 0x9E3779B97F4A7C15u;
}

static struct shard *lock_shard(uintptr_t block)
{
    struct shard *shard = &shards[hash(block) >> 61];
    pthread_mutex_lock(&shard->lock);
    return shard;
}

static size_t home_of(const struct shard *shard, const void *block)
{
    return (size_t)(hash((uintptr_t)block) >> 24) & (shard->capacity - 1);
}

/* The block's slot, or the free one where it belongs. */
static size_t find_slot(const struct shard *shard, const void *block)
{
    size_t slot = home_of(shard, block);
    while (shard->slots[slot] && shard->slots[slot] != block)
        slot = (slot + 1) & (shard->capacity - 1);
    return slot;
}

static void grow(struct shard *shard)
{
    void **old = shard->slots;
    size_t old_capacity = shard->capacity;
    shard->capacity = old_capacity > 0 ? 2 * old_capacity : FIRST_CAPACITY;
    shard->slots = xcalloc(shard->capacity, sizeof *shard->slots);
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i])
            shard->slots[find_slot(shard, old[i])] = old[i];
    free(old);
}

static void add(struct shard *shard, void *block)
{
    if (2 * (shard->count + 1) > shard->capacity)
        grow(shard);
    shard->slots[find_slot(shard, block)] = block;
    shard->count++;
}

/* Moves up what would no longer be found behind the gap. */
static void close_gap(struct shard *shard, size_t gap)
{
    size_t mask = shard->capacity - 1;
    for (size_t slot = (gap + 1) & mask; shard->slots[slot]; slot = (slot + 1) & mask) {
        size_t distance = (slot - home_of(shard, shard->slots[slot])) & mask;
        if (distance < ((slot - gap) & mask))
            continue;
        shard->slots[gap] = shard->slots[slot];
        gap = slot;
    }
    shard->slots[gap] = NULL;
}

static bool take_out(struct shard *shard, const void *block)
{
    if (shard->count == 0)
        return false;
    size_t slot = find_slot(shard, block);
    if (!shard->slots[slot])
        return false;
    shard->count--;
    close_gap(shard, slot);
    return true;
}

/* Gives back the one that has rested longest. */
static void *let_rest(struct shard *shard, void *block)
{
    void *longest = shard->resting[shard->rested_longest];
    shard->resting[shard->rested_longest] = block;
    shard->rested_longest = (shard->rested_longest + 1) % RESTING;
    return longest;
}

/* ---- What the library calls */

/* NOLINTBEGIN(readability-non-const-parameter): the library's own prototypes. */

void *mymalloc(char *file, int line, size_t size)
{
    (void)file;
    (void)line;
    /* The library goes on with NULL in many places, and crashes: better an end with a line. */
    void *block = xmalloc(size);
    struct shard *shard = lock_shard((uintptr_t)block);
    add(shard, block);
    pthread_mutex_unlock(&shard->lock);
    return block;
}

void *myrealloc(char *file, int line, void *memory, size_t size)
{
    (void)file;
    (void)line;
    struct shard *shard = lock_shard((uintptr_t)memory);
    bool known = take_out(shard, memory);
    pthread_mutex_unlock(&shard->lock);
    if (!known)
        return NULL;
    void *block = xreallocarray(memory, 1, size);
    shard = lock_shard((uintptr_t)block);
    add(shard, block);
    pthread_mutex_unlock(&shard->lock);
    return block;
}

void myfree(char *file, int line, void *memory)
{
    (void)file;
    (void)line;
    if (!memory)
        return;
    struct shard *shard = lock_shard((uintptr_t)memory);
    void *given_back = take_out(shard, memory) ? memory : NULL;
    if (given_back && malloc_usable_size(memory) <= RESTING_LARGEST)
        given_back = let_rest(shard, memory);
    pthread_mutex_unlock(&shard->lock);
    free(given_back);
}
/* NOLINTEND(readability-non-const-parameter) */

int Heap_initialize(void)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &shards[i];
        pthread_mutex_lock(&shard->lock);
        for (size_t slot = 0; slot < shard->capacity; slot++) {
            free(shard->slots[slot]);
            shard->slots[slot] = NULL;
        }
        shard->count = 0;
        pthread_mutex_unlock(&shard->lock);
    }
    return 0;
}

/* What was handed to the bridge is still in use. */
void Heap_terminate(void)
{
}

void StackTrace_entry(const char *name, int line, int trace_level)
{
    (void)name;
    (void)line;
    (void)trace_level;
}

void StackTrace_exit(const char *name, int line, void *return_value, int trace_level)
{
    (void)name;
    (void)line;
    (void)return_value;
    (void)trace_level;
}
