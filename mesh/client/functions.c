/* The table of functions: a list that constructors fill before main(). It never changes
 * later. */
#include <string.h>

#include "mesh/client/handle.h"

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

const char *mesh_function_twice(void)
{
    for (const struct mesh_entry *entry = first; entry != NULL; entry = entry->next) {
        for (const struct mesh_entry *other = entry->next; other != NULL; other = other->next) {
            if (strcmp(entry->name, other->name) == 0) {
                return entry->name;
            }
        }
    }
    return NULL;
}
