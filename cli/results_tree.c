#include "cli/results_tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/result.h"
#include "mesh/client/clock.h"
#include "wire/base/buf.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

#define COPY_BYTES (64u << 10)

enum results_kind { RESULTS_TREE, RESULTS_TEMPLATE, RESULTS_TABLE, RESULTS_JSON };

struct cmd_results {
    enum results_kind kind;
    const char *name;
    struct cmd_replace *replace; /* TEMPLATE */
    FILE *table;
    bool is_stdout;
    char separator;
    uint32_t mode;
    struct buf path;
    uint8_t bytes[COPY_BYTES];
};

static uint32_t mode_here(void)
{
    mode_t mask = umask(022);
    umask(mask);
    return 0666 & ~(uint32_t)mask;
}

static bool ends_in(const char *name, const char *ending)
{
    size_t n = strlen(name);
    size_t n_ending = strlen(ending);
    return n >= n_ending && strcmp(name + n - n_ending, ending) == 0;
}

static int fail_table(const struct cmd_results *results, struct errmsg *err)
{
    int r = errno != 0 ? -errno : -EIO;
    errmsg_set(err, "cannot write %s: %s", results->name, strerror(-r));
    return r;
}

static int open_table(struct cmd_results *results, unsigned n_values, struct errmsg *err)
{
    results->is_stdout = strncmp(results->name, "-.", 2) == 0;
    results->table = results->is_stdout ? stdout : fopen(results->name, "we");
    if (results->table == NULL) {
        return fail_table(results, err);
    }
    if (results->kind == RESULTS_JSON) {
        return 0;
    }
    static const char *const before[] = {"Seq",     "Host",    "Starttime", "JobRuntime", "Send",
                                         "Receive", "Exitval", "Signal",    "Command"};
    for (size_t i = 0; i < ARRAY_LEN(before); i++) {
        fprintf(results->table, "%s%c", before[i], results->separator);
    }
    for (unsigned i = 0; i < n_values; i++) {
        fprintf(results->table, "V%u%c", i + 1, results->separator);
    }
    fprintf(results->table, "Stdout%cStderr\n", results->separator);
    return ferror(results->table) != 0 ? fail_table(results, err) : 0;
}

int cmd_results_check_name(const char *name, struct errmsg *err)
{
    if (name[0] == '\0') {
        errmsg_set(err, "--results: give a name, of a folder or of a file");
        return -EINVAL;
    }
    return 0;
}

int cmd_results_new(const char *name, unsigned n_values, struct cmd_results **ret_results,
                    struct errmsg *err)
{
    struct cmd_results *results = mem_alloc_or_die(1, sizeof(*results));
    char *words[] = {(char *)(uintptr_t)name};
    int r = 0;
    results->name = name;
    results->mode = mode_here();
    results->separator = ends_in(name, ".tsv") ? '\t' : ',';
    buf_init(&results->path, 64u << 10);
    if (cmd_replace_is_in(words, 1)) {
        results->kind = RESULTS_TEMPLATE;
        r = cmd_replace_new(words, 1, CMD_FORM_LINES, false, &results->replace, err);
    } else if (ends_in(name, ".json")) {
        results->kind = RESULTS_JSON;
        r = open_table(results, n_values, err);
    } else if (ends_in(name, ".csv") || ends_in(name, ".tsv")) {
        results->kind = RESULTS_TABLE;
        r = open_table(results, n_values, err);
    }
    if (r < 0) {
        cmd_results_free(results);
        return r;
    }
    *ret_results = results;
    return 0;
}

struct cmd_results *cmd_results_free(struct cmd_results *results)
{
    if (results == NULL) {
        return NULL;
    }
    if (results->table != NULL && !results->is_stdout) {
        fclose(results->table); /* each entry was flushed and checked */
    }
    cmd_replace_free(results->replace);
    buf_done(&results->path);
    return mem_free(results);
}

/* --- files -------------------------------------------------------------------------------------
 */

static void append_value(struct buf *to, struct slice value)
{
    if (value.n == 0 || slice_eq_str(value, ".") || slice_eq_str(value, "..")) {
        buf_append_u8(to, '\\'); /* else it would be no name of its own */
    }
    for (size_t i = 0; i < value.n; i++) {
        switch (value.p[i]) {
        case '/':
            buf_append_str(to, "\\_");
            break;
        case '\\':
            buf_append_str(to, "\\\\");
            break;
        case '\t':
            buf_append_str(to, "\\t");
            break;
        default:
            buf_append_u8(to, value.p[i]);
            break;
        }
    }
}

