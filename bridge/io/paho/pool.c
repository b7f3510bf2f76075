/*
 * The MQTT library takes nineteen blocks for each publication, on one thread, and gives them back
 * on another: malloc's caches, one for each thread, are of no use then, and what is left of it
 * costs more than the library's own work. Here a free block is the first of a list, under one lock.
 *
 * All blocks are cut from one arena, of which the system provides what has been touched. None is
 * given back to it: there are as many as the fullest window needed.
 */
#include "pool.h"

#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "mem.h"

enum {
    /* Enough for thousands of publications under way; beyond that malloc serves. */
    ARENA_SIZE = 8 << 20,
    ALIGNMENT = 16,
    SMALLEST = 32,
    ORDERS = 6, /* each with blocks twice as large as those of the one before */
    NONE = 0,
};

/* In front of each block. */
struct head {
    uint32_t next;  /* place of the free block of this order that was given back after it */
    uint32_t given; /* how many had been given back before it */
    uint32_t order; /* the block has SMALLEST << order bytes */
    bool in_use;
};
_Static_assert(sizeof(struct head) == ALIGNMENT, "blocks are aligned");

static struct {
    pthread_mutex_t lock;  /* over all that follows, and the heads */
    _Atomic(char *) arena; /* NULL before the first use */
    uint32_t cut;   /* in units of ALIGNMENT, from the arena's beginning; the first is left out */
    uint32_t given; /* counts the blocks given back; wraps around */
    struct {
        uint32_t first; /* the one that has been free for longest */
        uint32_t last;
    } free[ORDERS];
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .cut = 1};

static char *arena(void)
{
    return atomic_load_explicit(&pool.arena, memory_order_relaxed);
}

static struct head *at(uint32_t place)
{
    return (struct head *)(void *)(arena() + (size_t)place * ALIGNMENT);
}

static uint32_t place_of(const struct head *head)
{
    return (uint32_t)((size_t)((const char *)head - arena()) / ALIGNMENT);
}

static size_t size_of(uint32_t order)
{
    return (size_t)SMALLEST << order;
}

static uint32_t order_for(size_t size)
{
    uint32_t order = 0;
    while (order < ORDERS && size_of(order) < size)
        order++;
    return order;
}

static void *block_of(struct head *head)
{
    return head + 1;
}

static struct head *head_of(const void *block)
{
    return (struct head *)block - 1;
}

/* NULL where none has rested long enough. */
static struct head *take_rested(uint32_t order)
{
    uint32_t first = pool.free[order].first;
    if (first == NONE || pool.given - at(first)->given < POOL_REST)
        return NULL;
    pool.free[order].first = at(first)->next;
    return at(first);
}

/* NULL where the arena is used up. */
static struct head *cut_new(uint32_t order)
{
    uint32_t units = (uint32_t)(1 + size_of(order) / ALIGNMENT);
    if (units > ARENA_SIZE / ALIGNMENT - pool.cut)
        return NULL;
    struct head *head = at(pool.cut);
    head->order = order;
    pool.cut += units;
    return head;
}

static void give(struct head *head)
{
    uint32_t place = place_of(head), order = head->order;
    head->in_use = false;
    head->next = NONE;
    head->given = pool.given++;
    if (pool.free[order].first == NONE)
        pool.free[order].first = place;
    else
        at(pool.free[order].last)->next = place;
    pool.free[order].last = place;
    ASAN_POISON_MEMORY_REGION(block_of(head), size_of(order));
}

void *pool_take(size_t size)
{
    uint32_t order = order_for(size);
    if (order == ORDERS)
        return NULL;
    pthread_mutex_lock(&pool.lock);
    if (!arena())
        atomic_store_explicit(&pool.arena, xmalloc(ARENA_SIZE), memory_order_relaxed);
    struct head *head = take_rested(order);
    if (!head)
        head = cut_new(order);
    if (head)
        head->in_use = true;
    pthread_mutex_unlock(&pool.lock);
    if (!head)
        return NULL;
    ASAN_UNPOISON_MEMORY_REGION(block_of(head), size_of(order));
    return memset(block_of(head), 0, size_of(order));
}

bool pool_owns(const void *block)
{
    /* Whoever has a block of the pool has it from a thread that had seen the arena. */
    uintptr_t begin = (uintptr_t)arena();
    return begin != 0 && (uintptr_t)block - begin < ARENA_SIZE;
}

void pool_give(void *block)
{
    struct head *head = head_of(block);
    pthread_mutex_lock(&pool.lock);
    if (head->in_use)
        give(head);
    pthread_mutex_unlock(&pool.lock);
}

size_t pool_room(const void *block)
{
    const struct head *head = head_of(block);
    pthread_mutex_lock(&pool.lock);
    size_t room = head->in_use ? size_of(head->order) : 0;
    pthread_mutex_unlock(&pool.lock);
    return room;
}

void pool_clear(void)
{
    pthread_mutex_lock(&pool.lock);
    for (uint32_t place = 1; place < pool.cut;) {
        struct head *head = at(place);
        place += (uint32_t)(1 + size_of(head->order) / ALIGNMENT);
        if (head->in_use)
            give(head);
    }
    pthread_mutex_unlock(&pool.lock);
}
