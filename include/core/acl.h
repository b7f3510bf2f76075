#ifndef ACL_H
#define ACL_H

#include <stdbool.h>

#include "buf.h"
#include "config.h"

/*
 * Appends the rules, in the form of mosquitto's acl_file, that the bridge's own user needs for the
 * topics under `root` and for answers below `response_topics`; with `homeassistant` also for
 * discovery under `prefix` and the birth topic. An empty user makes rules for clients without a
 * user name.
 */
void acl_write(struct buf *out, const char *user, const char *root,
    const struct config_list *response_topics, bool homeassistant, const char *prefix,
    const char *status_topic);

/* Appends what others need, each as a user of that name: `dashboard` sees everything and may do
 * nothing, `operator` may also cancel and refresh, `homeassistant` the same and what it writes
 * itself. None may delete a job. A name that `bridge_user` has already is left out. */
void acl_write_others(struct buf *out, const char *bridge_user, const char *root,
    const char *prefix, const char *status_topic);

#endif