/* The three files, below `base`: what is in the path, and these endings. */
static int write_three(struct cmd_results *results, const char *base, const char *const endings[3],
                       const struct cmd_results_entry *entry, struct errmsg *err)
{
    size_t n_path = results->path.n;
    char number[24];
    int n = snprintf(number, sizeof(number), "%" PRIu64, entry->values.sequence);
    const struct cmd_content sequence = {.inlined = slice_of(number, (size_t)n), .fd = -1};
    const struct cmd_content *contents[3] = {&entry->streams[0], &entry->streams[1], &sequence};
    int r = 0;
    for (int i = 0; i < 3 && r == 0; i++) {
        buf_append_str(&results->path, endings[i]);
        r = buf_error(&results->path) < 0 ? -ENAMETOOLONG : 0;
        r = r == 0
                ? cmd_file_write(base, buf_slice(&results->path), results->mode, contents[i], err)
                : r;
        results->path.n = n_path;
    }
    return r;
}

static int write_tree(struct cmd_results *results, const struct cmd_results_entry *entry,
                      struct errmsg *err)
{
    static const char *const endings[3] = {"stdout", "stderr", "seq"};
    buf_clear(&results->path);
    for (unsigned i = 0; i < entry->values.n; i++) {
        buf_printf(&results->path, "%u/", i + 1);
        append_value(&results->path, entry->values.items[i]);
        buf_append_u8(&results->path, '/');
    }
    return write_three(results, results->name, endings, entry, err);
}

/* A path as its user named it: the folder that is opened, and a name in it. */
static int write_template(struct cmd_results *results, const struct cmd_results_entry *entry,
                          struct errmsg *err)
{
    static const char *const in_dir[3] = {"stdout", "stderr", "seq"};
    static const char *const beside[3] = {"", ".err", ".seq"};
    struct wire_slices argv;
    int r = cmd_replace_expand(results->replace, &entry->values, &argv, err);
    if (r < 0) {
        return r;
    }
    struct slice text = argv.items[argv.n - 1];
    const uint8_t *slash = memrchr(text.p, '/', text.n);
    size_t n_base = slash != NULL ? (size_t)(slash - text.p) : 0;
    struct slice name = slash != NULL ? slice_from(text, n_base + 1) : text;
    char base[WIRE_PATH_BYTES_MAX + 1];
    bool is_dots = slice_eq_str(name, ".") || slice_eq_str(name, "..");
    if (n_base >= sizeof(base) || is_dots) {
        errmsg_set(err, "--results: the name for task %" PRIu64 " is too long, or no file's",
                   entry->values.sequence);
        return -EINVAL;
    }
    memcpy(base, text.p, n_base);
    base[n_base] = '\0';
    buf_clear(&results->path);
    buf_append_slice(&results->path, name);
    return write_three(results,
                       n_base > 0      ? base
                       : slash != NULL ? "/"
                                       : ".",
                       name.n > 0 ? beside : in_dir, entry, err);
}

/* --- tables ------------------------------------------------------------------------------------
 */

/* One piece of a quoted field. */
static void put_csv(FILE *to, struct slice bytes)
{
    while (bytes.n > 0) {
        const uint8_t *quote = memchr(bytes.p, '"', bytes.n);
        size_t n = quote != NULL ? (size_t)(quote - bytes.p) + 1 : bytes.n;
        fwrite(bytes.p, 1, n, to);
        if (quote != NULL) {
            fputc('"', to);
        }
        bytes = slice_from(bytes, n);
    }
}

/* Control characters and what is no ASCII by number where the whole is no UTF-8. */
static void put_json(FILE *to, struct slice bytes, bool is_text)
{
    for (size_t i = 0; i < bytes.n; i++) {
        uint8_t c = bytes.p[i];
        if (c == '"' || c == '\\') {
            fprintf(to, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !is_text)) {
            fprintf(to, "\\u%04x", c);
        } else {
            fputc(c, to);
        }
    }
}

