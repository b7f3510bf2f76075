/* Which places others can change, in a folder of this test's own. Users and groups have the names
 * that the test gives them. */
#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "tamper.h"

#define ROOM 256

static char top[] = "/tmp/test_tamper.XXXXXX";
static char found[8 * ROOM]; /* "NAME:MODE" or "NAME:owner", a blank behind each */

/* ---- Names in place of the system's */

static struct group *the_group;
static struct passwd *the_user;

/* Instead of the C library's. */
struct group *getgrgid(gid_t gid)
{
    return gid == getegid() ? the_group : NULL;
}

struct passwd *getpwuid(uid_t uid)
{
    return uid == geteuid() ? the_user : NULL;
}

static void call(char *user, char *group, char *member, char *another)
{
    static char *members[3];
    static struct passwd user_entry;
    static struct group group_entry;
    user_entry.pw_name = user;
    group_entry.gr_name = group;
    members[0] = member;
    members[1] = another;
    group_entry.gr_mem = members;
    the_user = user ? &user_entry : NULL;
    the_group = group ? &group_entry : NULL;
}

/* ---- Files */

static const char *path_of(const char *name)
{
    static char paths[4][ROOM];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, ROOM, "%s/%s", top, name);
    return path;
}

static void make_folder(const char *name, mode_t mode)
{
    assert_int_equal(mkdir(path_of(name), 0700), 0);
    assert_int_equal(chmod(path_of(name), mode), 0);
}

static void make_file(const char *name, mode_t mode)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(chown(path_of(name), (uid_t)-1, getegid()), 0);
    assert_int_equal(chmod(path_of(name), mode), 0);
}

static void make_link(const char *name, const char *target)
{
    assert_int_equal(symlink(target, path_of(name)), 0);
}

static int setup(void **state)
{
    (void)state;
    call("anna", "anna", NULL, NULL);
    strcpy(strrchr(top, '.'), ".XXXXXX");
    return mkdtemp(top) ? 0 : -1;
}

