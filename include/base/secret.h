#ifndef SECRET_H
#define SECRET_H

/*
 * The secrets that must not be shown, wherever a text comes from: a server may repeat a key in the
 * words of its refusal. Owner thread only; at most two secrets, copies of which are kept.
 */
enum secret { SECRET_API_KEY, SECRET_PASSWORD, SECRETS };

/* Remembers the secret in place of the one before; NULL or "" forgets it. Too short ones, which any
 * text may hold by chance, are not masked. */
void secret_set(enum secret which, const char *text);
/* Overwrites each secret in the text with asterisks. */
void secret_mask(char *text);
/* Wipes and forgets all. */
void secret_clear(void);

#endif
