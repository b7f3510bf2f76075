#ifndef LEAN_H
#define LEAN_H

#include <stddef.h>

/* Functions of paho-mqtt-c 1.3.12 (src/Heap.h, src/StackTrace.h) that lean.c stands in for. Called
 * by the library alone, on any thread. */

/* Like calloc, realloc and free; `file` and `line` are the caller's. What is not in use is not
 * freed, so that freeing twice does no harm. No block holds what another one held before. NULL for
 * more than LIMIT_MQTT_BLOCK bytes. */
void *mymalloc(char *file, int line, size_t size);
void *myrealloc(char *file, int line, void *memory, size_t size);
void myfree(char *file, int line, void *memory);

/* Before the first of the library's handles is made, and after the last was destroyed. */
int Heap_initialize(void);
void Heap_terminate(void);

void StackTrace_entry(const char *name, int line, int trace_level);
void StackTrace_exit(const char *name, int line, void *return_value, int trace_level);

#endif
