#include "cli/submit_options.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/replace.h"
#include "cli/results_tree.h"
#include "wire/base/text.h"

#define LEASE_MIN_MS     1000u
#define OUTPUT_DEFAULT   (UINT64_C(1) << 30)
#define NICE_MAX         19u
#define NS_PER_MS        UINT64_C(1000000)
#define OPTION_ARENA_MAX (16u << 20)

enum key {
    KEY_FILE = 1,
    KEY_NULL,
    KEY_JOBS,
    KEY_KEEP_ORDER,
    KEY_TAG,
    KEY_BAR,
    KEY_JOBLOG,
    KEY_LINE_BUFFER,
    KEY_UNGROUP,
    KEY_DRY_RUN,
    KEY_QUOTE,
    KEY_RETRIES,
    KEY_TIMEOUT,
    KEY_ONCE,
    KEY_NO_SPECULATE,
    KEY_ON,
    KEY_EXCEPT,
    KEY_REQUIRE_PEERS,
    KEY_ARCH,
    KEY_CORES,
    KEY_MEM,
    KEY_NICE,
    KEY_PRIORITY,
    KEY_ENV,
    KEY_NAME,
    KEY_MAX_OUTPUT,
    KEY_LEASE,
    KEY_DETACH,
    KEY_AFTER,
    KEY_AFTER_ANY,
    KEY_RESUME,
    KEY_RESUME_FAILED,
    KEY_TRANSFERFILE,
    KEY_TRANSFER,
    KEY_RETURN,
    KEY_TRC,
    KEY_CLEANUP,
    KEY_BASEFILE,
    KEY_WORKDIR,
    KEY_RESULTS,
    KEY_TF,
    KEY_BF,
    KEY_WD,
    KEY_RES,
};

