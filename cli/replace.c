#include "cli/replace.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/mem.h"
#include "wire/base/text.h"
#include "wire/limits.h"

enum piece_kind { PIECE_TEXT, PIECE_VALUE, PIECE_SEQUENCE, PIECE_WORD_END };

enum value_part { PART_ALL, PART_NO_EXTENSION, PART_BASE, PART_DIR, PART_BASE_NO_EXTENSION };

struct piece {
    enum piece_kind kind;
    struct slice text; /* PIECE_TEXT: in `source` */
    bool is_every;     /* PIECE_VALUE: all sources, joined */
    int position;      /* PIECE_VALUE otherwise: from 1, or from -1 at the end; 0 is none */
    enum value_part part;
};

struct cmd_replace {
    enum cmd_form form;
    char *source; /* owned: all words, which the pieces point into */
    struct piece *pieces;
    size_t n_pieces;
    size_t cap_pieces;

    struct buf bytes; /* of the expanded words */
    struct buf ends;  /* size_t each: where a word ends in `bytes` */
    struct slice *argv;
    size_t cap_argv;
};

/* --- compiling ---------------------------------------------------------------------------------
 */

static const char *skip_part(const char *p, enum value_part *ret_part)
{
    static const struct {
        const char *text;
        enum value_part part;
    } parts[] = {{"//}", PART_DIR},
                 {"/.}", PART_BASE_NO_EXTENSION},
                 {"/}", PART_BASE},
                 {".}", PART_NO_EXTENSION},
                 {"}", PART_ALL}};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        size_t n = strlen(parts[i].text);
        if (strncmp(p, parts[i].text, n) == 0) {
            *ret_part = parts[i].part;
            return p + n;
        }
    }
    return NULL;
}

/* Reads "N" or "-N"; leaves p where it is when there is none. Too large a number is no source's. */
static const char *skip_position(const char *p, bool *ret_has, int *ret_position)
{
    const char *digits = *p == '-' ? p + 1 : p;
    const char *end = digits;
    int value = 0;
    for (; *end >= '0' && *end <= '9'; end++) {
        value = value < INT_MAX / 10 - 1 ? value * 10 + (*end - '0') : INT_MAX;
    }
    *ret_has = end > digits;
    if (end == digits) {
        return p;
    }
    *ret_position = *p == '-' ? -value : value;
    return end;
}

/* The replacement string at p, which is a brace: its end, or NULL when there is none. */
static const char *match(const char *p, struct piece *ret_piece)
{
    if (strncmp(p, "{#}", 3) == 0) {
        *ret_piece = (struct piece){.kind = PIECE_SEQUENCE};
        return p + 3;
    }
    struct piece piece = {.kind = PIECE_VALUE};
    bool has_position;
    const char *end = skip_position(p + 1, &has_position, &piece.position);
    piece.is_every = !has_position;
    end = skip_part(end, &piece.part);
    if (end != NULL) {
        *ret_piece = piece;
    }
    return end;
}

bool cmd_replace_is_in(char *const *words, unsigned n_words)
{
    struct piece piece;
    for (unsigned i = 0; i < n_words; i++) {
        for (const char *p = words[i]; (p = strchr(p, '{')) != NULL; p++) {
            if (match(p, &piece) != NULL) {
                return true;
            }
        }
    }
    return false;
}

static void add_piece(struct cmd_replace *replace, struct piece piece)
{
    if (replace->n_pieces == replace->cap_pieces) {
        size_t cap = replace->cap_pieces * 2 + 16;
        struct piece *pieces = mem_realloc(replace->pieces, cap, sizeof(*pieces));
        ensure(pieces != NULL);
        replace->pieces = pieces;
        replace->cap_pieces = cap;
    }
    replace->pieces[replace->n_pieces++] = piece;
}

static void add_text(struct cmd_replace *replace, const char *from, const char *end)
{
    if (end > from) {
        add_piece(replace,
                  (struct piece){.kind = PIECE_TEXT, .text = slice_of(from, (size_t)(end - from))});
    }
}

/* What parallel would replace and a mesh cannot. */
static int refuse_foreign(const char *p, struct errmsg *err)
{
    if (strncmp(p, "{%}", 3) == 0) {
        errmsg_set(err, "{%%}, the job slot, means nothing on many machines: "
                        "use {#}, or $MESH_PEER inside the task");
        return -EINVAL;
    }
    if (strncmp(p, "{=", 2) == 0 && strstr(p + 2, "=}") != NULL) {
        errmsg_set(err, "{= perl =} is not supported: compute the value inside the command");
        return -EINVAL;
    }
    return 0;
}

