/* wire/README.md lists every message and structure with its fields: the list must be the tables'.
 *
 * With $MESH_PRINT set, the rows as they should be are written to the file it names. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/random_message.h"
#include "tests/lib/runner.h"
#include "wire/base/buf.h"
#include "wire/message_layout.h"

static struct buf readme;

static void set_up(void)
{
    buf_init(&readme, 1u << 20);
    FILE *file = fopen(MESH_SOURCE_ROOT "/wire/README.md", "re");
    ck_assert_ptr_nonnull(file);
    char block[4096];
    for (size_t n; (n = fread(block, 1, sizeof(block), file)) > 0;) {
        buf_append(&readme, block, n);
    }
    fclose(file);
}

static void tear_down(void)
{
    buf_done(&readme);
}

static void describe_number(const struct wire_field *field, uint64_t unlimited, struct buf *to)
{
    buf_append_str(to, unlimited == UINT64_MAX ? "u64" : "u32");
    if (field->min > 0) {
        buf_printf(to, " ≥ %llu", (unsigned long long)field->min);
    }
    if (field->max < unlimited) {
        buf_printf(to, " ≤ %llu", (unsigned long long)field->max);
    }
}

static void describe_items(const struct wire_field *field, const char *inner, struct buf *to)
{
    buf_printf(to, "[%s]", inner);
    if (field->min > 0) {
        buf_printf(to, " ≥ %llu", (unsigned long long)field->min);
    }
    buf_printf(to, " ≤ %llu", (unsigned long long)field->max);
}

static void describe_field(const struct wire_field *field, struct buf *to)
{
    unsigned long long max = field->max;
    char inner[64];
    buf_printf(to, "%s: ", field->name);
    switch (field->kind) {
    case WIRE_KIND_U32:
        describe_number(field, UINT32_MAX, to);
        return;
    case WIRE_KIND_U64:
        describe_number(field, UINT64_MAX, to);
        return;
    case WIRE_KIND_BOOL:
        buf_append_str(to, "bool");
        return;
    case WIRE_KIND_ENUM:
        buf_printf(to, "enum ≤ %llu", max);
        return;
    case WIRE_KIND_FIXED:
        buf_append_str(to, "bin 32");
        return;
    case WIRE_KIND_SECRET:
        buf_printf(to, "bin %llu", max);
        return;
    case WIRE_KIND_TEXT:
        buf_printf(to, "str ≤ %llu", max);
        return;
    case WIRE_KIND_WORD:
        buf_printf(to, "word ≤ %llu", max);
        return;
    case WIRE_KIND_BYTES:
        buf_printf(to, "bin ≤ %llu", max);
        return;
    case WIRE_KIND_TEXTS:
    case WIRE_KIND_WORDS:
        snprintf(inner, sizeof(inner), "%s ≤ %u", field->kind == WIRE_KIND_TEXTS ? "str" : "word",
                 field->item_bytes_max);
        describe_items(field, inner, to);
        return;
    case WIRE_KIND_STRUCT:
        buf_append_str(to, field->layout->name);
        return;
    case WIRE_KIND_ITEMS:
        describe_items(field, field->layout->name, to);
        return;
    }
}

static void describe_fields(const struct wire_layout *layout, struct buf *to)
{
    for (uint32_t i = 0; i < layout->n_fields; i++) {
        buf_append_str(to, i > 0 ? ", " : "");
        describe_field(&layout->fields[i], to);
    }
    buf_append_str(to, " |");
}

static FILE *open_print(void)
{
    const char *path = getenv("MESH_PRINT");
    return fopen(path != NULL ? path : "/dev/null", "ae");
}

static void check_row(FILE *print, struct buf *row)
{
    fprintf(print, "%s\n", buf_cstr(row));
    ck_assert_msg(strstr(buf_cstr(&readme), buf_cstr(row)) != NULL, "not in wire/README.md: %s",
                  buf_cstr(row));
    buf_done(row);
}

static void check_structures_in(const struct wire_layout *layout, FILE *print)
{
    for (uint32_t i = 0; i < layout->n_fields; i++) {
        const struct wire_layout *inner = layout->fields[i].layout;
        if (inner != NULL) {
            struct buf row;
            buf_init(&row, 4096);
            buf_printf(&row, "\n| %s | ", inner->name);
            describe_fields(inner, &row);
            check_row(print, &row);
            check_structures_in(inner, print);
        }
    }
}

START_TEST(every_structure_is_in_the_specification)
{
    FILE *print = open_print();
    for (size_t i = 0; i < random_n_types(); i++) {
        check_structures_in(wire_layout_of(random_type(i)), print);
    }
    fclose(print);
}
END_TEST

START_TEST(every_message_is_in_the_specification)
{
    FILE *print = open_print();
    for (size_t i = 0; i < random_n_types(); i++) {
        const struct wire_layout *layout = wire_layout_of(random_type(i));
        struct buf row;
        buf_init(&row, 4096);
        buf_printf(&row, "\n| %u | %s | ", random_type(i), layout->name);
        describe_fields(layout, &row);
        check_row(print, &row);
    }
    fclose(print);
}
END_TEST

/* The values 0..last stand in the row that begins like this. */
static void check_values(const char *row, const char *(*text)(uint32_t), uint32_t last)
{
    const char *at = strstr(buf_cstr(&readme), row);
    ck_assert_msg(at != NULL, "no row in wire/README.md: %s", row);
    const char *end = strchr(at + 1, '\n');
    for (uint32_t v = 0; v <= last; v++) {
        char entry[80];
        snprintf(entry, sizeof(entry), "%u %s%s", v, text(v), v < last ? ", " : " |");
        const char *found = strstr(at, entry);
        ck_assert_msg(found != NULL && found < end, "not in wire/README.md, %s: %s", row, entry);
    }
}

START_TEST(every_value_is_in_the_specification)
{
    check_values("\n| ends |", wire_end_text, WIRE_END_NO_RETURN);
    check_values("\n| file faults |", wire_file_fault_text, WIRE_FILE_FAULT_LIMIT);
    check_values("\n| refusals |", wire_refusal_text, WIRE_REFUSAL_BUSY);
    check_values("\n| peer states |", wire_peer_state_text, WIRE_PEER_CONFLICT);
    check_values("\n| held |", wire_held_text, WIRE_HELD_ENDED);
    check_values("\n| errors |", wire_error_text, WIRE_ERROR_NOT_EXECUTABLE);
    check_values("\n| calls |", wire_call_status_text, WIRE_CALL_NO_MEMORY);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message_readme");
    TCase *tc = tcase_create("message_readme");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, every_structure_is_in_the_specification);
    tcase_add_test(tc, every_message_is_in_the_specification);
    tcase_add_test(tc, every_value_is_in_the_specification);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
