/* The settings table as the manual page aiva-mqtt-bridge.conf(5), in the macros of man(7). */
#include <string.h>

#include "config_private.h"

/* Text that roff takes as it stands. Backquotes make what is between them bold. */
static void write_text(struct buf *out, const char *text)
{
    bool bold = false;
    if (*text == '.' || *text == '\'')
        buf_append_text(out, "\\&");
    for (; *text != '\0'; text++) {
        if (*text == '`') {
            bold = !bold;
            buf_append_text(out, bold ? "\\fB" : "\\fR");
        } else if (*text == '\\') {
            buf_append_text(out, "\\e");
        } else if (*text == '-') {
            buf_append_text(out, "\\-");
        } else {
            buf_append_char(out, *text);
        }
    }
}

static void write_fact(struct buf *out, const char *name, const char *text, const char *quote)
{
    buf_printf(out, ".br\n%s: %s", name, *quote != '\0' ? "\\fB" : "");
    write_text(out, text);
    buf_append_text(out, *quote != '\0' ? "\\fR\n" : "\n");
}

static void write_setting(struct buf *out, const struct setting *setting)
{
    struct buf values;
    buf_init(&values, 4096);
    config_write_values(&values, setting);
    buf_append_text(out, ".TP\n.B ");
    write_text(out, setting->path);
    buf_append_char(out, '\n');
    write_text(out, setting->meaning);
    buf_append_char(out, '\n');
    write_fact(out, "Values", values.data, "");
    if (strcmp(setting->fallback, "\"\"") != 0)
        write_fact(out, "Default", setting->fallback, "`");
    if (setting->environment != NULL)
        write_fact(out, "Environment", setting->environment, "`");
    buf_clear(&values);
}

void config_write_man(struct buf *out)
{
    buf_append_text(out,
        ".\\\" Written from the bridge's own table of settings; do not edit.\n"
        ".TH AIVA\\-MQTT\\-BRIDGE.CONF 5 \"\" aiva\\-mqtt\\-bridge \"File Formats\"\n"
        ".SH NAME\n"
        "aiva\\-mqtt\\-bridge.conf \\- settings of the bridge from AIVA to MQTT\n"
        ".SH DESCRIPTION\n"
        "The file that\n"
        ".BR aiva\\-mqtt\\-bridge (1)\n"
        "reads with\n"
        ".B \\-\\-config\n"
        "is one JSON object with a member for each section below, and in it one for each\n"
        "setting:\n"
        ".PP\n"
        ".EX\n"
        "{\n"
        "  // comments may stand, like this or /* like this */\n"
        "  \"mqtt\": { \"url\": \"mqtts://broker.example\", \"qos\": 1 }\n"
        "}\n"
        ".EE\n"
        ".PP\n"
        "A member that is not listed here, given twice, of the wrong type or out of range is an\n"
        "error. Numbers are whole. All may be left out but the API key.\n"
        ".PP\n"
        "An environment variable wins over the file; an empty one counts as not set. A secret is\n"
        "given as it is or as the name of a file that holds it, not both in the same place;\n"
        "giving it either way in the environment sets aside both ways in the file.\n"
        ".SH SETTINGS\n");
    for (size_t i = 0; i < setting_sections_count; i++) {
        const struct setting_section *section = &setting_sections[i];
        buf_printf(out, ".SS %s\n", section->name);
        write_text(out, section->meaning);
        buf_append_char(out, '\n');
        for (size_t j = 0; j < settings_count; j++)
            if (setting_name(&settings[j], section->name) != NULL)
                write_setting(out, &settings[j]);
    }
    buf_append_text(out, ".SH FILES\n"
                         ".TP\n"
                         ".I /etc/aiva\\-mqtt\\-bridge/bridge.json\n"
                         "where the systemd unit has it\n"
                         ".SH SEE ALSO\n"
                         ".BR aiva\\-mqtt\\-bridge (1)\n");
}
