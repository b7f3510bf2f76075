#ifndef MEM_H
#define MEM_H

#include <stddef.h>

/*
 * Allocation of sizes that the program itself chooses: never fails, the process ends with the
 * size it could not get. Sizes that the network chooses go through buf.h, which has a cap.
 *
 * Ownership, for the whole program:
 *  1. The creator frees. A parameter is borrowed for the call unless the comment says otherwise.
 *  2. A returned `const char *` is borrowed until the next non-const call on the object it came
 *     from; a returned `char *` is the caller's.
 *  3. x_free(NULL) is allowed; x_free never fires callbacks; the owner sets its pointer to NULL.
 *  4. A cJSON tree never leaves the function that parsed it.
 *  5. The outbox owns topic and payload until the acknowledgement.
 *  6. Only `struct inbox_event` crosses threads, by value; what it points to changes owner with it.
 *  7. Contexts given to foreign libraries are integers or objects that outlive the handle.
 *  8. An object freed from within its own callback goes to the loop's "later" list.
 *  9. Stop order is the reverse of start order, in one function.
 */
void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
/* Resizes to count * size bytes; dies on overflow of the product. */
void *xreallocarray(void *memory, size_t count, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));
/* Copies `length` bytes and adds a NUL. */
char *xmemdup0(const void *bytes, size_t length) __attribute__((malloc, returns_nonnull));

#endif
