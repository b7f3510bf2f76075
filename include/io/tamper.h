#ifndef TAMPER_H
#define TAMPER_H

#include <stdbool.h>
#include <sys/types.h>

/* A file, folder or symbolic link that somebody else can change. */
struct tamper_place {
    const char *path; /* absolute, no symbolic link above it; borrowed for the call */
    mode_t mode;      /* permission bits */
    uid_t owner;
    bool foreign; /* it is the owner who can; else the mode lets others */
};

/*
 * Calls `each` for every place on the way to `path` that somebody besides root and the user `own`
 * can change, and with it what is read under that name: the file, the folders above it, and the
 * same for each symbolic link on the way. A place may be told more than once. In a sticky folder
 * that all can write, an entry is as safe as its owner is. A group's right to write is harmless
 * where root or `own` is alone in it, by name, or by number where the group has no name.
 *
 * Ends quietly where the way does. Owner thread only; where a group may write, its members are
 * looked up, which may ask a directory service: for the start, not for the loop.
 */
void tamper_each(const char *path, uid_t own,
    void (*each)(void *ctx, const struct tamper_place *place), void *ctx);

#endif
