/* A cell with the real mesh-cell and what came back from it, for tests. Modes are for loop tests:
 * bare, and in bwrap where the machine allows it. */
#ifndef MESH_TESTS_CELL_FIXTURE_H
#define MESH_TESTS_CELL_FIXTURE_H

#include <stdbool.h>
#include <string.h>
#include <uv.h>

#include "mesh/cell_internal.h" /* the process, to kill it */
#include "tests/lib/runner.h"
#include "wire/base/buf.h"

#define MIB (1u << 20)

enum { CELL_BARE, CELL_BOXED, CELL_MODES };

struct cell_fixture {
    uv_loop_t loop;
    uv_timer_t guard; /* nothing here takes this long */
    char work_dir[64];
    char bwrap[256];
    struct sandbox sandbox;
    struct cell_limits limits; /* none */
    struct cell *cell;
    struct cell_file files[4];
    size_t n_files;
    /* what came back */
    bool is_started;
    bool is_done;
    bool is_refused;
    bool is_dead;
    bool is_closed;
    bool is_usable;
    struct cell_result result;
    enum wire_refusal refusal;
    struct errmsg err;
    struct buf out;
    struct buf errs;
    uint64_t ack_held; /* streamed bytes not acknowledged on purpose */
    bool withhold_acks;
    uint64_t output_bytes_max; /* of calls; 0: 32 MiB */
    void (*when_started)(struct cell_fixture *fx);
    /* Files of the next attempt: the contents of those that are no directories, in their order;
     * NULL: it cannot be opened. */
    const char *const *contents;
    uint32_t n_opened;
    /* What it returned, a line for each: "PATH MODE: CONTENT", "PATH MODE/", "PATH! FAULT", with a
     * star before the path where that is one of the returns. */
    struct buf returned;
    void (*when_returned)(struct cell_fixture *fx); /* NULL: the next is taken at once */
};

/* Finds out whether cells can be boxed here and says aloud if not; before the tests, in main(). */
void cell_find_sandbox(void);
/* Whether the mode cannot be tested here. */
bool cell_skips(int mode);

void cell_fixture_init(struct cell_fixture *fx);
/* A fixture with a cell of this mode; false, and nothing made, where the mode is to be skipped. */
bool cell_fixture_begin(struct cell_fixture *fx, int mode);
/* Closes the cell and proves that loop and folder are empty. */
void cell_fixture_done(struct cell_fixture *fx);
/* A file of the job; before the cell is made. */
void cell_fixture_add(struct cell_fixture *fx, const char *path, const void *bytes, size_t n,
                      bool is_exec);
void cell_fixture_make(struct cell_fixture *fx, int mode);
/* A cell whose program is MESH_CALL_WORKER; env_word: one variable of it, or NULL. */
void cell_fixture_make_calls(struct cell_fixture *fx, int mode, const char *worker,
                             const char *env_word);
void cell_fixture_close(struct cell_fixture *fx);

struct cell_start cell_command(struct slice *words, uint32_t n);
/* Each runs one attempt to its end; b and c may be NULL. */
void cell_run(struct cell_fixture *fx, const struct cell_start *start);
void cell_run_argv(struct cell_fixture *fx, const char *a, const char *b, const char *c);
void cell_run_sh(struct cell_fixture *fx, const char *script);

/* A call of a function with text as its argument; and one run to its end: its value is then in
 * fx->out, what it printed in fx->errs. */
struct cell_call cell_call_of(const char *function, const char *args);
void cell_run_call(struct cell_fixture *fx, const struct cell_call *call);
void cell_run_function(struct cell_fixture *fx, const char *function, const char *args);

/* The number that is the text's first line, which is cut there. */
int cell_number_in(struct buf *text);

#define cell_assert_end(fx, e, s)                                                                  \
    do {                                                                                           \
        ck_assert_msg(!(fx)->is_refused, "refused: %s", (fx)->err.text);                           \
        ck_assert_msg((fx)->result.end == (e) && (fx)->result.status == (s),                       \
                      "end %d status %u: %s / %s", (fx)->result.end, (fx)->result.status,          \
                      (fx)->result.detail.text, buf_cstr(&(fx)->errs));                            \
    } while (0)

#endif
