#ifndef HTTPURL_H
#define HTTPURL_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Which URLs may be asked for. libcurl rewrites what it is given, and follows where it is told to;
 * both are judged here by libcurl's own parser, so that what is checked is what is sent. Pure.
 */

/* True where libcurl would ask for the very path that stands in the URL, and nothing else: no user,
 * no query, no fragment. It removes `..` and `.` before it asks, which turns one endpoint into
 * another. */
bool httpurl_is_kept(const char *url);

/* True where `target` has the scheme, the host and the port of `own`, and names no user: a key sent
 * to one may be sent to the other. Else `refusal` says where it would have gone, without path and
 * query, which may hold what nobody should see. */
bool httpurl_may_follow(const char *own, const char *target, char *refusal, size_t size);

#endif
