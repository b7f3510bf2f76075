#ifndef JSONC_H
#define JSONC_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "error.h"

/* Parses a JSON text in which comments may stand wherever white space may. On failure the error
 * says line and column (counted in characters, from 1) and never quotes the text: NULL. Else the
 * tree is the caller's. */
cJSON *jsonc_parse(const char *text, size_t length, struct error *error) NODISCARD;

/* Deletes the tree, and wipes its strings before: they may be secrets. */
void jsonc_delete(cJSON *tree);

#endif
