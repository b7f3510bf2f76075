#ifndef HTTPHOST_H
#define HTTPHOST_H

#include <stdbool.h>

/*
 * Which hosts a listener answers for, by the Host header of a request. A page of another site can
 * have a name of its own resolve to this machine (DNS rebinding) and then read what it gets, as the
 * browser takes both for one site; but the name it has used is in the header. Pure.
 */
struct httphost {
    const char *name;    /* as in http.listen, without brackets */
    const char *address; /* that the listener is bound to, as text */
};

/* True for the name and the address that are listened on, for the names and addresses of loopback,
 * and, where all addresses are listened on, for every address: an address is no name that others
 * could point here. `host` is the header's value, with or without a port; NULL where there is none,
 * as only HTTP/1.0 allows: no browser sends that. */
bool httphost_is_served(const struct httphost *own, const char *host);

#endif
