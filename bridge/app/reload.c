/*
 * When files are read again. Certificates are renewed by programs that tell nobody, so their files
 * are looked at again and again; secrets are left alone until somebody asks, or a server refuses
 * them: a new key is often written before it holds.
 */
#include "reload.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config.h"
#include "loop.h"
#include "mem.h"

#define LOG_TAG "reload"
#include "log.h"

/* Between two looks. A file that is being written changes from one to the next, and is left alone
 * until it does not. */
#define LOOK_MS    2000
#define FILES_MOST 8 /* no fewer than there are settings that name one */

/* By which a change shows, whether a file is written, replaced, or allowed to be read. */
struct mark {
    int64_t device, inode, size, written_s, written_ns, changed_s, changed_ns;
};

struct marks {
    struct mark each[FILES_MOST];
    size_t count;
};

struct reload {
    struct loop *loop;
    struct config *config;
    const struct config_source *source;
    struct reload_handler handler;
    struct timer look;
    struct marks seen;
    bool renewable; /* there are certificates */
    bool changed;   /* since the files were read last */
    bool pending;   /* what SIGHUP asked for was refused */
    struct log_limit secrets_limit, files_limit;
};

/* ---- What the files look like */

static void take_mark(void *ctx, const char *path)
{
    struct marks *marks = ctx;
    struct stat status;
    struct mark *mark = &marks->each[marks->count];
    if (marks->count == FILES_MOST)
        return;
    marks->count++;
    *mark = (struct mark){0};
    if (stat(path, &status) != 0)
        return;
    *mark = (struct mark){(int64_t)status.st_dev, (int64_t)status.st_ino, (int64_t)status.st_size,
        (int64_t)status.st_mtim.tv_sec, (int64_t)status.st_mtim.tv_nsec,
        (int64_t)status.st_ctim.tv_sec, (int64_t)status.st_ctim.tv_nsec};
}

static struct marks take_marks(const struct reload *reload)
{
    struct marks marks = {.count = 0};
    config_each_file(reload->config, CONFIG_ALL_FILES, take_mark, &marks);
    return marks;
}

static bool is_same(const struct marks *some, const struct marks *others)
{
    return some->count == others->count &&
           memcmp(some->each, others->each, some->count * sizeof some->each[0]) == 0;
}

static void watch(struct reload *reload)
{
    if (reload->pending || reload->renewable)
        timer_set(&reload->look, loop_now(reload->loop) + LOOK_MS);
    else
        timer_stop(&reload->look);
}

/* ---- Reading */

/* Whatever is written from the moment on in which reading begins is news. */
static enum config_reload read_files(struct reload *reload, unsigned kinds, struct error *error)
{
    reload->changed = false;
    reload->seen = take_marks(reload);
    enum config_reload result = config_reload(reload->config, reload->source, kinds, error);
    if (kinds == CONFIG_ALL_FILES)
        reload->pending = result == CONFIG_RELOAD_REFUSED;
    if (result == CONFIG_RELOAD_NEW)
        reload->handler.on_loaded(reload->handler.ctx);
    watch(reload);
    return result;
}

static void read_again(struct reload *reload)
{
    struct error error;
    bool pending = reload->pending;
    switch (read_files(reload, pending ? CONFIG_ALL_FILES : CONFIG_CERTIFICATES, &error)) {
    case CONFIG_RELOAD_REFUSED:
        log_warn_limited(&reload->files_limit, loop_now(reload->loop),
            "files have changed and cannot be used, the old contents stay in use: %s; tried again "
            "when a file changes",
            error.text);
        return;
    case CONFIG_RELOAD_SAME:
        if (!pending)
            return;
        break;
    case CONFIG_RELOAD_NEW:
        break;
    }
    if (pending)
        log_answer("secrets and certificates are read again, now that they can be; reconnecting");
    else
        log_info("certificates have changed: they are used from the next connection on");
    reload->handler.on_reconnect(reload->handler.ctx, pending);
}

static void look(void *ctx)
{
    struct reload *reload = ctx;
    struct marks now = take_marks(reload);
    watch(reload);
    if (!is_same(&now, &reload->seen)) {
        reload->seen = now;
        reload->changed = true;
    } else if (reload->changed) {
        read_again(reload);
    }
}

void reload_by_hand(struct reload *reload)
{
    struct error error;
    if (read_files(reload, CONFIG_ALL_FILES, &error) == CONFIG_RELOAD_REFUSED) {
        log_error("SIGHUP: secrets and certificates cannot be read again, the old ones stay in "
                  "use: %s; tried again when a file changes",
            error.text);
        return;
    }
    log_answer("SIGHUP: secrets and certificates are read again; reconnecting");
    reload->handler.on_reconnect(reload->handler.ctx, true);
}

void reload_secrets(struct reload *reload)
{
    struct error error;
    switch (config_reload(reload->config, reload->source, CONFIG_SECRETS, &error)) {
    case CONFIG_RELOAD_REFUSED:
        log_error_limited(&reload->secrets_limit, loop_now(reload->loop),
            "the secrets cannot be read again, the old ones stay in use: %s", error.text);
        break;
    case CONFIG_RELOAD_SAME:
        break;
    case CONFIG_RELOAD_NEW:
        reload->handler.on_loaded(reload->handler.ctx);
        break;
    }
}

static void note_file(void *ctx, const char *path)
{
    bool *any = ctx;
    (void)path;
    *any = true;
}

struct reload *reload_new(struct loop *loop, struct config *config,
    const struct config_source *source, const struct reload_handler *handler)
{
    struct reload *reload = xcalloc(1, sizeof *reload);
    reload->loop = loop;
    reload->config = config;
    reload->source = source;
    reload->handler = *handler;
    timer_init(&reload->look, loop, look, reload);
    config_each_file(config, CONFIG_CERTIFICATES, note_file, &reload->renewable);
    reload->seen = take_marks(reload);
    watch(reload);
    return reload;
}

void reload_free(struct reload *reload)
{
    if (!reload)
        return;
    timer_stop(&reload->look);
    free(reload);
}
