/* The last line of defence for secrets: whatever is said passes through here. */
#include "secret.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"

#define SHORTEST 6

static char *secrets[SECRETS];

void secret_set(enum secret which, const char *text)
{
    if (secrets[which]) {
        explicit_bzero(secrets[which], strlen(secrets[which]));
        free(secrets[which]);
    }
    secrets[which] = text && strlen(text) >= SHORTEST ? xstrdup(text) : NULL;
}

void secret_mask(char *text)
{
    for (int which = 0; which < SECRETS; which++) {
        if (!secrets[which])
            continue;
        size_t length = strlen(secrets[which]);
        for (char *at = text; (at = strstr(at, secrets[which])); at += length)
            memset(at, '*', length);
    }
}

void secret_clear(void)
{
    for (int which = 0; which < SECRETS; which++)
        secret_set((enum secret)which, NULL);
}
