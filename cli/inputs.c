/* A group is a source with those linked to it. The first group is a stream of rows; each later
 * group is a list of rows in memory, and `row` in each is the odometer that runs through them for
 * every row of the first. */
#include "cli/inputs.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "cli/lines.h"
#include "wire/base/mem.h"
#include "wire/limits.h"

struct source {
    char *const *words; /* borrowed; NULL when it is a file */
    uint64_t n;         /* of words; values of a loaded file; counted values of a regular file */
    bool is_counted;
    struct cmd_lines lines; /* a file's */
    struct buf bytes;       /* a loaded file: all its values */
    struct buf ends;        /* size_t each: where a value ends */
    bool is_loaded;
    bool is_linked;
    bool has_value; /* first group: the value of the row being read is there */
};

struct group {
    unsigned first; /* source */
    unsigned n;     /* sources */
    uint64_t n_rows;
    uint64_t row; /* the present one */
};

struct cmd_inputs {
    char separator;
    bool uses_stdin;
    unsigned n_sources;
    struct source sources[CMD_INPUTS_MAX];
    unsigned n_groups;
    struct group groups[CMD_INPUTS_MAX];
    struct slice values[CMD_INPUTS_MAX];
    bool has_row; /* of the first group */
    int wait_fd;
};

struct cmd_inputs *cmd_inputs_new(char separator)
{
    struct cmd_inputs *inputs = mem_alloc_or_die(1, sizeof(*inputs));
    inputs->separator = separator;
    inputs->wait_fd = -1;
    return inputs;
}

static void source_done(struct source *source)
{
    if (source->words == NULL) {
        cmd_lines_close(&source->lines);
        buf_done(&source->bytes);
        buf_done(&source->ends);
    }
}

struct cmd_inputs *cmd_inputs_free(struct cmd_inputs *inputs)
{
    if (inputs != NULL) {
        for (unsigned i = 0; i < inputs->n_sources; i++) {
            source_done(&inputs->sources[i]);
        }
    }
    return mem_free(inputs);
}

static int check_add(const struct cmd_inputs *inputs, bool is_linked, struct errmsg *err)
{
    if (inputs->n_sources == CMD_INPUTS_MAX) {
        errmsg_set(err, "more than %u input sources", CMD_INPUTS_MAX);
        return -EINVAL;
    }
    if (is_linked && inputs->n_sources == 0) {
        errmsg_set(err, ":::+ and ::::+ link to the input source before, and there is none");
        return -EINVAL;
    }
    return 0;
}

static void add_source(struct cmd_inputs *inputs, const struct source *source)
{
    inputs->sources[inputs->n_sources] = *source;
    if (!source->is_linked) {
        inputs->groups[inputs->n_groups++] = (struct group){.first = inputs->n_sources};
    }
    inputs->groups[inputs->n_groups - 1].n++;
    inputs->n_sources++;
}

int cmd_inputs_add_words(struct cmd_inputs *inputs, char *const *words, unsigned n, bool is_linked,
                         struct errmsg *err)
{
    int r = check_add(inputs, is_linked, err);
    if (r < 0) {
        return r;
    }
    struct source source = {
        .words = words, .n = n, .is_linked = is_linked, .is_loaded = true, .is_counted = true};
    add_source(inputs, &source);
    return 0;
}

int cmd_inputs_add_file(struct cmd_inputs *inputs, const char *path, bool is_linked,
                        struct errmsg *err)
{
    int r = check_add(inputs, is_linked, err);
    if (r < 0) {
        return r;
    }
    bool is_stdin = strcmp(path, "-") == 0;
    if (is_stdin && inputs->uses_stdin) {
        errmsg_set(err, "standard input can be one input source only");
        return -EINVAL;
    }
    struct source source = {.is_linked = is_linked};
    r = cmd_lines_open(&source.lines, path, inputs->separator, err);
    if (r < 0) {
        return r;
    }
    buf_init(&source.bytes, CMD_INPUTS_BYTES_MAX);
    buf_init(&source.ends, CMD_INPUTS_BYTES_MAX);
    inputs->uses_stdin = inputs->uses_stdin || is_stdin;
    add_source(inputs, &source);
    return 0;
}

/* --- opening -----------------------------------------------------------------------------------
 */

/* Later groups are read before anything runs: nothing else is to be done meanwhile. */
static int wait_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, -1) < 0 && errno != EINTR ? -errno : 0;
}

static int load(struct source *source, struct errmsg *err)
{
    for (;;) {
        struct slice value;
        int r = cmd_lines_next(&source->lines, &value, err);
        if (r == -ENODATA) {
            source->n = source->ends.n / sizeof(size_t);
            source->is_loaded = true;
            source->is_counted = true;
            return 0;
        }
        if (r == -EAGAIN) {
            r = wait_readable(source->lines.fd);
            if (r < 0) {
                errmsg_set(err, "cannot read %s: %s", source->lines.name, strerror(-r));
                return r;
            }
            continue;
        }
        if (r < 0) {
            return r;
        }
        buf_append_slice(&source->bytes, value);
        size_t end = source->bytes.n;
        buf_append(&source->ends, &end, sizeof(end));
        if (buf_error(&source->bytes) < 0 || buf_error(&source->ends) < 0) {
            errmsg_set(err, "%s is too large for a second input source: give it first",
                       source->lines.name);
            return -E2BIG;
        }
    }
}

static int count(struct source *source, struct errmsg *err)
{
    int r = cmd_lines_count(&source->lines, &source->n, err);
    if (r == 0) {
        source->is_counted = true;
    }
    return r == -ESPIPE ? 0 : r;
}

