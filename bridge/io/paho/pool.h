#ifndef POOL_H
#define POOL_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Small blocks of memory that are taken and given back at a high rate, on any thread: those that
 * the MQTT library asks for. Giving back twice does no harm: a block that was given back is handed
 * out again only after POOL_REST others have been. For lean.c only. Nothing fails but as told.
 */

#define POOL_REST 2048

/* A block of at least `size` bytes, aligned as by malloc, all of them 0. NULL where that is too
 * large, or the pool is used up. */
void *pool_take(size_t size);

/* Whether the block is one of the pool's, in use or not. Other addresses are never looked at. */
bool pool_owns(const void *block);

/* For blocks of the pool: gives one back, where it is in use. */
void pool_give(void *block);

/* For blocks of the pool: the bytes that it has room for; 0 where it is not in use. */
size_t pool_room(const void *block);

/* Takes all blocks back that are in use. */
void pool_clear(void);

#endif
