/*
 * Debian builds paho-mqtt-c with its debugging aids on: every allocation is entered in a tree, with
 * two more allocations and the name of the file, every call and return of a function in a table,
 * under locks that all threads share. That is three quarters of the library's work. These functions
 * are linked in place of the two object files of libpaho-mqtt3as.a that hold the aids.
 *
 * One effect of the tree has to stay: what is not in it is not freed. Version 1.3.12 frees topic
 * and payload of a publication twice where writing it fails (MQTTAsync_freeCommand, then
 * MQTTProtocol_removePublication). Its own option PAHO_HIGH_PERFORMANCE, which leaves the aids out
 * as well, makes a crash of that. So small blocks come from a pool that knows which are in use, and
 * of large ones there is a set; and those freed last are not handed out again at once, lest the
 * second time hits somebody else's. What the library forgets, topic and payload of publications
 * that it had not written when a connection was lost, is found in both, and goes before the next
 * connection.
 *
 * The library frees properties that it has never set, of a CONNACK that is too short to have any:
 * whoever had filled the block before, with a packet of his own, would choose the address. So every
 * block is empty when it is handed out.
 */
#include "lean.h"

#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "limit.h"
#include "mem.h"
#include "pool.h"

#define FIRST_CAPACITY 256
/* Longer together than the library can have anything to free for one lost connection: one or two
 * large blocks for each publication of a window. Very large ones rest nowhere, as many would add
 * up. */
#define RESTING         256
#define RESTING_LARGEST 4096

/* The large blocks in use: open addressing, linear probing, at most half full. */
static struct {
    pthread_mutex_t lock; /* over all that follows */
    void **slots;
    size_t capacity; /* a power of two */
    size_t count;
    void *resting[RESTING]; /* freed by the library, not yet given back; a ring */
    size_t rested_longest;
} set = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- The set */

/* Fibonacci hashing; the low bits of an address are always 0. */
static uint64_t hash(uintptr_t block)
{
    return ((uint64_t)block >> 4) * 0x9E3779B97F4A7C15u;
}

static size_t home_of(const void *block)
{
    return (size_t)(hash((uintptr_t)block) >> 24) & (set.capacity - 1);
}

/* The block's slot, or the free one where it belongs. */
static size_t find_slot(const void *block)
{
    size_t slot = home_of(block);
    while (set.slots[slot] && set.slots[slot] != block)
        slot = (slot + 1) & (set.capacity - 1);
    return slot;
}

static void grow(void)
{
    void **old = set.slots;
    size_t old_capacity = set.capacity;
    set.capacity = old_capacity > 0 ? 2 * old_capacity : FIRST_CAPACITY;
    set.slots = xcalloc(set.capacity, sizeof *set.slots);
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i])
            set.slots[find_slot(old[i])] = old[i];
    free(old);
}

static void add(void *block)
{
    if (2 * (set.count + 1) > set.capacity)
        grow();
    set.slots[find_slot(block)] = block;
    set.count++;
}

/* Moves up what would no longer be found behind the gap. */
static void close_gap(size_t gap)
{
    size_t mask = set.capacity - 1;
    for (size_t slot = (gap + 1) & mask; set.slots[slot]; slot = (slot + 1) & mask) {
        size_t distance = (slot - home_of(set.slots[slot])) & mask;
        if (distance < ((slot - gap) & mask))
            continue;
        set.slots[gap] = set.slots[slot];
        gap = slot;
    }
    set.slots[gap] = NULL;
}

static bool holds(const void *block)
{
    return set.count > 0 && set.slots[find_slot(block)] != NULL;
}

static bool take_out(const void *block)
{
    if (!holds(block))
        return false;
    set.count--;
    close_gap(find_slot(block));
    return true;
}

/* Gives back the one that has rested longest. */
static void *let_rest(void *block)
{
    void *longest = set.resting[set.rested_longest];
    set.resting[set.rested_longest] = block;
    set.rested_longest = (set.rested_longest + 1) % RESTING;
    return longest;
}

/* ---- What the library calls */

/* NOLINTBEGIN(readability-non-const-parameter): the library's own prototypes. */

void *mymalloc(char *file, int line, size_t size)
{
    (void)file;
    (void)line;
    void *block = pool_take(size);
    if (block)
        return block;
    /* The peer's number, and the library has not looked at it; wire.c does, when it is to be read.
     */
    if (size > LIMIT_MQTT_BLOCK)
        return NULL;
    /* The library goes on with NULL in many places, and crashes: better an end with a line. */
    block = xcalloc(1, size);
    pthread_mutex_lock(&set.lock);
    add(block);
    pthread_mutex_unlock(&set.lock);
    return block;
}

void myfree(char *file, int line, void *memory)
{
    (void)file;
    (void)line;
    if (!memory)
        return;
    if (pool_owns(memory)) {
        pool_give(memory);
        return;
    }
    pthread_mutex_lock(&set.lock);
    void *given_back = take_out(memory) ? memory : NULL;
    if (given_back && malloc_usable_size(memory) <= RESTING_LARGEST)
        given_back = let_rest(memory);
    pthread_mutex_unlock(&set.lock);
    free(given_back);
}

/* 0 where it is not in use. */
static size_t room_of(void *memory)
{
    if (pool_owns(memory))
        return pool_room(memory);
    pthread_mutex_lock(&set.lock);
    size_t room = holds(memory) ? malloc_usable_size(memory) : 0;
    pthread_mutex_unlock(&set.lock);
    return room;
}

void *myrealloc(char *file, int line, void *memory, size_t size)
{
    (void)file;
    (void)line;
    size_t room = room_of(memory);
    if (room == 0 || size <= room)
        return room > 0 ? memory : NULL;
    void *block = mymalloc(file, line, size);
    if (!block)
        return NULL;
    memcpy(block, memory, room);
    myfree(file, line, memory);
    return block;
}
/* NOLINTEND(readability-non-const-parameter) */

int Heap_initialize(void)
{
    pool_clear();
    pthread_mutex_lock(&set.lock);
    for (size_t slot = 0; slot < set.capacity; slot++) {
        free(set.slots[slot]);
        set.slots[slot] = NULL;
    }
    set.count = 0;
    pthread_mutex_unlock(&set.lock);
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
