/* Templates and values of `mesh submit`: the first byte chooses the form, NULs separate the words,
 * an empty word begins the values. */
#include "cli/replace.h"
#include "tests/fuzz/fuzz.h"
#include "wire/limits.h"

#define WORDS_MAX 64

struct words {
    char *items[WORDS_MAX];
    unsigned n;
};

/* Splits at NULs, up to an empty word; returns where the rest begins. */
static size_t split(char *bytes, size_t n, struct words *words)
{
    size_t at = 0;
    while (at < n && words->n < WORDS_MAX) {
        size_t length = strlen(bytes + at);
        if (length == 0) {
            return at + 1;
        }
        words->items[words->n++] = bytes + at;
        at += length + 1;
    }
    return at < n ? at : n;
}

static void expand(struct cmd_replace *replace, const struct words *values)
{
    struct slice items[WORDS_MAX];
    for (unsigned i = 0; i < values->n; i++) {
        items[i] = slice_str(values->items[i]);
    }
    struct cmd_values given = {.items = items, .n = values->n, .sequence = 1};
    struct wire_slices argv;
    struct errmsg err;
    if (cmd_replace_expand(replace, &given, &argv, &err) < 0) {
        return;
    }
    size_t n_bytes = 0;
    for (uint32_t i = 0; i < argv.n; i++) {
        ensure(argv.items[i].n < WIRE_ARG_BYTES_MAX);
        n_bytes += argv.items[i].n + 1;
    }
    ensure(n_bytes <= WIRE_ARGV_BYTES_MAX);
    struct buf line;
    buf_init(&line, 8 * WIRE_ARGV_BYTES_MAX);
    cmd_replace_line(replace, argv, &line);
    ensure(buf_error(&line) == 0);
    buf_done(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static char copy[4096];
    if (n < 1 || n >= sizeof(copy)) {
        return 0;
    }
    memcpy(copy, bytes + 1, n - 1);
    copy[n - 1] = '\0';
    struct words words = {.n = 0};
    struct words values = {.n = 0};
    size_t at = split(copy, n - 1, &words);
    split(copy + at, n - 1 - at, &values);
    enum cmd_form form = words.n == 0        ? CMD_FORM_LINES
                         : bytes[0] % 2 == 0 ? CMD_FORM_ARGV
                                             : CMD_FORM_SHELL;
    struct cmd_replace *replace;
    struct errmsg err;
    if (cmd_replace_new(words.items, words.n, form, values.n > 0, &replace, &err) == 0) {
        expand(replace, &values);
        cmd_replace_free(replace);
    }
    return 0;
}