static int compile_word(struct cmd_replace *replace, const char *word, struct errmsg *err)
{
    const char *text = word;
    const char *p = word;
    while ((p = strchr(p, '{')) != NULL) {
        struct piece piece;
        int r = refuse_foreign(p, err);
        if (r < 0) {
            return r;
        }
        const char *end = match(p, &piece);
        if (end == NULL) {
            p++;
            continue;
        }
        add_text(replace, text, p);
        add_piece(replace, piece);
        text = p = end;
    }
    add_text(replace, text, text + strlen(text));
    add_piece(replace, (struct piece){.kind = PIECE_WORD_END});
    return 0;
}

int cmd_replace_new(char *const *words, unsigned n_words, enum cmd_form form, bool has_inputs,
                    struct cmd_replace **ret_replace, struct errmsg *err)
{
    static const char braces[] = "{}";
    bool must_append = has_inputs && !cmd_replace_is_in(words, n_words);
    size_t n_bytes = sizeof(braces);
    for (unsigned i = 0; i < n_words; i++) {
        n_bytes += strlen(words[i]) + 1;
    }
    struct cmd_replace *replace = mem_alloc_or_die(1, sizeof(*replace));
    replace->form = form;
    replace->source = mem_alloc_or_die(n_bytes, 1);
    buf_init(&replace->bytes, WIRE_ARGV_BYTES_MAX);
    buf_init(&replace->ends, WIRE_ARGS_MAX * sizeof(size_t));
    char *copy = replace->source;
    for (unsigned i = 0; i < n_words + must_append; i++) {
        const char *word = i < n_words ? words[i] : braces;
        size_t n = strlen(word) + 1;
        memcpy(copy, word, n);
        int r = compile_word(replace, copy, err);
        if (r < 0) {
            cmd_replace_free(replace);
            return r;
        }
        copy += n;
    }
    *ret_replace = replace;
    return 0;
}

struct cmd_replace *cmd_replace_free(struct cmd_replace *replace)
{
    if (replace == NULL) {
        return NULL;
    }
    buf_done(&replace->bytes);
    buf_done(&replace->ends);
    mem_free(replace->pieces);
    mem_free(replace->source);
    mem_free(replace->argv);
    return mem_free(replace);
}

/* --- expanding ---------------------------------------------------------------------------------
 */

static size_t after_last_slash(struct slice s)
{
    size_t n = s.n;
    while (n > 0 && s.p[n - 1] != '/') {
        n--;
    }
    return n;
}

static struct slice base_name(struct slice s)
{
    size_t from = after_last_slash(s);
    return slice_from(s, from);
}

/* parallel's s/\.[^\/.]+$//: the last dot and what follows it, if that is something. */
static struct slice without_extension(struct slice s)
{
    size_t dot = s.n;
    while (dot > 0 && s.p[dot - 1] != '.' && s.p[dot - 1] != '/') {
        dot--;
    }
    bool has_extension = dot > 0 && s.p[dot - 1] == '.' && dot < s.n;
    return has_extension ? slice_of(s.p, dot - 1) : s;
}

static size_t without_slashes(struct slice s, size_t n)
{
    while (n > 1 && s.p[n - 1] == '/') {
        n--;
    }
    return n;
}

/* As dirname in Perl, which parallel uses: "a/b/" lies in "a", "/a" in "/", "a" in ".". */
static struct slice dir_name(struct slice s)
{
    size_t n = after_last_slash(s);
    if (n == 0) {
        return slice_str(".");
    }
    bool ends_in_slash = n == s.n;
    n = without_slashes(s, n);
    if (ends_in_slash && n < s.n && !(n == 1 && s.p[0] == '/')) {
        n = without_slashes(s, after_last_slash(slice_of(s.p, n)));
        if (n == 0) {
            return slice_str(".");
        }
    }
    return slice_of(s.p, n);
}

static struct slice value_part(struct slice value, enum value_part part)
{
    switch (part) {
    case PART_ALL:
        return value;
    case PART_NO_EXTENSION:
        return without_extension(value);
    case PART_BASE:
        return base_name(value);
    case PART_DIR:
        return dir_name(value);
    case PART_BASE_NO_EXTENSION:
        return without_extension(base_name(value));
    }
    ensure(!"reached");
    return value;
}

static void append_value(struct cmd_replace *replace, struct slice value, enum value_part part)
{
    struct slice s = value_part(value, part);
    if (replace->form == CMD_FORM_SHELL) {
        text_shell_quote(&replace->bytes, s);
    } else {
        buf_append_slice(&replace->bytes, s);
    }
}

static void end_word(struct cmd_replace *replace)
{
    size_t end = replace->bytes.n;
    buf_append(&replace->ends, &end, sizeof(end));
}

