/* The command line, as the words of argv with a NUL behind each: the first byte chooses whose. What
 * parses is within its limits; what does not has one line that says why. */
#include <stdlib.h>
#include <string.h>

#include "cli/submit_options.h"
#include "mesh/options.h"
#include "tests/fuzz/fuzz.h"
#include "wire/base/text.h"
#include "wire/key.h"
#include "wire/message.h"

#define WORDS_MAX 256

static void check_line(const struct errmsg *err)
{
    ensure(err->text[0] != '\0');
    ensure(strchr(err->text, '\n') == NULL);
}

static void parse_submit(char **argv, unsigned n)
{
    static struct cmd_submit_options options; /* too large for a stack */
    struct errmsg err = {""};
    if (cmd_submit_options_init(&options, argv, n, &err) == 0) {
        ensure(options.n_on <= WIRE_FILTER_MAX);
        ensure(options.n_except <= WIRE_FILTER_MAX);
        ensure(options.n_files <= CMD_INPUTS_MAX);
        ensure(options.nice <= 19);
        ensure(options.cores >= 1 && options.cores <= WIRE_CORES_MAX);
        for (uint32_t i = 0; i < options.n_env; i++) {
            ensure(memchr(options.env[i].p, '=', options.env[i].n) != NULL);
        }
        ensure(options.n_command + options.n_sources <= n);
    } else {
        check_line(&err);
    }
    cmd_submit_options_done(&options);
}

static void parse_daemon(char **argv, unsigned n)
{
    struct meshd_options options;
    struct errmsg err = {""};
    if (meshd_options_parse((int)n, argv, &options, &err) == 0) {
        ensure(options.n_peers <= MESHD_OPTION_PEERS_MAX);
        ensure(options.n_interfaces <= MESHD_OPTION_INTERFACES_MAX);
        ensure(options.n_binds <= MESHD_OPTION_BINDS_MAX);
        ensure(options.n_bind_rws <= MESHD_OPTION_BINDS_MAX);
        ensure(!options.has_cores || options.cores <= WIRE_CORES_MAX);
    } else {
        check_line(&err);
    }
}

/* Numbers, sizes, times, keys and ids as people write them. */
static void parse_words(char **argv, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t v = 0;
        struct wire_key key = {{0}};
        char text[WIRE_KEY_TEXT_BYTES], printable[64];
        ensure(text_parse_u64(argv[i], 4096, &v) != 0 || v <= 4096);
        IGNORE(text_parse_size(argv[i], &v) == 0);
        IGNORE(text_parse_duration(argv[i], &v) == 0);
        if (wire_key_parse(argv[i], &key) == 0) {
            struct wire_key back;
            ensure(wire_key_parse(wire_key_text(&key, text), &back) == 0);
            ensure(wire_key_eq(&key, &back) && wire_key_cmp(&key, &back) == 0);
            ensure(wire_id_matches(&key, wire_id_text(&key, text)));
        }
        IGNORE(wire_id_matches(&key, argv[i]));
        uint64_t job = 0, again = 0;
        char job_text[WIRE_JOB_TEXT_BYTES];
        if (wire_job_parse(argv[i], &job) == 0) {
            ensure(wire_job_parse(wire_job_text(job, job_text), &again) == 0 && again == job);
        }
        text_printable(slice_str(argv[i]), printable, sizeof(printable));
        for (const char *p = printable; *p != '\0'; p++) {
            ensure((uint8_t)*p >= ' ' && *p != 0x7f);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static char copy[8192];
    char *argv[WORDS_MAX + 1];
    unsigned n_argv = 0;
    if (n < 1 || n >= sizeof(copy)) {
        return 0;
    }
    memcpy(copy, bytes + 1, n - 1);
    copy[n - 1] = '\0';
    if (bytes[0] % 3 == 1) {
        argv[n_argv++] = (char[]){"meshd"};
    }
    for (size_t at = 0; at < n - 1 && n_argv < WORDS_MAX; at += strlen(copy + at) + 1) {
        argv[n_argv++] = copy + at;
    }
    argv[n_argv] = NULL;
    switch (bytes[0] % 3) {
    case 0:
        parse_submit(argv, n_argv);
        break;
    case 1:
        parse_daemon(argv, n_argv);
        break;
    default:
        parse_words(argv, n_argv);
        break;
    }
    return 0;
}
