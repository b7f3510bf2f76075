#ifndef CONFIG_PRIVATE_H
#define CONFIG_PRIVATE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "config.h"
#include "error.h"

/* The settings as data: config.c loads from these rows, config_docs.c prints them. */

enum setting_type {
    SETTING_TEXT,        /* char * */
    SETTING_SECRET,      /* char *; the row behind it is its SETTING_SECRET_FILE */
    SETTING_SECRET_FILE, /* char *; `content` is the secret */
    SETTING_PEM_FILE,    /* char *; `content` is what is in it where TLS is used, else "" */
    SETTING_NUMBER,      /* int */
    SETTING_SWITCH,      /* bool */
    SETTING_WORD,        /* an enum: the index of the word in `words` */
    SETTING_WORD_SET,    /* unsigned: bit n for word n; an array in the file */
    SETTING_NAMES        /* struct config_list; an array in the file, a variable has commas */
};

struct setting {
    const char *path;
    const char *environment; /* NULL where no variable sets it */
    enum setting_type type;
    const char *fallback;     /* the default, as JSON */
    int minimum, maximum;     /* of a number */
    const char *const *words; /* up to a NULL */
    /* Looks at a text, which it may shorten or put into its usual form in place; NULL where any
     * will do. An empty text means "not given" and is looked at only where the default is not
     * empty. On failure the error says what was expected. */
    bool (*check)(char *text, struct error *error);
    size_t target;       /* offset in struct config */
    size_t content;      /* the same, of a file's content */
    const char *example; /* for the example file, where the default would tell too little */
    const char *values;  /* for the documents, where the type would tell too little */
    const char *meaning;
};

struct setting_section {
    const char *name;
    const char *meaning;
};

extern const struct setting settings[];
extern const size_t settings_count;
extern const struct setting_section setting_sections[];
extern const size_t setting_sections_count;

/* The setting's name behind that of its section; NULL where it is not of this section. */
const char *setting_name(const struct setting *setting, const char *section);
/* Where the row's value is in this configuration. */
void *setting_target(const struct setting *setting, struct config *config);
/* And what is in the file that it names. */
char **setting_content(const struct setting *setting, struct config *config);
/* The row of that path, which exists. */
const struct setting *setting_of(const char *path);

/*
 * Puts a value where the row says, and discards the one before: from a file's JSON, or from text
 * that was given under `name`, an environment variable's for instance. config_assign.c.
 */
bool config_assign_json(struct config *config, const struct setting *setting, const cJSON *value,
    struct error *error) NODISCARD;
bool config_assign_text(struct config *config, const struct setting *setting, const char *name,
    const char *text, struct error *error) NODISCARD;
/* Frees what the row's target owns. */
void config_unassign(struct config *config, const struct setting *setting);
/* Wipes and frees. NULL is allowed. */
void config_discard(char *text);

/* NULL where the row has no variable, or it is not set, or empty. config.c. */
const char *config_environment(const struct config_source *source, const struct setting *setting);
/* Puts before the error where the setting was given: its variable, or the file and its path. */
bool config_wrap_origin(
    const struct config_source *source, const struct setting *setting, struct error *error);
bool config_wrap_file(const struct config_source *source, struct error *error);

/* After the file and before the environment. A secret is given once in the file and once in the
 * environment at most; what the environment gives replaces both the text and the file's name that
 * the file gave. config_files.c. */
bool config_choose_secret(struct config *config, const struct config_source *source,
    const struct setting *secret, struct error *error) NODISCARD;
/* Reads all files that settings name, for the first time: one that is outdated is only warned of.
 */
bool config_load_files(
    struct config *config, const struct config_source *source, struct error *error) NODISCARD;
/* Takes a byte order mark off the beginning of what the file `name` holds, with a warning; refuses
 * UTF-16. */
bool config_strip_mark(const struct config_source *source, const char *name, const char **text,
    size_t *length, struct error *error) NODISCARD;

/* Appends the words as they stand in a sentence: every word between two `quote`, with commas and,
 * before the last one, `last` (" or "). */
void config_list_words(
    struct buf *out, const char *const *words, const char *quote, const char *last);
/* Appends what may be given, as Markdown: words to be typed stand in backquotes. config_docs.c. */
void config_write_values(struct buf *out, const struct setting *setting);
/* Appends text from outside for an error: cut, and what is not plain text as \xNN. */
void config_show_text(struct buf *out, const char *text);

/* The rules for texts: `check` of a row. config_check.c. */
bool config_check_plain(char *text, struct error *error); /* for all but secrets, before theirs */
bool config_check_key(char *text, struct error *error);
bool config_check_password(char *text, struct error *error);
bool config_check_aiva_url(char *text, struct error *error);
bool config_check_mqtt_url(char *text, struct error *error);
bool config_check_proxy(char *text, struct error *error);
bool config_check_alpn(char *text, struct error *error);
bool config_check_client_id(char *text, struct error *error);
bool config_check_topic(char *text, struct error *error);
bool config_check_response_topic(char *text, struct error *error);
bool config_check_listen(char *text, struct error *error);
bool config_check_hidden(char *text, struct error *error);

#endif