const struct cmd_option cmd_submit_option_table[CMD_SUBMIT_OPTIONS] = {
    {KEY_FILE, 'a', "arg-file", "FILE", "read inputs from FILE, one a line; - is standard input"},
    {KEY_NULL, '0', "null", NULL, "NUL ends an input in files, not a line's end"},
    {KEY_JOBS, 'j', "jobs", "N", "at most N tasks at once over the whole mesh; 0: no limit"},
    {KEY_KEEP_ORDER, 'k', "keep-order", NULL, "print results in the order of the inputs"},
    {KEY_TAG, 0, "tag", NULL, "begin each line of output with its input and a tab"},
    {KEY_BAR, 0, "bar", NULL, "show progress and remaining time on standard error"},
    {KEY_JOBLOG, 0, "joblog", "FILE", "write a line for each task that ended, as parallel does"},
    {KEY_LINE_BUFFER, 0, "line-buffer", NULL, "print each line as soon as it is there"},
    {KEY_UNGROUP, 'u', "ungroup", NULL, "print output as it comes, even within lines"},
    {KEY_DRY_RUN, 0, "dry-run", NULL, "print the commands and run nothing"},
    {KEY_QUOTE, 'q', "quote", NULL, "never use a shell: run the words as they are"},
    {KEY_RETRIES, 0, "retries", "N", "run a failing task N times at most (1); 0: no limit"},
    {KEY_TIMEOUT, 0, "timeout", "TIME", "kill a task that runs longer: 90, 1.5m, 2h"},
    {KEY_ONCE, 0, "once", NULL, "run each task at most once, even if its peer is lost"},
    {KEY_NO_SPECULATE, 0, "no-speculate", NULL, "never start a slow task a second time elsewhere"},
    {KEY_ON, 0, "on", "PEER[,PEER]", "only on these peers (name, id, or prefix of one)"},
    {KEY_EXCEPT, 0, "except", "PEER[,PEER]", "on none of these peers"},
    {KEY_REQUIRE_PEERS, 0, "require-peers", "N", "fail unless N other peers are up"},
    {KEY_ARCH, 0, "arch", "ARCH", "only on peers of this architecture, as uname -m names it"},
    {KEY_CORES, 0, "cores", "N", "cores that each task uses (1)"},
    {KEY_MEM, 0, "mem", "SIZE", "memory that each task needs and may use: 512M, 2G"},
    {KEY_NICE, 0, "nice", "N", "niceness of the tasks, 0 to 19"},
    {KEY_PRIORITY, 0, "priority", "N", "jobs of yours with a larger number go first (0)"},
    {KEY_ENV, 0, "env", "NAME[,NAME]", "pass these environment variables on to the tasks"},
    {KEY_NAME, 0, "name", "NAME", "what the job is called in `mesh jobs`"},
    {KEY_MAX_OUTPUT, 0, "max-output", "SIZE", "kill a task that prints more (1G)"},
    {KEY_LEASE, 0, "lease", "TIME",
     "how long a task runs on without contact to here (10s; 1h with --detach)"},
    {KEY_DETACH, 0, "detach", NULL, "print the job's id and leave: `mesh wait` has the results"},
    {KEY_AFTER, 0, "after", "JOB[,JOB]", "begin when these jobs have succeeded"},
    {KEY_AFTER_ANY, 0, "after-any", "JOB[,JOB]", "begin when these jobs have ended"},
    {KEY_RESUME, 0, "resume", NULL, "leave out what --joblog says was run, and add to it"},
    {KEY_RESUME_FAILED, 0, "resume-failed", NULL, "the same, but run again what failed"},
    {KEY_TRANSFERFILE, 0, "transferfile", "FILE", "send this file or folder with the task"},
    {KEY_TRANSFER, 0, "transfer", NULL, "the same as --transferfile {}"},
    {KEY_RETURN, 0, "return", "FILE", "bring this file or folder back when the task has ended"},
    {KEY_TRC, 0, "trc", "FILE", "the same as --transfer --return FILE --cleanup"},
    {KEY_CLEANUP, 0, "cleanup", NULL, "accepted: nothing a task leaves behind ever stays"},
    {KEY_BASEFILE, 0, "basefile", "FILE", "send this file or folder for all tasks; read-only"},
    {KEY_WORKDIR, 0, "workdir", "DIR", "start tasks in this folder of their scratch"},
    {KEY_RESULTS, 0, "results", "NAME", "write outputs into a tree of files, or NAME.csv, .json"},
    {KEY_TF, 0, "tf", "FILE", "short for --transferfile"},
    {KEY_BF, 0, "bf", "FILE", "short for --basefile"},
    {KEY_WD, 0, "wd", "DIR", "short for --workdir"},
    {KEY_RES, 0, "res", "NAME", "short for --results"},
};
static_assert(KEY_RES == CMD_SUBMIT_OPTIONS, "a key for each option");

static int refuse(const char *option, const char *value, const char *expected, struct errmsg *err)
{
    char shown[64];
    errmsg_set(err, "--%s: '%s' is not %s", option,
               text_printable(slice_str(value), shown, sizeof(shown)), expected);
    return -EINVAL;
}

static int parse_number(const char *option, const char *value, uint32_t min, uint32_t max,
                        uint32_t *ret, struct errmsg *err)
{
    uint64_t n;
    int r = text_parse_u64(value, max, &n);
    if (r == -ERANGE || (r == 0 && n < min)) {
        errmsg_set(err, "--%s: out of range, give %u to %u", option, min, max);
        return -EINVAL;
    }
    if (r < 0) {
        return refuse(option, value, "a number", err);
    }
    *ret = (uint32_t)n;
    return 0;
}

static int parse_ms(const char *option, const char *value, uint64_t min_ms, uint64_t *ret_ms,
                    struct errmsg *err)
{
    uint64_t ns;
    if (text_parse_duration(value, &ns) < 0) {
        return refuse(option, value, "a time such as 90, 1.5m or 2h", err);
    }
    if (ns / NS_PER_MS < min_ms) {
        errmsg_set(err, "--%s: too short, give %g seconds at least", option, (double)min_ms / 1000);
        return -EINVAL;
    }
    *ret_ms = ns / NS_PER_MS;
    return 0;
}

static int parse_bytes(const char *option, const char *value, uint64_t *ret, struct errmsg *err)
{
    if (text_parse_size(value, ret) < 0 || *ret == 0) {
        return refuse(option, value, "a size such as 512M or 2G", err);
    }
    return 0;
}

