/* Rows of values, printed as a table for people or as JSON for programs: one description of the
 * columns serves both. */
#ifndef MESH_CLI_TABLE_H
#define MESH_CLI_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/base/ensure.h"
#include "wire/base/slice.h"

struct cmd_column {
    const char *heading; /* of the table; NULL: in JSON only */
    const char *key;     /* in JSON; NULL: in the table only */
    bool is_right;       /* numbers stand right */
};

enum cmd_value_kind {
    CMD_VALUE_NULL,
    CMD_VALUE_TEXT,
    CMD_VALUE_UINT,
    CMD_VALUE_REAL,
    CMD_VALUE_BOOL
};

struct cmd_value {
    enum cmd_value_kind kind;
    struct slice text; /* borrowed for the call; foreign text is allowed */
    uint64_t uint;
    double real;
    bool is_true;
    const char *shown; /* in the table in place of the value; NULL: the value itself */
};

struct cmd_table;

/* Aborts when memory is short. The columns are borrowed. */
struct cmd_table *cmd_table_new(const struct cmd_column *columns, unsigned n_columns) MUST_CHECK;
/* NULL is allowed. Returns NULL. */
struct cmd_table *cmd_table_free(struct cmd_table *table);
/* One value for each column, copied. */
void cmd_table_add(struct cmd_table *table, const struct cmd_value *values);

/* To standard output. */
void cmd_table_print(const struct cmd_table *table);
/* cli/json.c. An array of objects, to standard output; in one line when `is_compact`. */
void cmd_table_print_json(const struct cmd_table *table, bool is_compact);

struct cmd_value cmd_text(struct slice text);
struct cmd_value cmd_uint(uint64_t value);
struct cmd_value cmd_real(double value, const char *shown);
struct cmd_value cmd_bool(bool is_true);
struct cmd_value cmd_null(const char *shown);

#endif
