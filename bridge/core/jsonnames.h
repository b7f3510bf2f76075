#ifndef JSONNAMES_H
#define JSONNAMES_H

#include "json.h"

/* How json.c keeps one member of each name. Private to it. */

/* While there are few: true where the member was taken into one of the same name that came before.
 */
bool json_names_take(struct json_object *object, const struct json_member *member);
/* Behind the last member. Where there are many they are put in order, and those of the same name
 * become one now. */
void json_names_settle(struct json_object *object);

#endif