/* Calls fn for each word of a list with commas. */
static int split_list(struct cmd_submit_options *options, const char *option, const char *list,
                      int (*fn)(struct cmd_submit_options *, const char *, struct slice,
                                struct errmsg *),
                      struct errmsg *err)
{
    for (const char *p = list;; p++) {
        const char *end = strchrnul(p, ',');
        if (end == p) {
            return refuse(option, list, "a list of names", err);
        }
        int r = fn(options, option, slice_of(p, (size_t)(end - p)), err);
        if (r < 0 || *end == '\0') {
            return r;
        }
        p = end;
    }
}

static int add_filter(struct slice *to, uint32_t *n, const char *option, struct slice word,
                      struct errmsg *err)
{
    if (*n == WIRE_FILTER_MAX || word.n > WIRE_NAME_BYTES_MAX) {
        errmsg_set(err, "--%s: %u peers of %u bytes each at most", option, WIRE_FILTER_MAX,
                   WIRE_NAME_BYTES_MAX);
        return -EINVAL;
    }
    to[(*n)++] = word;
    return 0;
}

static int add_on(struct cmd_submit_options *options, const char *option, struct slice word,
                  struct errmsg *err)
{
    return add_filter(options->on, &options->n_on, option, word, err);
}

static int add_except(struct cmd_submit_options *options, const char *option, struct slice word,
                      struct errmsg *err)
{
    return add_filter(options->except, &options->n_except, option, word, err);
}

static int add_env(struct cmd_submit_options *options, const char *option, struct slice word,
                   struct errmsg *err)
{
    char name[256];
    char shown[64];
    bool is_name = word.n < sizeof(name) && memchr(word.p, '=', word.n) == NULL;
    snprintf(name, sizeof(name), "%.*s", SLICE_FMT(word));
    text_printable(word, shown, sizeof(shown));
    const char *value = is_name ? getenv(name) : NULL;
    if (value == NULL) {
        errmsg_set(err, "--%s: %s is not set here: give names of variables that are", option,
                   shown);
        return -EINVAL;
    }
    size_t n = word.n + 1 + strlen(value);
    char *pair = arena_alloc(&options->arena, 1, n + 1);
    if (pair == NULL || options->n_env == WIRE_ENV_MAX || n >= WIRE_ARG_BYTES_MAX) {
        errmsg_set(err, "--%s: %s is too large, or there are too many", option, shown);
        return -EINVAL;
    }
    snprintf(pair, n + 1, "%s=%s", name, value);
    options->env[options->n_env++] = slice_of(pair, n);
    return 0;
}

static int add_after(struct cmd_submit_options *options, const char *option, struct slice word,
                     struct errmsg *err)
{
    char text[WIRE_JOB_TEXT_BYTES];
    char shown[64];
    snprintf(text, sizeof(text), "%.*s", SLICE_FMT(word));
    if (word.n >= sizeof(text) ||
        (options->n_after < WIRE_AFTER_MAX &&
         wire_job_parse(text, &options->after[options->n_after].job) < 0)) {
        errmsg_set(err, "--%s: '%s' is no job: give it as `mesh jobs` lists it, like 7.3", option,
                   text_printable(word, shown, sizeof(shown)));
        return -EINVAL;
    }
    if (options->n_after == WIRE_AFTER_MAX) {
        errmsg_set(err, "--%s: %u jobs at most", option, WIRE_AFTER_MAX);
        return -EINVAL;
    }
    options->n_after++;
    return 0;
}

/* --after and --after-any: one of them. */
static int set_after(struct cmd_submit_options *o, const char *value, bool is_any,
                     struct errmsg *err)
{
    if (o->n_after > 0 && o->is_after_any != is_any) {
        errmsg_set(err, "--after and --after-any ask for different things: choose one");
        return -EINVAL;
    }
    o->is_after_any = is_any;
    return split_list(o, is_any ? "after-any" : "after", value, add_after, err);
}

