/* Shared by table.c and json.c. */
#ifndef MESH_CLI_TABLE_INTERNAL_H
#define MESH_CLI_TABLE_INTERNAL_H

#include <jansson.h>

#include "cli/table.h"

struct cmd_table {
    const struct cmd_column *columns;
    unsigned n_columns;
    struct cmd_value *cells; /* n_rows * n_columns; text and shown are owned copies */
    unsigned n_rows;
    unsigned cap_rows;
};

/* A new reference; NULL when memory is short. */
json_t *cmd_table_json(const struct cmd_table *table);

#endif
