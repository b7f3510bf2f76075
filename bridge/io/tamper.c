/* Who can change what is read under a file's name: a walk along the way that the kernel takes. */
#include "tamper.h"

#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LINKS_MAX 40 /* the kernel's own limit */

struct walk {
    char place[PATH_MAX]; /* so far: no symbolic links, no slash at the end, "" for the root */
    char rest[PATH_MAX];
    int links;
    uid_t own;
    void (*each)(void *ctx, const struct tamper_place *place);
    void *ctx;
};

/* ---- One place */

/* The user is alone in the group, as far as the group's own list goes. */
static bool is_alone(uid_t uid, gid_t gid)
{
    const struct group *group = getgrgid(gid);
    if (!group)
        return gid == uid;
    const struct passwd *user = getpwuid(uid);
    if (!user || strcmp(user->pw_name, group->gr_name) != 0)
        return false;
    for (char **member = group->gr_mem; *member; member++)
        if (strcmp(*member, user->pw_name) != 0)
            return false;
    return true;
}

/* With an access control list the group's bits are the most that any of its entries gives. */
static bool has_acl(const char *path)
{
    return getxattr(path, "system.posix_acl_access", NULL, 0) > 0;
}

static bool can_others_write(const struct walk *walk, const char *path, const struct stat *status)
{
    if (status->st_mode & S_IWOTH)
        return true;
    if (!(status->st_mode & S_IWGRP))
        return false;
    return has_acl(path) || !(is_alone(0, status->st_gid) || is_alone(walk->own, status->st_gid));
}

static bool is_foreign(const struct walk *walk, const struct stat *status)
{
    return status->st_uid != 0 && status->st_uid != walk->own;
}

static const char *shown(const struct walk *walk)
{
    return walk->place[0] != '\0' ? walk->place : "/";
}

static void tell(const struct walk *walk, const struct stat *status)
{
    walk->each(walk->ctx, &(struct tamper_place){.path = shown(walk),
                              .mode = status->st_mode & 07777,
                              .owner = status->st_uid,
                              .foreign = is_foreign(walk, status)});
}

static void judge(const struct walk *walk, const struct stat *status)
{
    bool sticky = S_ISDIR(status->st_mode) && (status->st_mode & S_ISVTX);
    if (is_foreign(walk, status) || (!sticky && can_others_write(walk, shown(walk), status)))
        tell(walk, status);
}

/* ---- The way */

static void go_up(struct walk *walk)
{
    char *last = strrchr(walk->place, '/');
    if (last)
        *last = '\0';
}

/* Puts what the link at `place` says in front of the rest. A link cannot be rewritten, only
 * replaced, which in a sticky folder is its owner's right. */
static bool follow(struct walk *walk, const struct stat *link)
{
    char target[PATH_MAX], rest[PATH_MAX];
    struct stat folder;
    ssize_t length = readlink(walk->place, target, sizeof target - 1);
    if (length <= 0 || ++walk->links > LINKS_MAX)
        return false;
    target[length] = '\0';
    memcpy(rest, walk->rest, sizeof rest);
    int written = snprintf(walk->rest, sizeof walk->rest, "%s/%s", target, rest);
    struct walk above = *walk;
    go_up(&above);
    if (is_foreign(walk, link) && lstat(shown(&above), &folder) == 0 &&
        can_others_write(walk, shown(&above), &folder))
        tell(walk, link);
    *walk = above;
    if (target[0] == '/')
        walk->place[0] = '\0';
    return written < (int)sizeof walk->rest;
}

/* Takes the first name of the rest; false at the end, or where the way is broken. */
static bool step(struct walk *walk)
{
    struct stat status;
    const char *name = walk->rest + strspn(walk->rest, "/");
    size_t length = strcspn(name, "/"), end = strlen(walk->place);
    if (length == 0 || end + 1 + length >= sizeof walk->place)
        return false;
    bool here = length == 1 && name[0] == '.';
    bool up = length == 2 && strncmp(name, "..", 2) == 0;
    if (!here && !up)
        snprintf(walk->place + end, sizeof walk->place - end, "/%.*s", (int)length, name);
    memmove(walk->rest, name + length, strlen(name + length) + 1);
    if (up)
        go_up(walk);
    if (here || up)
        return true;
    if (lstat(walk->place, &status) != 0)
        return false;
    if (S_ISLNK(status.st_mode))
        return follow(walk, &status);
    judge(walk, &status);
    return true;
}

/* The whole name from the root on. */
static bool begin(struct walk *walk, const char *path)
{
    char folder[PATH_MAX] = "";
    if (path[0] == '\0' || (path[0] != '/' && !getcwd(folder, sizeof folder)))
        return false;
    int written = snprintf(walk->rest, sizeof walk->rest, "%s/%s", folder, path);
    return written < (int)sizeof walk->rest;
}

void tamper_each(const char *path, uid_t own,
    void (*each)(void *ctx, const struct tamper_place *place), void *ctx)
{
    struct walk walk = {.own = own, .each = each, .ctx = ctx};
    struct stat root;
    if (!begin(&walk, path) || stat("/", &root) != 0)
        return;
    judge(&walk, &root);
    while (step(&walk))
        continue;
}
