#ifndef HAID_H
#define HAID_H

#include <stddef.h>

#include "buf.h"

/*
 * The names of devices in Home Assistant: object ids, which a discovery topic allows only
 * [A-Za-z0-9_-] for. Two bridges with different roots, and two jobs, never share one. Pure.
 *
 * A plain root or job id stands as it is; any other becomes "x-" and its letters and digits, with
 * every other byte as "-" and two hex digits. Nothing plain begins with "x-", so what was escaped
 * is never taken for something plain, and no table of digests is needed to know that.
 */

/* "<root>_bridge" */
void haid_append_bridge(struct buf *out, const char *root);
/* "<root>_job_<id>" */
void haid_append_job(struct buf *out, const char *root, const char *id);

enum haid { HAID_OTHER, HAID_BRIDGE, HAID_JOB };
/* Whose name it is: of the bridge of that root, of a job of it, or of something else. */
enum haid haid_recognise(const char *root, const char *object_id);

/* Appends what Home Assistant makes of `text` in an entity id: small letters, digits, and single
 * underscores between them. Cut where an entity id would become too long. */
void haid_append_slug(struct buf *out, const char *text);

#endif