static int teardown(void **state)
{
    static const char *const names[] = {
        "in/deep/file", "in/deep", "in/file", "in/link", "in", "out/file", "out", "link", "file"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        (void)remove(path_of(names[i]));
    return rmdir(top);
}

/* ---- Asking */

/* What lies above the test's folder is the machine's. */
static void note(void *ctx, const struct tamper_place *place)
{
    size_t length = strlen(found);
    (void)ctx;
    assert_true(place->path[0] == '/');
    if (strncmp(place->path, top, strlen(top)) != 0)
        return;
    const char *name = place->path[strlen(top)] ? place->path + strlen(top) + 1 : "top";
    if (place->foreign)
        snprintf(found + length, sizeof found - length, "%s:owner ", name);
    else
        snprintf(found + length, sizeof found - length, "%s:%o ", name, (unsigned)place->mode);
    assert_int_equal(place->owner, geteuid() + (geteuid() == 0 && place->foreign));
}

static const char *ask_as(uid_t own, const char *path)
{
    found[0] = '\0';
    tamper_each(path, own, note, NULL);
    return found;
}

static const char *ask(const char *name)
{
    return ask_as(geteuid(), path_of(name));
}

/* Root's files are everybody's to trust: as root, the test has to give them away. Otherwise it asks
 * for another user. */
static const char *ask_for_strangers(const char *name)
{
    return ask_as(geteuid() == 0 ? 0 : geteuid() + 1, path_of(name));
}

static void give_away(const char *name)
{
    if (geteuid() == 0)
        assert_int_equal(lchown(path_of(name), 1, (gid_t)-1), 0);
}

/* ---- Tests */

static void test_tamper_tells_what_all_can_write(void **state)
{
    (void)state;
    make_folder("in", 0755);
    make_file("in/file", 0644);
    assert_string_equal(ask("in/file"), "");
    chmod(path_of("in/file"), 0646);
    assert_string_equal(ask("in/file"), "in/file:646 ");
    chmod(path_of("in"), 0707);
    assert_string_equal(ask("in/file"), "in:707 in/file:646 ");
    chmod(path_of("in/file"), 0400);
    chmod(top, 0777);
    assert_string_equal(ask("in/file"), "top:777 in:707 ");
}

static void test_tamper_leaves_sticky_folders_to_the_owners_of_what_is_in_them(void **state)
{
    (void)state;
    make_folder("in", 01777);
    make_file("in/file", 0600);
    assert_string_equal(ask("in/file"), "");
    make_file("file", 01606);
    assert_string_equal(ask("file"), "file:1606 ");
}

static void test_tamper_tells_what_belongs_to_others(void **state)
{
    (void)state;
    make_folder("in", 0700);
    make_file("in/file", 0400);
    give_away(".");
    give_away("in");
    give_away("in/file");
    assert_string_equal(ask_for_strangers("in/file"), "top:owner in:owner in/file:owner ");
    if (geteuid() == 0)
        assert_string_equal(ask_as(1, path_of("in/file")), "");
}

static void test_tamper_follows_links(void **state)
{
    (void)state;
    make_folder("in", 0777);
    make_folder("out", 0755);
    make_file("in/file", 0666);
    make_link("out/file", "../in/file");
    assert_string_equal(ask("out/file"), "in:777 in/file:666 ");
    make_link("link", path_of("out/../out/./file"));
    assert_string_equal(strstr(ask("link"), "in:"), "in:777 in/file:666 ");
    make_link("in/link", "../out/file");
    assert_string_equal(ask("in/link"), "in:777 in:777 in/file:666 ");
}

/* Only its owner can replace it there; elsewhere the folder decides. */
static void test_tamper_tells_links_of_others_in_sticky_folders(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    make_folder("in", 01777);
    make_folder("out", 0755);
    make_file("file", 0600);
    make_link("in/link", "../file");
    assert_string_equal(ask("in/link"), "");
    give_away("in/link");
    assert_string_equal(ask("in/link"), "in/link:owner ");
    make_link("out/file", "../file");
    give_away("out/file");
    assert_string_equal(ask("out/file"), "");
}

static void test_tamper_takes_a_group_of_one_for_its_user(void **state)
{
    (void)state;
    make_file("file", 0660);
    assert_string_equal(ask("file"), "");
    call("anna", "anna", "anna", NULL);
    assert_string_equal(ask("file"), "");
    call("anna", "anna", "anna", "bert");
    assert_string_equal(ask("file"), "file:660 ");
    call("anna", "staff", NULL, NULL);
    assert_string_equal(ask("file"), "file:660 ");
    call(NULL, "anna", NULL, NULL);
    assert_string_equal(ask("file"), "file:660 ");
}

static void test_tamper_compares_numbers_where_groups_have_no_names(void **state)
{
    (void)state;
    call(NULL, NULL, NULL, NULL);
    make_file("file", 0660);
    bool same = getegid() == geteuid() || getegid() == 0;
    assert_string_equal(ask("file"), same ? "" : "file:660 ");
    if (geteuid() == 0) {
        assert_int_equal(chown(path_of("file"), 0, 4321), 0);
        assert_string_equal(ask("file"), "file:660 ");
        assert_string_equal(ask_as(4321, path_of("file")), "");
    }
}

/* The group's bits are the mask then: the named user may write, and the private group is no help.
 */
static void test_tamper_does_not_take_an_access_list_for_a_group(void **state)
{
    static const unsigned char acl[] = {2, 0, 0, 0, /* version; tag, rights and id of each entry */
        1, 0, 6, 0, 0xff, 0xff, 0xff, 0xff,         /* owner */
        2, 0, 6, 0, 1, 0, 0, 0,                     /* user 1 */
        4, 0, 4, 0, 0xff, 0xff, 0xff, 0xff,         /* group */
        16, 0, 6, 0, 0xff, 0xff, 0xff, 0xff,        /* mask */
        32, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};       /* others */
    (void)state;
    make_file("file", 0600);
    if (setxattr(path_of("file"), "system.posix_acl_access", acl, sizeof acl, 0) != 0)
        skip(); /* not every file system has them */
    assert_string_equal(ask("file"), "file:660 ");
    chmod(path_of("file"), 0640);
    assert_string_equal(ask("file"), "");
}

static void test_tamper_takes_names_from_the_current_folder(void **state)
{
    char before[ROOM];
    (void)state;
    assert_non_null(getcwd(before, sizeof before));
    make_folder("in", 0777);
    make_file("in/file", 0600);
    assert_int_equal(chdir(path_of("in")), 0);
    assert_string_equal(ask_as(geteuid(), "file"), "in:777 ");
    assert_string_equal(ask_as(geteuid(), "./../in//file"), "in:777 in:777 ");
    assert_int_equal(chdir(before), 0);
}

static void test_tamper_ends_where_the_way_ends(void **state)
{
    static char longest[3 * 4096];
    (void)state;
    make_file("file", 0666);
    make_link("link", "link");
    assert_string_equal(ask("link"), "");
    assert_string_equal(ask("nothing/file"), "");
    assert_string_equal(ask("file/below"), "file:666 ");
    assert_string_equal(ask_as(geteuid(), ""), "");
    memset(longest, 'x', sizeof longest - 1);
    for (size_t at = 0; at < sizeof longest; at += 200)
        longest[at] = '/';
    assert_string_equal(ask_as(geteuid(), longest), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(test_tamper_tells_what_all_can_write),
        TEST(test_tamper_leaves_sticky_folders_to_the_owners_of_what_is_in_them),
        TEST(test_tamper_tells_what_belongs_to_others),
        TEST(test_tamper_follows_links),
        TEST(test_tamper_tells_links_of_others_in_sticky_folders),
        TEST(test_tamper_takes_a_group_of_one_for_its_user),
        TEST(test_tamper_compares_numbers_where_groups_have_no_names),
        TEST(test_tamper_does_not_take_an_access_list_for_a_group),
        TEST(test_tamper_takes_names_from_the_current_folder),
        TEST(test_tamper_ends_where_the_way_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
