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

/* Remembers the secret in place of the one before; NULL or "" forgets it. One of less than 12
 * bytes, which any text may hold by chance, is not looked for. */
void secret_set(enum secret which, const char *text);
/* For the log and for errors: covers each word that holds a secret with three asterisks. Whole
 * words and one width, so that what is left tells nothing of the secret. The text only gets
 * shorter. */
void secret_mask(char *text);
/* Wipes and forgets all. */
void secret_clear(void);

/* For what is published: the API key alone, which AIVA may repeat. AIVA does not know the broker's
 * password, and covering it would tell whoever can have a text published whether it is that. */
bool secret_key_counts(void); /* there is one, and it is looked for */
bool secret_key_is_in(const char *bytes, size_t length);
/* As secret_mask. Returns the new length; nothing is written behind it. */
size_t secret_mask_key(char *bytes, size_t length);
void secret_mask_key_in_text(char *text);

#endif
