#ifndef SECRET_H
#define SECRET_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The secrets that must not be shown, wherever a text comes from: a server may repeat a key in the
 * words of its refusal, as it stands, as part of a URL or inside JSON. Owner thread only; at most
 * two secrets, copies of which are kept and wiped.
 */
enum secret { SECRET_API_KEY, SECRET_PASSWORD, SECRETS };

/* Remembers the secret in place of the one before; NULL or "" forgets it. Too short ones, which any
 * text may hold by chance, are not masked. */
void secret_set(enum secret which, const char *text);
/* Overwrites each secret in the text with asterisks. */
void secret_mask(char *text);
/* Wipes and forgets all. */
void secret_clear(void);

/* For what is published: the API key alone, and only one that no text holds by chance. A password
 * may be a word like any other, and AIVA does not know it. */
bool secret_key_is_in(const char *bytes, size_t length);
void secret_mask_key(char *bytes, size_t length);

#endif
