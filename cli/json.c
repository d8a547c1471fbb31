/* Tables as JSON. Only ASCII leaves here, other characters as \u escapes: JSON too may end up on a
 * terminal. */
#include <stdio.h>

#include "cli/table_internal.h"

static json_t *value_json(const struct cmd_value *value)
{
    switch (value->kind) {
    case CMD_VALUE_NULL:
        return json_null();
    case CMD_VALUE_TEXT:
        return json_stringn((const char *)value->text.p, value->text.n);
    case CMD_VALUE_UINT:
        return json_integer((json_int_t)value->uint);
    case CMD_VALUE_REAL:
        return json_real(value->real);
    case CMD_VALUE_BOOL:
        return json_boolean(value->is_true);
    }
    ensure(!"reached");
    return NULL;
}

json_t *cmd_table_json(const struct cmd_table *table)
{
    json_t *rows = json_array();
    for (unsigned i = 0; i < table->n_rows; i++) {
        const struct cmd_value *row = table->cells + (size_t)i * table->n_columns;
        json_t *object = json_object();
        for (unsigned j = 0; j < table->n_columns; j++) {
            if (table->columns[j].key != NULL &&
                json_object_set_new(object, table->columns[j].key, value_json(&row[j])) < 0) {
                json_decref(object);
                json_decref(rows);
                return NULL;
            }
        }
        if (json_array_append_new(rows, object) < 0) {
            json_decref(rows);
            return NULL;
        }
    }
    return rows;
}

void cmd_table_print_json(const struct cmd_table *table, bool is_compact)
{
    json_t *rows = cmd_table_json(table);
    ensure(rows != NULL);
    size_t flags = JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9);
    IGNORE(json_dumpf(rows, stdout, flags | (is_compact ? JSON_COMPACT : JSON_INDENT(2))));
    putchar('\n'); /* what could not be written shows in cmd_finish_output() */
    json_decref(rows);
}
