#ifndef RELOAD_H
#define RELOAD_H

#include <stdbool.h>

/*
 * When the files that settings name are read again: at SIGHUP, where a server refuses what was in
 * them, and when certificates change. What is read is looked at first; what is refused changes
 * nothing, and is tried again by itself once a file changes. Owner thread only.
 */
struct reload;
struct loop;
struct config;
struct config_source;

struct reload_handler {
    void *ctx;
    /* The configuration has what the files hold now. Connections are left alone: a server may be
     * about to be asked. */
    void (*on_loaded)(void *ctx);
    /* After it: connections are to be made with that. all: those that are open too, since somebody
     * has asked for it; else those alone that wait for their next attempt. */
    void (*on_reconnect)(void *ctx, bool all);
};

/* The arguments are borrowed for the object's life, but for the handler, which is copied. The
 * configuration has just been loaded. */
struct reload *reload_new(struct loop *loop, struct config *config,
    const struct config_source *source, const struct reload_handler *handler);
void reload_free(struct reload *reload);

/* SIGHUP: reads all files, and says in the log what came of it, each time. */
void reload_by_hand(struct reload *reload);
/* A server has refused a key or password, and is about to be asked again: reads those. */
void reload_secrets(struct reload *reload);

#endif
