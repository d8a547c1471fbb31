#include "cli/table.h"

#include <inttypes.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <string.h>

#include "cli/table_internal.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

#define CELL_BYTES_MAX 512

struct cmd_table *cmd_table_new(const struct cmd_column *columns, unsigned n_columns)
{
    struct cmd_table *table = mem_alloc_or_die(1, sizeof(*table));
    table->columns = columns;
    table->n_columns = n_columns;
    return table;
}

struct cmd_table *cmd_table_free(struct cmd_table *table)
{
    if (table == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < (size_t)table->n_rows * table->n_columns; i++) {
        const void *text = table->cells[i].text.p;
        const void *shown = table->cells[i].shown;
        mem_free((void *)(uintptr_t)text);
        mem_free((void *)(uintptr_t)shown);
    }
    mem_free(table->cells);
    return mem_free(table);
}

static struct cmd_value copy_value(const struct cmd_value *value)
{
    struct cmd_value copy = *value;
    if (value->kind == CMD_VALUE_TEXT) {
        copy.text.p = mem_dup(value->text.p, value->text.n);
        ensure(copy.text.p != NULL || value->text.n == 0);
    }
    if (value->shown != NULL) {
        copy.shown = mem_strndup(value->shown, strlen(value->shown));
        ensure(copy.shown != NULL);
    }
    return copy;
}

void cmd_table_add(struct cmd_table *table, const struct cmd_value *values)
{
    if (table->n_rows == table->cap_rows) {
        unsigned cap = table->cap_rows * 2 + 16;
        struct cmd_value *cells =
            mem_realloc(table->cells, (size_t)cap * table->n_columns, sizeof(*cells));
        ensure(cells != NULL);
        table->cells = cells;
        table->cap_rows = cap;
    }
    struct cmd_value *row = table->cells + (size_t)table->n_rows * table->n_columns;
    for (unsigned i = 0; i < table->n_columns; i++) {
        row[i] = copy_value(&values[i]);
    }
    table->n_rows++;
}

static const char *cell_text(const struct cmd_value *value, char to[static CELL_BYTES_MAX])
{
    if (value->shown != NULL) {
        return value->shown;
    }
    switch (value->kind) {
    case CMD_VALUE_NULL:
        return "-";
    case CMD_VALUE_TEXT:
        return value->text.n == 0 ? "-" : text_printable(value->text, to, CELL_BYTES_MAX);
    case CMD_VALUE_UINT:
        snprintf(to, CELL_BYTES_MAX, "%" PRIu64, value->uint);
        return to;
    case CMD_VALUE_REAL:
        snprintf(to, CELL_BYTES_MAX, "%.3f", value->real);
        return to;
    case CMD_VALUE_BOOL:
        return value->is_true ? "yes" : "no";
    }
    ensure(!"reached");
    return "";
}

static void fill_line(const struct cmd_table *table, unsigned i_row, struct libscols_line *line)
{
    const struct cmd_value *row = table->cells + (size_t)i_row * table->n_columns;
    size_t shown = 0;
    for (unsigned i = 0; i < table->n_columns; i++) {
        char text[CELL_BYTES_MAX];
        if (table->columns[i].heading != NULL) {
            ensure(scols_line_set_data(line, shown++, cell_text(&row[i], text)) == 0);
        }
    }
}

void cmd_table_print(const struct cmd_table *table)
{
    struct libscols_table *cols = scols_new_table();
    ensure(cols != NULL);
    for (unsigned i = 0; i < table->n_columns; i++) {
        const struct cmd_column *column = &table->columns[i];
        if (column->heading != NULL) {
            int flags = column->is_right ? SCOLS_FL_RIGHT : 0;
            ensure(scols_table_new_column(cols, column->heading, 0, flags) != NULL);
        }
    }
    for (unsigned i = 0; i < table->n_rows; i++) {
        struct libscols_line *line = scols_table_new_line(cols, NULL);
        ensure(line != NULL);
        fill_line(table, i, line);
    }
    scols_table_enable_noencoding(cols, 1); /* cells are printable already */
    scols_print_table(cols);
    scols_unref_table(cols);
}

struct cmd_value cmd_text(struct slice text)
{
    return (struct cmd_value){.kind = CMD_VALUE_TEXT, .text = text};
}

struct cmd_value cmd_uint(uint64_t value)
{
    return (struct cmd_value){.kind = CMD_VALUE_UINT, .uint = value};
}

struct cmd_value cmd_real(double value, const char *shown)
{
    return (struct cmd_value){.kind = CMD_VALUE_REAL, .real = value, .shown = shown};
}

struct cmd_value cmd_bool(bool is_true)
{
    return (struct cmd_value){.kind = CMD_VALUE_BOOL, .is_true = is_true};
}

struct cmd_value cmd_null(const char *shown)
{
    return (struct cmd_value){.kind = CMD_VALUE_NULL, .shown = shown};
}
