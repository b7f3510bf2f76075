/* The last line of defence for secrets: whatever is said passes through here. */
#include "secret.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"

/* Bytes of a secret that is looked for in texts: a shorter one may stand there by chance. */
#define SHORTEST 12

/* One width, whatever it covers. */
#define MASK "***"

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

/* ---- Finding and covering */

struct match {
    char *from, *to; /* from: NULL where there is none */
};

/* The first one, and of those that begin there the longest. */
static struct match find(int first_secret, int last_secret, char *bytes, const char *end)
{
    struct match found = {0};

    for (int which = first_secret; which <= last_secret; which++) {
        for (int shape = 0; shape < SHAPES; shape++) {
            const char *spelled = shapes[which][shape];
            size_t length = spelled != NULL ? strlen(spelled) : 0;
            char *at = length > 0 ? memmem(bytes, (size_t)(end - bytes), spelled, length) : NULL;

            if (at != NULL && (found.from == NULL || at < found.from ||
                                  (at == found.from && at + length > found.to)))
                found = (struct match){at, at + length};
        }
    }
    return found;
}

static bool is_of_word(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '%' || (unsigned char)c >= 0x80;
}

/* To the whole words that it touches, and over whatever begins within them. */
static struct match widen(
    int first_secret, int last_secret, struct match match, const char *begin, char *end)
{
    struct match next = match;

    while (match.from > begin && is_of_word(match.from[-1]))
        match.from--;
    do {
        if (next.to > match.to)
            match.to = next.to;
        while (match.to < end && is_of_word(*match.to))
            match.to++;
        next = find(first_secret, last_secret, next.from + 1, end);
    } while (next.from != NULL && next.from < match.to);
    return match;
}

/* A mask is shorter than what it covers: no byte moves to the right. */
static size_t mask(int first_secret, int last_secret, char *bytes, size_t length)
{
    char *end = bytes + length, *read = bytes, *write = bytes;
    struct match match;

    while ((match = find(first_secret, last_secret, read, end)).from != NULL) {
        match = widen(first_secret, last_secret, match, read, end);
        memmove(write, read, (size_t)(match.from - read));
        write += match.from - read;
        memcpy(write, MASK, sizeof MASK - 1);
        write += sizeof MASK - 1;
        read = match.to;
    }
    if (read == bytes)
        return length;
    memmove(write, read, (size_t)(end - read));
    return (size_t)(write - bytes) + (size_t)(end - read);
}

void secret_mask(char *text)
{
    text[mask(0, SECRETS - 1, text, strlen(text))] = '\0';
}

bool secret_key_counts(void)
{
    return shapes[SECRET_API_KEY][SHAPE_PLAIN] != NULL;
}

bool secret_key_is_in(const char *bytes, size_t length)
{
    for (int shape = 0; shape < SHAPES; shape++) {
        const char *spelled = shapes[SECRET_API_KEY][shape];

        if (spelled != NULL && memmem(bytes, length, spelled, strlen(spelled)) != NULL)
            return true;
    }
    return false;
}

size_t secret_mask_key(char *bytes, size_t length)
{
    return mask(SECRET_API_KEY, SECRET_API_KEY, bytes, length);
}

void secret_mask_key_in_text(char *text)
{
    text[secret_mask_key(text, strlen(text))] = '\0';
}

void secret_clear(void)
{
    for (int which = 0; which < SECRETS; which++)
        secret_set((enum secret)which, NULL);
}
