/* What `mesh submit` was asked to do: the first of its three parts (parse, ask, print). */
#ifndef MESH_CLI_SUBMIT_OPTIONS_H
#define MESH_CLI_SUBMIT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/inputs.h"
#include "cli/options.h"
#include "wire/base/arena.h"
#include "wire/base/errmsg.h"
#include "wire/base/slice.h"
#include "wire/limits.h"
#include "wire/message.h"

/* --transferfile, --return and --basefile, each. */
#define CMD_FILE_OPTIONS_MAX 64u

struct cmd_submit_options {
    /* of the job */
    const char *name; /* NULL: the command's first word */
    const char *arch; /* NULL: the program's own */
    uint32_t jobs_max;
    uint32_t runs_max;
    bool is_once;
    bool no_speculate;
    uint32_t require_peers;
    uint32_t cores;
    uint64_t mem_bytes;
    uint64_t timeout_ms;
    uint64_t lease_ms; /* 0: not said */
    bool is_detached;
    struct wire_job_ref after[WIRE_AFTER_MAX];
    uint32_t n_after;
    bool is_after_any;
    uint64_t output_bytes_max;
    uint32_t nice;
    uint32_t priority;
    struct slice on[WIRE_FILTER_MAX];
    uint32_t n_on;
    struct slice except[WIRE_FILTER_MAX];
    uint32_t n_except;
    struct slice env[WIRE_ENV_MAX]; /* "NAME=VALUE", in the arena */
    uint32_t n_env;

    /* of the output */
    bool is_keep_order;
    bool is_tag;
    bool is_bar;
    bool is_line_buffered;
    bool is_ungrouped;
    const char *joblog; /* path, or NULL */
    bool is_resume, is_resume_failed;

    /* of files; the strings are templates */
    const char *transfers[CMD_FILE_OPTIONS_MAX]; /* --transferfile */
    unsigned n_transfers;
    const char *returns[CMD_FILE_OPTIONS_MAX]; /* --return */
    unsigned n_returns;
    const char *basefiles[CMD_FILE_OPTIONS_MAX]; /* --basefile; no templates */
    unsigned n_basefiles;
    const char *workdir; /* NULL: the scratch */
    const char *results; /* --results, or NULL */

    /* of the command and its inputs */
    bool is_dry_run;
    bool is_quoted; /* -q: no shell */
    char separator;
    const char *files[CMD_INPUTS_MAX]; /* -a */
    unsigned n_files;
    char *const *command;
    unsigned n_command;
    char *const *sources; /* from the first ::: on */
    unsigned n_sources;

    struct arena arena;
};

/* How long tasks run on without contact to here, where --lease does not say. */
#define CMD_LEASE_MS          10000u
#define CMD_LEASE_DETACHED_MS 3600000u

#define CMD_SUBMIT_OPTIONS 44
extern const struct cmd_option cmd_submit_option_table[CMD_SUBMIT_OPTIONS];

/* Reads the words behind "submit", which are borrowed. 0; -EINVAL, err says what is wrong. The
 * options are to be done with in both cases. */
int cmd_submit_options_init(struct cmd_submit_options *options, char *const *argv, unsigned n_argv,
                            struct errmsg *err) MUST_CHECK;
void cmd_submit_options_done(struct cmd_submit_options *options);

/* The input sources that were named; NULL in *ret_inputs when none was and standard input is none
 * either. 0; -EINVAL, -errno with err. */
int cmd_submit_open_inputs(const struct cmd_submit_options *options, struct cmd_inputs **ret_inputs,
                           struct errmsg *err) MUST_CHECK;

#endif
