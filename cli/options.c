#include "cli/options.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "wire/base/text.h"

#define WORD_BYTES_MAX 32
#define HELP_COLUMN    26

static const char *show(const char *word, char *to, size_t n_to)
{
    return text_printable(slice_str(word), to, n_to);
}

/* Levenshtein's distance, over short words. */
static unsigned distance(const char *a, const char *b)
{
    size_t n_a = strlen(a);
    size_t n_b = strlen(b);
    unsigned row[WORD_BYTES_MAX + 1];
    if (n_a > WORD_BYTES_MAX || n_b > WORD_BYTES_MAX) {
        return WORD_BYTES_MAX;
    }
    for (size_t j = 0; j <= n_b; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= n_a; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= n_b; j++) {
            unsigned above = row[j];
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            best = above + 1 < best ? above + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[n_b];
}

const char *cmd_nearest(const char *word, const char *const *words, unsigned n_words)
{
    const char *nearest = NULL;
    unsigned best = strlen(word) > 4 ? 3 : 2;
    for (unsigned i = 0; i < n_words; i++) {
        unsigned d = distance(word, words[i]);
        if (d < best) {
            best = d;
            nearest = words[i];
        }
    }
    return nearest;
}

static int refuse_long(const struct cmd_option *options, unsigned n_options, const char *name,
                       struct errmsg *err)
{
    enum { N_MAX = 64 };
    const char *names[N_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < n_options && n < N_MAX; i++) {
        if (options[i].long_name != NULL) {
            names[n++] = options[i].long_name;
        }
    }
    char shown[64];
    const char *nearest = cmd_nearest(name, names, n);
    if (nearest != NULL) {
        errmsg_set(err, "unknown option --%s: did you mean --%s?", show(name, shown, sizeof(shown)),
                   nearest);
    } else {
        errmsg_set(err, "unknown option --%s", show(name, shown, sizeof(shown)));
    }
    return -EINVAL;
}

struct parse {
    const struct cmd_option *options;
    unsigned n_options;
    char *const *argv;
    unsigned n_argv;
    unsigned i; /* the word being read */
    cmd_option_fn *on_option;
    void *to;
    struct errmsg *err;
};

static int call(struct parse *parse, const struct cmd_option *option, const char *value)
{
    return parse->on_option(parse->to, option->key, value, parse->err);
}

static int parse_long(struct parse *parse)
{
    char name[WORD_BYTES_MAX + 1];
    char shown[64];
    const char *word = parse->argv[parse->i] + 2;
    const char *equals = strchrnul(word, '=');
    size_t n = (size_t)(equals - word);
    n = n < sizeof(name) ? n : sizeof(name) - 1;
    memcpy(name, word, n);
    name[n] = '\0';
    const struct cmd_option *option = NULL;
    for (unsigned i = 0; i < parse->n_options && option == NULL; i++) {
        const char *long_name = parse->options[i].long_name;
        option = long_name != NULL && strcmp(long_name, name) == 0 ? &parse->options[i] : NULL;
    }
    if (option == NULL) {
        return refuse_long(parse->options, parse->n_options, name, parse->err);
    }
    bool has_value = *equals == '=';
    if (option->arg == NULL) {
        if (has_value) {
            errmsg_set(parse->err, "option --%s takes no value, but got '%s'", name,
                       show(equals + 1, shown, sizeof(shown)));
            return -EINVAL;
        }
        return call(parse, option, NULL);
    }
    if (has_value) {
        return call(parse, option, equals + 1);
    }
    if (parse->i + 1 >= parse->n_argv) {
        errmsg_set(parse->err, "option --%s needs a value: --%s %s", name, name, option->arg);
        return -EINVAL;
    }
    return call(parse, option, parse->argv[++parse->i]);
}

/* "-k", "-kj4", "-j4", "-j 4". */
static int parse_short(struct parse *parse)
{
    for (const char *p = parse->argv[parse->i] + 1; *p != '\0'; p++) {
        const struct cmd_option *option = NULL;
        for (unsigned i = 0; i < parse->n_options && option == NULL; i++) {
            option = parse->options[i].short_name == *p ? &parse->options[i] : NULL;
        }
        char shown[64];
        if (option == NULL) {
            errmsg_set(parse->err, "unknown option -%s", show((char[]){*p, 0}, shown, 16));
            return -EINVAL;
        }
        if (option->arg != NULL) {
            if (p[1] != '\0') {
                return call(parse, option, p + 1);
            }
            if (parse->i + 1 >= parse->n_argv) {
                errmsg_set(parse->err, "option -%c needs a value: -%c %s", *p, *p, option->arg);
                return -EINVAL;
            }
            return call(parse, option, parse->argv[++parse->i]);
        }
        int r = call(parse, option, NULL);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

int cmd_options_parse(const struct cmd_option *options, unsigned n_options, char *const *argv,
                      unsigned n_argv, cmd_option_fn *on_option, void *to, unsigned *ret_n,
                      struct errmsg *err)
{
    struct parse parse = {.options = options,
                          .n_options = n_options,
                          .argv = argv,
                          .n_argv = n_argv,
                          .on_option = on_option,
                          .to = to,
                          .err = err};
    for (; parse.i < n_argv; parse.i++) {
        const char *word = argv[parse.i];
        if (word[0] != '-' || word[1] == '\0') {
            break;
        }
        if (strcmp(word, "--") == 0) {
            parse.i++;
            break;
        }
        int r = word[1] == '-' ? parse_long(&parse) : parse_short(&parse);
        if (r < 0) {
            return r;
        }
    }
    *ret_n = parse.i;
    return 0;
}

void cmd_options_print(const struct cmd_option *options, unsigned n_options, FILE *to)
{
    for (unsigned i = 0; i < n_options; i++) {
        const struct cmd_option *o = &options[i];
        int n = 2;
        fputs("  ", to);
        if (o->short_name != 0) {
            n += fprintf(to, "-%c%s", o->short_name, o->long_name != NULL ? ", " : "");
        }
        if (o->long_name != NULL) {
            n += fprintf(to, "--%s", o->long_name);
        }
        if (o->arg != NULL) {
            n += fprintf(to, " %s", o->arg);
        }
        fprintf(to, "%*s%s\n", n < HELP_COLUMN ? HELP_COLUMN - n : 1, "", o->help);
    }
}