static int add_file(struct cmd_submit_options *options, const char *path, struct errmsg *err)
{
    if (options->n_files == CMD_INPUTS_MAX) {
        errmsg_set(err, "-a: %u files at most", CMD_INPUTS_MAX);
        return -EINVAL;
    }
    options->files[options->n_files++] = path;
    return 0;
}

static int add_name(const char **to, unsigned *n, const char *option, const char *value,
                    struct errmsg *err)
{
    if (*n == CMD_FILE_OPTIONS_MAX) {
        errmsg_set(err, "--%s: %u times at most", option, CMD_FILE_OPTIONS_MAX);
        return -EINVAL;
    }
    if (value[0] == '\0') {
        errmsg_set(err, "--%s: give the name of a file", option);
        return -EINVAL;
    }
    to[(*n)++] = value;
    return 0;
}

/* All that one task is sent of an input: once, however often it is asked for. */
static int add_transfer(struct cmd_submit_options *o, const char *value, struct errmsg *err)
{
    for (unsigned i = 0; i < o->n_transfers; i++) {
        if (strcmp(o->transfers[i], value) == 0) {
            return 0;
        }
    }
    return add_name(o->transfers, &o->n_transfers, "transferfile", value, err);
}

static int on_file_option(struct cmd_submit_options *o, enum key key, const char *value,
                          struct errmsg *err)
{
    switch ((int)key) {
    case KEY_TF:
    case KEY_TRANSFERFILE:
        return add_transfer(o, value, err);
    case KEY_TRANSFER:
        return add_transfer(o, "{}", err);
    case KEY_RETURN:
        return add_name(o->returns, &o->n_returns, "return", value, err);
    case KEY_TRC: {
        int r = add_transfer(o, "{}", err);
        return r < 0 ? r : add_name(o->returns, &o->n_returns, "trc", value, err);
    }
    case KEY_BF:
    case KEY_BASEFILE:
        return add_name(o->basefiles, &o->n_basefiles, "basefile", value, err);
    case KEY_WD:
    case KEY_WORKDIR:
        o->workdir = value;
        return 0;
    case KEY_RES:
    case KEY_RESULTS:
        o->results = value;
        return cmd_results_check_name(value, err);
    default:
        ensure(!"reached");
        return 0;
    }
}

static int set_text(const char *option, const char *value, size_t n_max, const char **ret,
                    struct errmsg *err)
{
    if (value[0] == '\0' || strlen(value) > n_max || !text_is_utf8(slice_str(value))) {
        errmsg_set(err, "--%s: give 1 to %zu bytes of text", option, n_max);
        return -EINVAL;
    }
    *ret = value;
    return 0;
}

static int on_valued_option(struct cmd_submit_options *o, enum key key, const char *value,
                            struct errmsg *err)
{
    switch ((int)key) {
    case KEY_FILE:
        return add_file(o, value, err);
    case KEY_JOBS:
        return parse_number("jobs", value, 0, UINT32_MAX, &o->jobs_max, err);
    case KEY_JOBLOG:
        o->joblog = value;
        return 0;
    case KEY_RETRIES:
        return parse_number("retries", value, 0, UINT32_MAX, &o->runs_max, err);
    case KEY_TIMEOUT:
        return parse_ms("timeout", value, 1, &o->timeout_ms, err);
    case KEY_ON:
        return split_list(o, "on", value, add_on, err);
    case KEY_EXCEPT:
        return split_list(o, "except", value, add_except, err);
    case KEY_REQUIRE_PEERS:
        return parse_number("require-peers", value, 0, UINT32_MAX, &o->require_peers, err);
    case KEY_ARCH:
        return set_text("arch", value, WIRE_ARCH_BYTES_MAX, &o->arch, err);
    case KEY_CORES:
        return parse_number("cores", value, 1, WIRE_CORES_MAX, &o->cores, err);
    case KEY_MEM:
        return parse_bytes("mem", value, &o->mem_bytes, err);
    case KEY_NICE:
        return parse_number("nice", value, 0, NICE_MAX, &o->nice, err);
    case KEY_PRIORITY:
        return parse_number("priority", value, 0, UINT32_MAX, &o->priority, err);
    case KEY_ENV:
        return split_list(o, "env", value, add_env, err);
    case KEY_NAME:
        return set_text("name", value, WIRE_NAME_BYTES_MAX, &o->name, err);
    case KEY_MAX_OUTPUT:
        return parse_bytes("max-output", value, &o->output_bytes_max, err);
    case KEY_AFTER:
    case KEY_AFTER_ANY:
        return set_after(o, value, key == KEY_AFTER_ANY, err);
    case KEY_LEASE:
        return parse_ms("lease", value, LEASE_MIN_MS, &o->lease_ms, err);
    default:
        return on_file_option(o, key, value, err);
    }
}