static void put_text(struct cmd_results *results, struct slice value)
{
    if (results->kind == RESULTS_JSON) {
        fputc('"', results->table);
        put_json(results->table, value, text_is_utf8(value));
        fputc('"', results->table);
        return;
    }
    bool is_plain = true;
    for (size_t i = 0; i < value.n && is_plain; i++) {
        uint8_t c = value.p[i];
        is_plain = c > ' ' && c != '"' && c != (uint8_t)results->separator && c != 0x7f;
    }
    if (!is_plain) {
        fputc('"', results->table);
        put_csv(results->table, value);
        fputc('"', results->table);
    } else {
        fwrite(value.p, 1, value.n, results->table);
    }
}

/* Long output goes from its descriptor, a piece at a time; pieces cut characters, so JSON takes it
 * by number. */
static int put_stream(struct cmd_results *results, const struct cmd_content *content)
{
    if (content->fd < 0) {
        put_text(results, content->inlined);
        return 0;
    }
    fputc('"', results->table);
    for (uint64_t at = 0; at < content->bytes;) {
        ssize_t n = pread(content->fd, results->bytes, sizeof(results->bytes), (off_t)at);
        if (n <= 0) {
            return n == 0 ? -EIO : -errno;
        }
        struct slice piece = slice_of(results->bytes, (size_t)n);
        if (results->kind == RESULTS_JSON) {
            put_json(results->table, piece, false);
        } else {
            put_csv(results->table, piece);
        }
        at += (uint64_t)n;
    }
    fputc('"', results->table);
    return 0;
}

static void put_head(struct cmd_results *results, const struct cmd_results_entry *entry)
{
    FILE *to = results->table;
    const struct wire_done *done = entry->done;
    bool is_json = results->kind == RESULTS_JSON;
    char sep = results->separator;
    double seconds = (double)done->result.wall_us / 1e6;
    double began = mesh_client_wall_s() - seconds; /* as the joblog has it */
    int exit_value, signal;
    cmd_result_parallel(done, &exit_value, &signal);
    if (is_json) {
        fprintf(to, "{ \"Seq\": %" PRIu64 ", \"Host\": ", entry->values.sequence);
    } else {
        fprintf(to, "%" PRIu64 "%c", entry->values.sequence, sep);
    }
    put_text(results, done->peer_name);
    if (is_json) {
        fprintf(to,
                ", \"Starttime\": %.3f, \"JobRuntime\": %.3f, \"Send\": 0, \"Receive\": %" PRIu64
                ", \"Exitval\": %d, \"Signal\": %d, \"Command\": ",
                began, seconds, done->result.out.bytes, exit_value, signal);
    } else {
        fprintf(to, "%c%.3f%c%.3f%c0%c%" PRIu64 "%c%d%c%d%c", sep, began, sep, seconds, sep, sep,
                done->result.out.bytes, sep, exit_value, sep, signal, sep);
    }
    put_text(results, entry->command);
}

static int write_row(struct cmd_results *results, const struct cmd_results_entry *entry,
                     struct errmsg *err)
{
    FILE *to = results->table;
    bool is_json = results->kind == RESULTS_JSON;
    char sep[2] = {results->separator, '\0'};
    errno = 0;
    put_head(results, entry);
    fputs(is_json ? ", \"V\": [ " : sep, to);
    for (unsigned i = 0; i < entry->values.n; i++) {
        fputs(is_json && i > 0 ? "," : "", to);
        put_text(results, entry->values.items[i]);
        fputs(is_json ? "" : sep, to);
    }
    fputs(is_json ? " ], \"Stdout\": " : "", to);
    int r = put_stream(results, &entry->streams[0]);
    fputs(is_json ? ", \"Stderr\": " : sep, to);
    r = r == 0 ? put_stream(results, &entry->streams[1]) : r;
    fputs(is_json ? " }\n" : "\n", to);
    if (r < 0) {
        errno = -r;
        return fail_table(results, err);
    }
    return fflush(to) != 0 || ferror(to) != 0 ? fail_table(results, err) : 0;
}

int cmd_results_write(struct cmd_results *results, const struct cmd_results_entry *entry,
                      struct errmsg *err)
{
    switch (results->kind) {
    case RESULTS_TREE:
        return write_tree(results, entry, err);
    case RESULTS_TEMPLATE:
        return write_template(results, entry, err);
    case RESULTS_TABLE:
    case RESULTS_JSON:
        return write_row(results, entry, err);
    }
    ensure(!"reached");
    return 0;
}