static void expand_value(struct cmd_replace *replace, const struct piece *piece,
                         const struct cmd_values *values)
{
    if (!piece->is_every) {
        int64_t i = piece->position < 0 ? (int64_t)values->n + piece->position
                                        : (int64_t)piece->position - 1;
        if (i >= 0 && i < values->n) {
            append_value(replace, values->items[i], piece->part);
        }
        return;
    }
    for (unsigned i = 0; i < values->n; i++) {
        if (i > 0 && replace->form == CMD_FORM_ARGV) {
            end_word(replace);
        } else if (i > 0) {
            buf_append_u8(&replace->bytes, ' ');
        }
        append_value(replace, values->items[i], piece->part);
    }
}

static void expand_pieces(struct cmd_replace *replace, const struct cmd_values *values)
{
    for (size_t i = 0; i < replace->n_pieces; i++) {
        const struct piece *piece = &replace->pieces[i];
        switch (piece->kind) {
        case PIECE_TEXT:
            buf_append_slice(&replace->bytes, piece->text);
            break;
        case PIECE_VALUE:
            expand_value(replace, piece, values);
            break;
        case PIECE_SEQUENCE:
            buf_printf(&replace->bytes, "%llu", (unsigned long long)values->sequence);
            break;
        case PIECE_WORD_END:
            if (replace->form == CMD_FORM_ARGV) {
                end_word(replace);
            } else if (i + 1 < replace->n_pieces) {
                buf_append_u8(&replace->bytes, ' ');
            }
            break;
        }
    }
    if (replace->form != CMD_FORM_ARGV) {
        end_word(replace);
    }
}

/* Turns the ends of the words into slices, behind what sh needs. */
static int collect_words(struct cmd_replace *replace, struct wire_slices *ret_argv,
                         struct errmsg *err)
{
    size_t n_words = replace->ends.n / sizeof(size_t);
    size_t n_first = replace->form == CMD_FORM_ARGV ? 0 : 2;
    if (n_first + n_words > replace->cap_argv) {
        replace->cap_argv = n_first + n_words + 16;
        mem_free(replace->argv);
        replace->argv = mem_alloc_or_die(replace->cap_argv, sizeof(*replace->argv));
    }
    if (n_first > 0) {
        replace->argv[0] = slice_str("sh");
        replace->argv[1] = slice_str("-c");
    }
    size_t from = 0;
    size_t n_bytes = n_first > 0 ? 6 : 0;
    for (size_t i = 0; i < n_words; i++) {
        size_t end;
        memcpy(&end, replace->ends.p + i * sizeof(end), sizeof(end));
        if (end - from >= WIRE_ARG_BYTES_MAX) {
            errmsg_set(err,
                       "one argument is %zu bytes long; the kernel takes %u at most "
                       "(MAX_ARG_STRLEN): pass it through standard input",
                       end - from, WIRE_ARG_BYTES_MAX - 1);
            return -E2BIG;
        }
        replace->argv[n_first + i] = slice_part(buf_slice(&replace->bytes), from, end - from);
        n_bytes += end - from + 1;
        from = end;
    }
    if (n_bytes > WIRE_ARGV_BYTES_MAX || n_first + n_words > WIRE_ARGS_MAX) {
        errmsg_set(err, "the arguments of one task exceed %u bytes or %u words",
                   WIRE_ARGV_BYTES_MAX, WIRE_ARGS_MAX);
        return -E2BIG;
    }
    *ret_argv = (struct wire_slices){.items = replace->argv, .n = (uint32_t)(n_first + n_words)};
    return 0;
}

int cmd_replace_expand(struct cmd_replace *replace, const struct cmd_values *values,
                       struct wire_slices *ret_argv, struct errmsg *err)
{
    buf_clear(&replace->bytes);
    buf_clear(&replace->ends);
    expand_pieces(replace, values);
    if (buf_error(&replace->bytes) < 0 || buf_error(&replace->ends) < 0) {
        errmsg_set(err, "the arguments of one task exceed %u bytes or %u words",
                   WIRE_ARGV_BYTES_MAX, WIRE_ARGS_MAX);
        return -E2BIG;
    }
    struct wire_slices argv;
    int r = collect_words(replace, &argv, err);
    if (r < 0) {
        return r;
    }
    if (argv.n == 0 || argv.items[0].n == 0) {
        errmsg_set(err, "the command is empty for task %llu", (unsigned long long)values->sequence);
        return -EINVAL;
    }
    *ret_argv = argv;
    return 0;
}

void cmd_replace_line(const struct cmd_replace *replace, struct wire_slices argv, struct buf *to)
{
    cmd_argv_line(argv, replace->form != CMD_FORM_ARGV, to);
}

void cmd_argv_line(struct wire_slices argv, bool is_shell, struct buf *to)
{
    if (is_shell && argv.n > 0) {
        buf_append_slice(to, argv.items[argv.n - 1]);
        return;
    }
    for (uint32_t i = 0; i < argv.n; i++) {
        if (i > 0) {
            buf_append_u8(to, ' ');
        }
        text_shell_quote(to, argv.items[i]);
    }
}
