/*
 * The settings table as documents for people: a commented example file and a page of Markdown.
 */
#include <string.h>

#include "config_private.h"

static void write_comment(struct buf *out, const struct setting *setting)
{
    buf_printf(out, "    // %s", setting->meaning);
    if (setting->type == SETTING_WORD) {
        buf_append_text(out, " One of ");
        config_list_words(out, setting->words, "", ", ");
        buf_append_char(out, '.');
    }
    if (setting->type == SETTING_NUMBER)
        buf_printf(out, " %d to %d.", setting->minimum, setting->maximum);
    if (setting->type == SETTING_TEXT && setting->example != NULL)
        buf_printf(out, " Such as %s.", setting->example);
    if (setting->environment != NULL)
        buf_printf(out, " [%s]", setting->environment);
    buf_append_char(out, '\n');
}

/* One way to give a secret is enough: the other one is a comment. */
static const char *write_member(struct buf *out, const struct setting *setting, const char *name)
{
    if (setting->type == SETTING_SECRET_FILE) {
        buf_printf(out, "    // \"%s\": %s,\n", name, setting->example);
        return "";
    }
    buf_printf(out, "    \"%s\": %s", name, setting->fallback);
    return ",\n";
}

static void write_example_section(struct buf *out, const struct setting_section *section)
{
    const char *separator = "";
    buf_printf(out, "  // %s\n  \"%s\": {\n", section->meaning, section->name);
    for (size_t i = 0; i < settings_count; i++) {
        const char *name = setting_name(&settings[i], section->name);
        if (name == NULL)
            continue;
        buf_append_text(out, separator);
        write_comment(out, &settings[i]);
        separator = write_member(out, &settings[i], name);
    }
    buf_append_text(out, "\n  }");
}

void config_write_example(struct buf *out)
{
    buf_append_text(out,
        "// aiva-mqtt-bridge: every setting at its default. All may be left out but the API key.\n"
        "// The file is JSON in which comments may stand, like these or /* like this */.\n"
        "// In brackets: the environment variable that wins over the file.\n"
        "{\n");
    for (size_t i = 0; i < setting_sections_count; i++) {
        write_example_section(out, &setting_sections[i]);
        buf_append_text(out, i + 1 < setting_sections_count ? ",\n\n" : "\n");
    }
    buf_append_text(out, "}\n");
}

void config_write_values(struct buf *out, const struct setting *setting)
{
    if (setting->values != NULL) {
        buf_append_text(out, setting->values);
        return;
    }
    switch (setting->type) {
    case SETTING_NUMBER:
        buf_printf(out, "%d to %d", setting->minimum, setting->maximum);
        break;
    case SETTING_SWITCH:
        buf_append_text(out, "`true`, `false`; the variable also `1`, `0`");
        break;
    case SETTING_WORD_SET:
        buf_append_text(out, "an array of ");
        config_list_words(out, setting->words, "`", ", ");
        break;
    case SETTING_WORD:
        config_list_words(out, setting->words, "`", ", ");
        break;
    case SETTING_SECRET_FILE:
        buf_append_text(out, "a file name; one line end at the file's end is ignored");
        break;
    case SETTING_PEM_FILE:
    case SETTING_TEXT:
    case SETTING_SECRET:
    case SETTING_NAMES:
        buf_append_text(out, "text");
    }
}

static void write_row(struct buf *out, const struct setting *setting)
{
    bool has_default = strcmp(setting->fallback, "\"\"") != 0;
    buf_printf(out, "| `%s` | ", setting->path);
    if (setting->environment != NULL)
        buf_printf(out, "`%s` ", setting->environment);
    buf_append_text(out, "| ");
    if (has_default)
        buf_printf(out, "`%s` ", setting->fallback);
    buf_append_text(out, "| ");
    config_write_values(out, setting);
    buf_printf(out, " | %s |\n", setting->meaning);
}

void config_write_markdown(struct buf *out)
{
    buf_append_text(out,
        "# Settings\n\n"
        "Written from the bridge's own table of settings; do not edit.\n\n"
        "The configuration file (`--config FILE`) is one JSON object with a member for each "
        "section\n"
        "below. `//` and `/* */` comments may stand wherever white space may. A member that is "
        "not\n"
        "listed here, given twice, of the wrong type or out of range is an error. Numbers are\n"
        "whole.\n\n"
        "An environment variable wins over the file; an empty one counts as not set. A secret is\n"
        "given as it is or as the name of a file that holds it, not both in the same place; "
        "giving\n"
        "it either way in the environment sets aside both ways in the file.\n");
    for (size_t i = 0; i < setting_sections_count; i++) {
        const struct setting_section *section = &setting_sections[i];
        buf_printf(out,
            "\n## %s\n\n%s\n\n"
            "| member | environment | default | values | meaning |\n|---|---|---|---|---|\n",
            section->name, section->meaning);
        for (size_t j = 0; j < settings_count; j++)
            if (setting_name(&settings[j], section->name) != NULL)
                write_row(out, &settings[j]);
    }
}