static int on_option(void *to, int key, const char *value, struct errmsg *err)
{
    struct cmd_submit_options *o = to;
    bool *flag = NULL;
    switch (key) {
    case KEY_NULL:
        o->separator = '\0';
        return 0;
    case KEY_CLEANUP:
        return 0; /* a cell is as new after each task */
    case KEY_KEEP_ORDER:
        flag = &o->is_keep_order;
        break;
    case KEY_TAG:
        flag = &o->is_tag;
        break;
    case KEY_BAR:
        flag = &o->is_bar;
        break;
    case KEY_LINE_BUFFER:
        flag = &o->is_line_buffered;
        break;
    case KEY_UNGROUP:
        flag = &o->is_ungrouped;
        break;
    case KEY_DRY_RUN:
        flag = &o->is_dry_run;
        break;
    case KEY_QUOTE:
        flag = &o->is_quoted;
        break;
    case KEY_ONCE:
        flag = &o->is_once;
        break;
    case KEY_NO_SPECULATE:
        flag = &o->no_speculate;
        break;
    case KEY_DETACH:
        flag = &o->is_detached;
        break;
    case KEY_RESUME:
        flag = &o->is_resume;
        break;
    case KEY_RESUME_FAILED:
        flag = &o->is_resume_failed;
        break;
    default:
        return on_valued_option(o, (enum key)key, value, err);
    }
    *flag = true;
    return 0;
}

enum source_kind { SOURCE_NONE, SOURCE_WORDS, SOURCE_FILES };

static enum source_kind source_kind(const char *word, bool *ret_is_linked)
{
    static const struct {
        const char *word;
        enum source_kind kind;
        bool is_linked;
    } kinds[] = {{":::", SOURCE_WORDS, false},
                 {":::+", SOURCE_WORDS, true},
                 {"::::", SOURCE_FILES, false},
                 {"::::+", SOURCE_FILES, true}};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(word, kinds[i].word) == 0) {
            *ret_is_linked = kinds[i].is_linked;
            return kinds[i].kind;
        }
    }
    return SOURCE_NONE;
}

/* With --detach nobody is here to print anything. */
static int check_detached(const struct cmd_submit_options *o, struct errmsg *err)
{
    const struct {
        bool is_on;
        const char *option;
    } printed[] = {{o->is_keep_order, "-k"},
                   {o->is_tag, "--tag"},
                   {o->is_bar, "--bar"},
                   {o->joblog, "--joblog"},
                   {o->results, "--results"},
                   {o->is_ungrouped, "-u"},
                   {o->is_line_buffered, "--line-buffer"}};
    const size_t n_meaningful = 5;
    for (size_t i = 0; i < ARRAY_LEN(printed); i++) {
        if (printed[i].is_on && o->is_detached) {
            errmsg_set(err, "with --detach nothing is printed here: give %s to `mesh wait`%s",
                       printed[i].option, i < n_meaningful ? "" : ", where it means nothing");
            return -EINVAL;
        }
    }
    if (o->is_detached && o->is_once) {
        errmsg_set(err, "a detached job cannot promise --once: choose one");
        return -EINVAL;
    }
    return 0;
}

