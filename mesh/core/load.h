/* What tasks, jobs and results carry, copied: words, arguments, files. Only for mesh/core. */
#ifndef MESH_CORE_LOAD_H
#define MESH_CORE_LOAD_H

#include <stddef.h>

#include "wire/base/arena.h"
#include "wire/base/ensure.h"
#include "wire/message.h"

/* What a task has beyond words: the arguments of a call, blobs it reads, files. */
struct core_cargo {
    struct slice args;
    struct wire_refs refs;
    struct wire_task_files files;
    struct wire_slices returns;
    struct slice workdir;
};

struct core_cargo core_cargo_of_add(const struct wire_add_task *add);
struct core_cargo core_cargo_of_task(const struct wire_task *task);
/* Nothing for NULL. */
struct slice core_cargo_args(const struct core_cargo *cargo);
struct wire_refs core_cargo_refs(const struct core_cargo *cargo);
/* The cargo's part of a task; nothing is changed for NULL. */
void core_cargo_put(const struct core_cargo *cargo, struct wire_task *to);

/* What a deep copy of a task's words takes, and of its cargo, if it has any. */
size_t core_load_bytes(struct wire_slices argv, struct core_cargo cargo);
/* Makes it at `to`, which is aligned for a pointer and has room for it. */
struct wire_slices core_load_put(void *to, struct wire_slices argv, struct core_cargo cargo,
                                 const struct core_cargo **ret_cargo);

int core_spec_copy(struct arena *arena, const struct wire_job_spec *from,
                   struct wire_job_spec *to) MUST_CHECK;
int core_result_copy(struct arena *arena, const struct wire_result *from,
                     struct wire_result *to) MUST_CHECK;
/* The same in one block, which the caller frees. */
void *core_result_dup(const struct wire_result *from, struct wire_result *to) MUST_CHECK;

/* The blobs of a result: those of out and err, then of each file; many are none, with a hash of
 * zero. */
uint32_t core_result_n_blobs(const struct wire_result *result);
const struct wire_hash *core_result_blob(const struct wire_result *result, uint32_t i,
                                         uint64_t *ret_bytes);
/* Whether there is one. */
bool core_result_has_blobs(const struct wire_result *result);
/* Contents and paths that are in the result itself. */
uint64_t core_result_inlined_bytes(const struct wire_result *result);

#endif
