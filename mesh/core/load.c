#include "mesh/core/load.h"

#include <errno.h>
#include <string.h>

#include "wire/base/mem.h"

/* --- tasks -------------------------------------------------------------------------------------
 */

struct core_cargo core_cargo_of_add(const struct wire_add_task *add)
{
    return (struct core_cargo){.args = add->args,
                               .refs = add->refs,
                               .files = add->files,
                               .returns = add->returns,
                               .workdir = add->workdir};
}

struct core_cargo core_cargo_of_task(const struct wire_task *task)
{
    return (struct core_cargo){.args = task->args,
                               .refs = task->refs,
                               .files = task->files,
                               .returns = task->returns,
                               .workdir = task->workdir};
}

struct slice core_cargo_args(const struct core_cargo *cargo)
{
    return cargo != NULL ? cargo->args : (struct slice){0};
}

struct wire_refs core_cargo_refs(const struct core_cargo *cargo)
{
    return cargo != NULL ? cargo->refs : (struct wire_refs){0};
}

void core_cargo_put(const struct core_cargo *cargo, struct wire_task *to)
{
    if (cargo != NULL) {
        to->args = cargo->args;
        to->refs = cargo->refs;
        to->files = cargo->files;
        to->returns = cargo->returns;
        to->workdir = cargo->workdir;
    }
}

static bool has_cargo(const struct core_cargo *cargo)
{
    return cargo->args.n > 0 || cargo->refs.n > 0 || cargo->files.n > 0 || cargo->returns.n > 0 ||
           cargo->workdir.n > 0;
}

static size_t words_bytes(struct wire_slices words)
{
    size_t n_bytes = words.n * sizeof(struct slice);
    for (uint32_t i = 0; i < words.n; i++) {
        n_bytes += words.items[i].n;
    }
    return n_bytes;
}

size_t core_load_bytes(struct wire_slices argv, struct core_cargo cargo)
{
    size_t n_bytes = words_bytes(argv);
    if (!has_cargo(&cargo)) {
        return n_bytes;
    }
    n_bytes += sizeof(struct core_cargo) + cargo.args.n + cargo.workdir.n +
               cargo.refs.n * sizeof(struct wire_ref) +
               cargo.files.n * sizeof(struct wire_task_file) + words_bytes(cargo.returns);
    for (uint32_t i = 0; i < cargo.files.n; i++) {
        n_bytes += cargo.files.items[i].path.n;
    }
    return n_bytes;
}

static uint8_t *put_bytes(uint8_t *at, struct slice from, struct slice *ret_copy)
{
    if (from.n > 0) {
        memcpy(at, from.p, from.n);
    }
    *ret_copy = slice_of(at, from.n);
    return at + from.n;
}

static uint8_t *put_words(uint8_t *at, struct wire_slices from, struct slice *items)
{
    for (uint32_t i = 0; i < from.n; i++) {
        at = put_bytes(at, from.items[i], &items[i]);
    }
    return at;
}

/* What has pointers or numbers first, then bytes: so all stands aligned. */
static void put_cargo(struct core_cargo *copy, const struct core_cargo *from)
{
    struct wire_task_file *files = (struct wire_task_file *)(copy + 1);
    struct slice *returns = (struct slice *)&files[from->files.n];
    struct wire_ref *refs = (struct wire_ref *)&returns[from->returns.n];
    uint8_t *at = (uint8_t *)&refs[from->refs.n];
    at = put_bytes(at, from->args, &copy->args);
    at = put_bytes(at, from->workdir, &copy->workdir);
    at = put_words(at, from->returns, returns);
    for (uint32_t i = 0; i < from->files.n; i++) {
        files[i] = from->files.items[i];
        at = put_bytes(at, from->files.items[i].path, &files[i].path);
    }
    if (from->refs.n > 0) {
        memcpy(refs, from->refs.items, from->refs.n * sizeof(*refs));
    }
    copy->files = (struct wire_task_files){.items = files, .n = from->files.n};
    copy->returns = (struct wire_slices){.items = returns, .n = from->returns.n};
    copy->refs = (struct wire_refs){.items = refs, .n = from->refs.n};
}

struct wire_slices core_load_put(void *to, struct wire_slices argv, struct core_cargo cargo,
                                 const struct core_cargo **ret_cargo)
{
    struct slice *items = to;
    struct core_cargo *copy = (struct core_cargo *)&items[argv.n];
    uint8_t *at = (uint8_t *)copy;
    *ret_cargo = NULL;
    if (has_cargo(&cargo)) {
        put_cargo(copy, &cargo);
        at += core_load_bytes((struct wire_slices){0}, cargo);
        *ret_cargo = copy;
    }
    put_words(at, argv, items);
    return (struct wire_slices){.items = items, .n = argv.n};
}