static uint64_t n_rows(const struct cmd_inputs *inputs, const struct group *group)
{
    uint64_t n = UINT64_MAX;
    for (unsigned i = 0; i < group->n; i++) {
        const struct source *source = &inputs->sources[group->first + i];
        n = source->n < n ? source->n : n;
    }
    return n;
}

int cmd_inputs_open(struct cmd_inputs *inputs, struct errmsg *err)
{
    for (unsigned g = 0; g < inputs->n_groups; g++) {
        struct group *group = &inputs->groups[g];
        for (unsigned i = 0; i < group->n; i++) {
            struct source *source = &inputs->sources[group->first + i];
            int r = source->words != NULL ? 0 : g == 0 ? count(source, err) : load(source, err);
            if (r < 0) {
                return r;
            }
        }
        group->n_rows = n_rows(inputs, group);
    }
    return 0;
}

unsigned cmd_inputs_n_sources(const struct cmd_inputs *inputs)
{
    return inputs->n_sources;
}

bool cmd_inputs_total(const struct cmd_inputs *inputs, uint64_t *ret_total)
{
    uint64_t total = inputs->n_groups > 0 ? 1 : 0;
    for (unsigned i = 0; i < inputs->n_sources; i++) {
        if (!inputs->sources[i].is_counted) {
            return false;
        }
    }
    for (unsigned g = 0; g < inputs->n_groups; g++) {
        if (__builtin_mul_overflow(total, inputs->groups[g].n_rows, &total)) {
            return false;
        }
    }
    *ret_total = total;
    return true;
}

/* --- reading -----------------------------------------------------------------------------------
 */

static struct slice loaded_value(const struct source *source, uint64_t i)
{
    if (source->words != NULL) {
        return slice_str(source->words[i]);
    }
    size_t from = 0;
    size_t end;
    if (i > 0) {
        memcpy(&from, source->ends.p + (i - 1) * sizeof(from), sizeof(from));
    }
    memcpy(&end, source->ends.p + i * sizeof(end), sizeof(end));
    return slice_part(buf_slice(&source->bytes), from, end - from);
}

static int check_word(struct slice word, struct errmsg *err)
{
    if (word.n >= WIRE_ARG_BYTES_MAX) {
        errmsg_set(err,
                   "a value is %zu bytes long; the kernel takes %u in one argument "
                   "(MAX_ARG_STRLEN)",
                   word.n, WIRE_ARG_BYTES_MAX - 1);
        return -E2BIG;
    }
    return 0;
}

/* The next value of each source of the first group; those that are there stay there while another
 * has to be waited for. */
static int next_first_row(struct cmd_inputs *inputs, struct errmsg *err)
{
    struct group *group = &inputs->groups[0];
    for (unsigned i = group->first; i < group->first + group->n; i++) {
        struct source *source = &inputs->sources[i];
        if (source->has_value) {
            continue;
        }
        int r = 0;
        if (!source->is_loaded) {
            r = cmd_lines_next(&source->lines, &inputs->values[i], err);
            inputs->wait_fd = source->lines.fd;
        } else if (group->row >= source->n) {
            r = -ENODATA;
        } else {
            inputs->values[i] = loaded_value(source, group->row);
            r = check_word(inputs->values[i], err);
        }
        if (r < 0) {
            return r;
        }
        source->has_value = true;
    }
    for (unsigned i = group->first; i < group->first + group->n; i++) {
        inputs->sources[i].has_value = false;
    }
    group->row++;
    return 0;
}

/* Moves the odometer of the later groups on; false when it is back at its start. */
static bool advance(struct cmd_inputs *inputs)
{
    for (unsigned g = inputs->n_groups; g-- > 1;) {
        if (++inputs->groups[g].row < inputs->groups[g].n_rows) {
            return true;
        }
        inputs->groups[g].row = 0;
    }
    return false;
}

static int fill_later_groups(struct cmd_inputs *inputs, struct errmsg *err)
{
    for (unsigned g = 1; g < inputs->n_groups; g++) {
        const struct group *group = &inputs->groups[g];
        if (group->n_rows == 0) {
            return -ENODATA;
        }
        for (unsigned i = group->first; i < group->first + group->n; i++) {
            inputs->values[i] = loaded_value(&inputs->sources[i], group->row);
            int r = check_word(inputs->values[i], err);
            if (r < 0) {
                return r;
            }
        }
    }
    return 0;
}

int cmd_inputs_next(struct cmd_inputs *inputs, const struct slice **ret_values, struct errmsg *err)
{
    if (inputs->n_groups == 0) {
        return -ENODATA;
    }
    if (!inputs->has_row || !advance(inputs)) {
        inputs->has_row = false;
        int r = next_first_row(inputs, err);
        if (r < 0) {
            return r;
        }
        inputs->has_row = true;
    }
    int r = fill_later_groups(inputs, err);
    if (r < 0) {
        return r;
    }
    *ret_values = inputs->values;
    return 0;
}

int cmd_inputs_next_wait(struct cmd_inputs *inputs, const struct slice **ret_values,
                         struct errmsg *err)
{
    int r;
    while ((r = cmd_inputs_next(inputs, ret_values, err)) == -EAGAIN) {
        r = wait_readable(inputs->wait_fd);
        if (r < 0) {
            errmsg_set(err, "cannot wait for input: %s", strerror(-r));
            return r;
        }
    }
    return r;
}

int cmd_inputs_wait_fd(const struct cmd_inputs *inputs)
{
    return inputs->wait_fd;
}
