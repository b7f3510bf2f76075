/* The last line of defence for secrets: whatever is said passes through here. */
#include "secret.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"

enum {
    SHORTEST = 6,      /* bytes of a secret that is masked in a text for people */
    SHORTEST_KEY = 16, /* bytes of a key that is masked in what is published */
};

/* The ways in which texts spell a secret. Those that would not differ are left out. */
enum shape {
    SHAPE_PLAIN,
    SHAPE_URL,       /* percent-encoded, %2F */
    SHAPE_URL_LOWER, /* percent-encoded, %2f */
    SHAPE_JSON,      /* inside a JSON string */
    SHAPES
};

static char *shapes[SECRETS][SHAPES];

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~", c) != NULL);
}

static char *spell(const char *text, enum shape shape)
{
    const char *digits = shape == SHAPE_URL_LOWER ? "0123456789abcdef" : "0123456789ABCDEF";
    char *spelled = xmalloc(3 * strlen(text) + 1), *end = spelled;

    for (; *text != '\0'; text++) {
        if (shape == SHAPE_JSON && (*text == '"' || *text == '\\'))
            *end++ = '\\';
        if (shape == SHAPE_PLAIN || shape == SHAPE_JSON || is_unreserved(*text)) {
            *end++ = *text;
        } else {
            *end++ = '%';
            *end++ = digits[(unsigned char)*text >> 4];
            *end++ = digits[*text & 0xF];
        }
    }
    *end = '\0';
    return spelled;
}

static void forget(char **text)
{
    if (*text == NULL)
        return;
    explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

void secret_set(enum secret which, const char *text)
{
    for (int shape = 0; shape < SHAPES; shape++)
        forget(&shapes[which][shape]);
    if (text == NULL || strlen(text) < SHORTEST)
        return;
    for (int shape = 0; shape < SHAPES; shape++) {
        char *spelled = spell(text, (enum shape)shape);

        if (shape != SHAPE_PLAIN && strcmp(spelled, text) == 0)
            forget(&spelled);
        shapes[which][shape] = spelled;
    }
}

static char *find(const char *shape, const char *bytes, size_t length)
{
    return shape != NULL ? memmem(bytes, length, shape, strlen(shape)) : NULL;
}

static void mask_shapes(char *const *of_secret, char *bytes, size_t length)
{
    for (int shape = 0; shape < SHAPES; shape++) {
        char *at = bytes;

        while ((at = find(of_secret[shape], at, length - (size_t)(at - bytes))) != NULL) {
            memset(at, '*', strlen(of_secret[shape]));
            at += strlen(of_secret[shape]);
        }
    }
}

void secret_mask(char *text)
{
    for (int which = 0; which < SECRETS; which++)
        mask_shapes(shapes[which], text, strlen(text));
}

static bool key_counts(void)
{
    const char *key = shapes[SECRET_API_KEY][SHAPE_PLAIN];

    return key != NULL && strlen(key) >= SHORTEST_KEY;
}

bool secret_key_is_in(const char *bytes, size_t length)
{
    if (!key_counts())
        return false;
    for (int shape = 0; shape < SHAPES; shape++) {
        if (find(shapes[SECRET_API_KEY][shape], bytes, length) != NULL)
            return true;
    }
    return false;
}

void secret_mask_key(char *bytes, size_t length)
{
    if (key_counts())
        mask_shapes(shapes[SECRET_API_KEY], bytes, length);
}

void secret_clear(void)
{
    for (int which = 0; which < SECRETS; which++)
        secret_set((enum secret)which, NULL);
}