static int check_together(const struct cmd_submit_options *o, struct errmsg *err)
{
    if (o->is_keep_order && (o->is_ungrouped || o->is_line_buffered)) {
        errmsg_set(err, "-k holds output back and %s prints it at once: choose one",
                   o->is_ungrouped ? "-u" : "--line-buffer");
        return -EINVAL;
    }
    if ((o->is_resume || o->is_resume_failed) && o->joblog == NULL) {
        errmsg_set(err, "--resume and --resume-failed go on from a --joblog: give its file");
        return -EINVAL;
    }
    if (o->results != NULL && (o->is_ungrouped || o->is_line_buffered)) {
        errmsg_set(err, "--results keeps whole outputs and %s prints pieces: choose one",
                   o->is_ungrouped ? "-u" : "--line-buffer");
        return -EINVAL;
    }
    if (o->is_once && o->runs_max != 1) {
        errmsg_set(err, "--once forbids what --retries asks for: choose one");
        return -EINVAL;
    }
    return check_detached(o, err);
}

int cmd_submit_options_init(struct cmd_submit_options *options, char *const *argv, unsigned n_argv,
                            struct errmsg *err)
{
    memset(options, 0, sizeof(*options));
    options->runs_max = 1;
    options->cores = 1;
    options->output_bytes_max = OUTPUT_DEFAULT;
    options->separator = '\n';
    arena_init(&options->arena, OPTION_ARENA_MAX);
    unsigned n;
    int r = cmd_options_parse(cmd_submit_option_table, CMD_SUBMIT_OPTIONS, argv, n_argv, on_option,
                              options, &n, err);
    if (r < 0) {
        return r;
    }
    unsigned first = n;
    bool is_linked;
    while (n < n_argv && source_kind(argv[n], &is_linked) == SOURCE_NONE) {
        n++;
    }
    options->command = argv + first;
    options->n_command = n - first;
    options->sources = argv + n;
    options->n_sources = n_argv - n;
    return check_together(options, err);
}

void cmd_submit_options_done(struct cmd_submit_options *options)
{
    arena_done(&options->arena);
}

static int add_group(struct cmd_inputs *inputs, enum source_kind kind, bool is_linked,
                     char *const *words, unsigned n, struct errmsg *err)
{
    if (kind == SOURCE_WORDS) {
        return cmd_inputs_add_words(inputs, words, n, is_linked, err);
    }
    if (n == 0) {
        errmsg_set(err, ":::: needs a file to read inputs from");
        return -EINVAL;
    }
    int r = 0;
    for (unsigned i = 0; i < n && r == 0; i++) {
        r = cmd_inputs_add_file(inputs, words[i], is_linked, err);
    }
    return r;
}

static int add_sources(const struct cmd_submit_options *options, struct cmd_inputs *inputs,
                       struct errmsg *err)
{
    int r = 0;
    for (unsigned i = 0; i < options->n_files && r == 0; i++) {
        r = cmd_inputs_add_file(inputs, options->files[i], false, err);
    }
    for (unsigned i = 0; i < options->n_sources && r == 0;) {
        bool is_linked = false;
        bool ignored;
        enum source_kind kind = source_kind(options->sources[i++], &is_linked);
        unsigned first = i;
        while (i < options->n_sources &&
               source_kind(options->sources[i], &ignored) == SOURCE_NONE) {
            i++;
        }
        r = add_group(inputs, kind, is_linked, options->sources + first, i - first, err);
    }
    return r;
}

int cmd_submit_open_inputs(const struct cmd_submit_options *options, struct cmd_inputs **ret_inputs,
                           struct errmsg *err)
{
    bool has_sources = options->n_files + options->n_sources > 0;
    bool reads_stdin = !has_sources && (options->n_command == 0 ||
                                        cmd_replace_is_in(options->command, options->n_command));
    if (!has_sources && !reads_stdin) {
        *ret_inputs = NULL;
        return 0;
    }
    if (options->n_command == 0 && reads_stdin && isatty(STDIN_FILENO)) {
        errmsg_set(err, "give a command to run");
        return -EINVAL;
    }
    struct cmd_inputs *inputs = cmd_inputs_new(options->separator);
    int r = reads_stdin ? cmd_inputs_add_file(inputs, "-", false, err)
                        : add_sources(options, inputs, err);
    if (r == 0) {
        r = cmd_inputs_open(inputs, err);
    }
    if (r < 0) {
        cmd_inputs_free(inputs);
        return r;
    }
    *ret_inputs = inputs;
    return 0;
}
