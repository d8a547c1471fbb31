/* The table of functions: a list that constructors fill before main(). It never changes
 * later. */
#include <string.h>

#include "mesh/client/handle.h"
#include "wire/base/text.h"

static struct mesh_entry *first;

void mesh_register(struct mesh_entry *entry)
{
    entry->next = first;
    first = entry;
}

const struct mesh_entry *mesh_function_first(void)
{
    return first;
}

mesh_function *mesh_function_find(const char *name, size_t n)
{
    for (const struct mesh_entry *entry = first; entry != NULL; entry = entry->next) {
        if (strlen(entry->name) == n && memcmp(entry->name, name, n) == 0) {
            return entry->function;
        }
    }
    return NULL;
}

int mesh_functions_check(struct errmsg *err)
{
    for (const struct mesh_entry *entry = first; entry != NULL; entry = entry->next) {
        size_t n = strlen(entry->name);
        if (n == 0 || n >= MESH_FUNCTION_BYTES || !text_is_utf8(slice_of(entry->name, n))) {
            errmsg_set(err, "a function is registered as \"%s\": names are 1 to %u bytes of UTF-8",
                       entry->name, MESH_FUNCTION_BYTES - 1);
            return MESH_EINVAL;
        }
        for (const struct mesh_entry *other = entry->next; other != NULL; other = other->next) {
            if (strcmp(entry->name, other->name) == 0) {
                errmsg_set(err, "two functions are registered as \"%s\"", entry->name);
                return MESH_EINVAL;
            }
        }
    }
    return 0;
}
