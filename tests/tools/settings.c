/*
 * Prints a document from the bridge's table of settings: the files in config/ are its output.
 */
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "config.h"

int main(int argc, char **argv)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    if (argc == 2 && strcmp(argv[1], "example") == 0) {
        config_write_example(&out);
    } else if (argc == 2 && strcmp(argv[1], "markdown") == 0) {
        config_write_markdown(&out);
    } else if (argc == 2 && strcmp(argv[1], "man") == 0) {
        config_write_man(&out);
    } else {
        fputs("usage: settings example|markdown|man\n", stderr);
        return 2;
    }
    bool ok = !out.failed && fwrite(out.data, 1, out.length, stdout) == out.length;
    buf_clear(&out);
    return ok && fflush(stdout) == 0 ? 0 : 1;
}