/* --- jobs --------------------------------------------------------------------------------------
 */

int core_spec_copy(struct arena *arena, const struct wire_job_spec *from, struct wire_job_spec *to)
{
    struct wire_job_spec spec = *from;
    int r = arena_copy(arena, from->exec, &spec.exec);
    r = r == 0 ? arena_copy(arena, from->arch, &spec.arch) : r;
    struct wire_file *files = arena_alloc(arena, from->files.n, sizeof(*files));
    struct slice *env = arena_alloc(arena, from->env.n, sizeof(*env));
    r = files == NULL || env == NULL ? -ENOMEM : r;
    for (uint32_t i = 0; r == 0 && i < from->files.n; i++) {
        files[i] = from->files.items[i];
        r = arena_copy(arena, from->files.items[i].path, &files[i].path);
        r = r == 0 ? arena_copy(arena, from->files.items[i].arch, &files[i].arch) : r;
    }
    for (uint32_t i = 0; r == 0 && i < from->env.n; i++) {
        r = arena_copy(arena, from->env.items[i], &env[i]);
    }
    if (r == 0) {
        spec.files.items = files;
        spec.env.items = env;
        *to = spec;
    }
    return r;
}

/* --- results -----------------------------------------------------------------------------------
 */

int core_result_copy(struct arena *arena, const struct wire_result *from, struct wire_result *to)
{
    struct wire_result result = *from;
    struct wire_result_file *files = arena_alloc(arena, from->files.n, sizeof(*files));
    int r = files == NULL ? -ENOMEM : arena_copy(arena, from->out.inlined, &result.out.inlined);
    r = r == 0 ? arena_copy(arena, from->err.inlined, &result.err.inlined) : r;
    r = r == 0 ? arena_copy(arena, from->detail, &result.detail) : r;
    for (uint32_t i = 0; r == 0 && i < from->files.n; i++) {
        files[i] = from->files.items[i];
        r = arena_copy(arena, from->files.items[i].path, &files[i].path);
        r = r == 0 ? arena_copy(arena, from->files.items[i].inlined, &files[i].inlined) : r;
    }
    if (r == 0) {
        result.files.items = files;
        *to = result;
    }
    return r;
}

static size_t files_bytes(const struct wire_result_files *files)
{
    size_t n_bytes = files->n * sizeof(struct wire_result_file);
    for (uint32_t i = 0; i < files->n; i++) {
        n_bytes += files->items[i].path.n + files->items[i].inlined.n;
    }
    return n_bytes;
}

void *core_result_dup(const struct wire_result *from, struct wire_result *to)
{
    size_t n_bytes =
        files_bytes(&from->files) + from->out.inlined.n + from->err.inlined.n + from->detail.n;
    void *block = mem_alloc_or_die(1, n_bytes + 1);
    struct wire_result_file *files = block;
    uint8_t *at = (uint8_t *)&files[from->files.n];
    *to = *from;
    at = put_bytes(at, from->out.inlined, &to->out.inlined);
    at = put_bytes(at, from->err.inlined, &to->err.inlined);
    at = put_bytes(at, from->detail, &to->detail);
    for (uint32_t i = 0; i < from->files.n; i++) {
        files[i] = from->files.items[i];
        at = put_bytes(at, from->files.items[i].path, &files[i].path);
        at = put_bytes(at, from->files.items[i].inlined, &files[i].inlined);
    }
    to->files.items = files;
    return block;
}

uint32_t core_result_n_blobs(const struct wire_result *result)
{
    return 2 + result->files.n;
}

const struct wire_hash *core_result_blob(const struct wire_result *result, uint32_t i,
                                         uint64_t *ret_bytes)
{
    if (i < 2) {
        const struct wire_output *output = i == 0 ? &result->out : &result->err;
        *ret_bytes = output->bytes;
        return &output->hash;
    }
    *ret_bytes = result->files.items[i - 2].bytes;
    return &result->files.items[i - 2].hash;
}

bool core_result_has_blobs(const struct wire_result *result)
{
    static const struct wire_hash none;
    uint64_t n_bytes;
    for (uint32_t i = 0; i < core_result_n_blobs(result); i++) {
        if (memcmp(core_result_blob(result, i, &n_bytes), &none, sizeof(none)) != 0) {
            return true;
        }
    }
    return false;
}

uint64_t core_result_inlined_bytes(const struct wire_result *result)
{
    return result->out.inlined.n + result->err.inlined.n + files_bytes(&result->files);
}
