/* Whether and how cells can be made here, and what goes into them: files, input, environment. */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "mesh/cores.h"
#include "mesh/executor_internal.h"
#include "mesh/sandbox_filter.h"
#include "wire/base/arena.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

#define ENV_BYTES_MAX (4096u + WIRE_ENV_MAX * sizeof(struct slice))

/* --- set-up ------------------------------------------------------------------------------------
 */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    IGNORE(remove(path)); /* what stays is in nobody's way */
    return 0;
}

/* A daemon that was killed left folders of its cells; nobody else uses this place. */
static int make_work_dir(struct meshd_executor *executor, struct errmsg *err)
{
    int n = snprintf(executor->work_dir, sizeof(executor->work_dir), "%s/work",
                     executor->config.state->path);
    int rc = n < 0 || (size_t)n >= sizeof(executor->work_dir) ? -ENAMETOOLONG : 0;
    if (rc == 0) {
        IGNORE(nftw(executor->work_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT));
        rc = meshd_make_dirs(executor->work_dir, 0700);
    }
    if (rc < 0) {
        errmsg_set(err, "cannot make the folder \"work\" in the state directory %s: %s",
                   executor->config.state->path, strerror(-rc));
    }
    return rc;
}

static void add_binds(struct meshd_executor *executor, const char *const *paths, uint32_t n,
                      bool is_writable)
{
    for (uint32_t i = 0; i < n && executor->sandbox.n_binds < SANDBOX_BINDS_MAX; i++) {
        executor->binds[executor->sandbox.n_binds++] =
            (struct sandbox_bind){.path = paths[i], .is_writable = is_writable};
    }
}

/* Whether cells can be sandboxes; if not, err says why. */
static bool find_sandbox(struct meshd_executor *executor, struct errmsg *reterr)
{
    int rc = sandbox_find_bwrap(executor->bwrap, sizeof(executor->bwrap), reterr);
    if (rc == 0) {
        rc = sandbox_filter_make(&executor->filter_fd, reterr);
    }
    if (rc == 0) {
        executor->sandbox.bwrap = executor->bwrap;
        executor->sandbox.filter_fd = executor->filter_fd;
        rc = sandbox_probe(&executor->sandbox, reterr);
    }
    if (rc < 0) {
        executor->sandbox.bwrap = NULL;
    }
    return rc == 0;
}

static void probe_sandbox(struct meshd_executor *executor)
{
    struct errmsg err;
    if (executor->config.options->is_sandbox_off) {
        meshd_log(executor->config.log, CORE_LOG_WARN,
                  "the sandbox is off: tasks of this machine's users run as they are, others' "
                  "tasks are refused");
        return;
    }
    executor->has_sandbox = find_sandbox(executor, &err);
    if (executor->has_sandbox &&
        cell_groups_init(&executor->groups, executor->config.control_group, "") < 0) {
        meshd_log(executor->config.log, CORE_LOG_DEBUG,
                  "no control groups for cells: each watches its own memory");
    }
    if (!executor->has_sandbox) {
        meshd_log(executor->config.log, CORE_LOG_WARN,
                  "no sandbox: others' tasks are refused here: %s", err.text);
    }
}

/* What cells are made of. */
static int describe_sandbox(struct meshd_executor *executor, const struct meshd_options *options,
                            struct errmsg *err)
{
    int rc = sandbox_find_cell_program(executor->cell_program, sizeof(executor->cell_program), err);
    if (rc == 0) {
        executor->sandbox.cell_program = executor->cell_program;
        executor->sandbox.binds = executor->binds;
        add_binds(executor, options->binds, options->n_binds, false);
        add_binds(executor, options->bind_rws, options->n_bind_rws, true);
    }
    return rc;
}

int meshd_executor_try(const struct meshd_options *options, bool *ret_has_sandbox,
                       struct errmsg *err)
{
    struct meshd_executor *executor = mem_alloc_or_die(1, sizeof(*executor));
    executor->filter_fd = -1;
    int rc = describe_sandbox(executor, options, err);
    if (rc == 0) {
        *ret_has_sandbox = !options->is_sandbox_off && find_sandbox(executor, err);
    }
    if (executor->filter_fd >= 0) {
        IGNORE(close(executor->filter_fd)); /* a memory file */
    }
    mem_free(executor);
    return rc;
}

/* Since Linux 5.14 RLIMIT_NPROC counts within the user namespace, so within the cell; before, all
 * processes of the user everywhere, and whoever has a desktop has more than a cell may. */
static bool can_count_processes(void)
{
    struct utsname host;
    uint64_t numbers[2] = {0, 0};
    if (uname(&host) < 0) {
        return false;
    }
    char *at = host.release;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        size_t n = strspn(at, "0123456789");
        char end = at[n];
        at[n] = '\0';
        if (text_parse_u64(at, UINT16_MAX, &numbers[i]) < 0) {
            return false;
        }
        at += n + (end != '\0');
    }
    return numbers[0] > 5 || (numbers[0] == 5 && numbers[1] >= 14);
}

/* A task's part of the machine: one eighth is left to everything else. */
static void measure_host(struct meshd_executor *executor)
{
    const struct meshd_options *options = executor->config.options;
    struct rlimit processes;
    uint64_t n_cores = cores_effective("");
    n_cores = options->has_cores && options->cores > n_cores ? options->cores : n_cores;
    executor->memory_bytes_core = cores_memory_limit_bytes("") / 8 * 7 / n_cores;
    executor->n_processes = can_count_processes() ? EXECUTOR_PROCESSES_MAX : 0;
    if (executor->n_processes > 0 && getrlimit(RLIMIT_NPROC, &processes) == 0 &&
        processes.rlim_cur / 2 / n_cores < EXECUTOR_PROCESSES_MAX) {
        uint64_t n = processes.rlim_cur / 2 / n_cores;
        executor->n_processes = n > EXECUTOR_PROCESSES_MIN ? (uint32_t)n : EXECUTOR_PROCESSES_MIN;
    }
}

int meshd_executor_new(const struct meshd_executor_config *config,
                       struct meshd_executor **ret_executor, struct errmsg *err)
{
    const struct meshd_options *options = config->options;
    struct meshd_executor *executor = mem_alloc_or_die(1, sizeof(*executor));
    executor->config = *config;
    int rc = describe_sandbox(executor, options, err);
    if (rc == 0) {
        rc = make_work_dir(executor, err);
    }
    if (rc < 0) {
        mem_free(executor);
        return rc;
    }
    executor->memory = shared_memory_new(config->loop, config->blobs, config->table_seed);
    disk_shares_init(&executor->disk, meshd_blobs_counts(config->blobs).quota_bytes,
                     config->table_seed);
    table_init(&executor->cells, sizeof(uint64_t), 0); /* numbers of our own core */
    table_init(&executor->attempts, sizeof(struct attempt_key), config->table_seed);
    executor->filter_fd = -1;
    measure_host(executor);
    probe_sandbox(executor);
    *ret_executor = executor;
    return 0;
}

bool meshd_executor_has_sandbox(const struct meshd_executor *executor)
{
    return executor->has_sandbox;
}

/* --- environment -------------------------------------------------------------------------------
 */

static struct slice env_text(struct arena *arena, const char *name, const char *value)
{
    size_t n = strlen(name) + 1 + strlen(value);
    char *text = arena_alloc(arena, n + 1, 1);
    if (text == NULL) {
        return (struct slice){0};
    }
    IGNORE(snprintf(text, n + 1, "%s=%s", name, value)); /* measured above */
    return slice_of(text, n);
}

/* MESH_* first, then what the job names. A worker takes calls of many tasks: it is not told of the
 * first. */
static int make_env(const struct meshd_executor *executor, const struct core_effect *effect,
                    struct arena *arena, struct wire_slices *ret_env)
{
    const struct wire_slices *from = &effect->start.spec->env;
    struct slice *items = arena_alloc(arena, from->n + 4u, sizeof(*items));
    char job[WIRE_JOB_TEXT_BYTES], task[16], number[16];
    uint32_t n_own = effect->start.spec->is_call ? 2 : 4;
    if (items == NULL) {
        return -ENOMEM;
    }
    IGNORE(snprintf(task, sizeof(task), "%u", effect->start.id.task)); /* they fit */
    IGNORE(snprintf(number, sizeof(number), "%u", effect->start.id.number));
    items[0] = env_text(arena, "MESH_JOB", wire_job_text(effect->start.job, job));
    items[1] = env_text(arena, "MESH_PEER", executor->config.peer_name);
    items[2] = env_text(arena, "MESH_TASK", task);
    items[3] = env_text(arena, "MESH_ATTEMPT", number);
    for (unsigned i = 0; i < n_own; i++) {
        if (items[i].p == NULL) {
            return -ENOMEM;
        }
    }
    if (from->n > 0) {
        memcpy(&items[n_own], from->items, from->n * sizeof(*items));
    }
    *ret_env = (struct wire_slices){.items = items, .n = from->n + n_own};
    return 0;
}

/* --- cells -------------------------------------------------------------------------------------
 */

static void close_files(const struct cell_file *files, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        IGNORE(close(files[i].fd)); /* were opened for reading */
    }
}

/* Opens those of the job's files that are for here; the paths are copied into the arena,
 * NUL-terminated. */
static int open_files(struct meshd_executor *executor, const struct wire_files *from,
                      struct arena *arena, struct cell_file *to, uint32_t *n, struct errmsg *err)
{
    *n = 0;
    for (uint32_t i = 0; i < from->n; i++) {
        const struct wire_file *file = &from->items[i];
        uint64_t bytes;
        if (file->arch.n > 0 && !slice_eq_str(file->arch, executor->config.arch)) {
            continue;
        }
        char *path = arena_alloc(arena, file->path.n + 1, 1);
        if (path == NULL) {
            return -ENOMEM;
        }
        memcpy(path, file->path.p, file->path.n);
        int rc = meshd_blobs_open(executor->config.blobs, &file->hash, &to[*n].fd, &bytes);
        if (rc < 0) {
            errmsg_set(err, "cannot open the stored file %s: %s", path, strerror(-rc));
            return rc;
        }
        to[*n].path = path;
        to[*n].is_executable = (file->mode & 0111) != 0;
        ++*n;
    }
    return 0;
}

/* What the store could not keep would be spooled in vain, whatever the owner allows. */
uint64_t executor_output_max(const struct meshd_executor *executor,
                             const struct wire_job_spec *spec)
{
    uint64_t quota = meshd_blobs_counts(executor->config.blobs).quota_bytes;
    return spec->is_streamed || spec->output_bytes_max < quota ? spec->output_bytes_max : quota;
}

/* What workers of a job of calls are started with. */
static int describe_program(const struct meshd_executor *executor, const struct core_effect *effect,
                            struct arena *arena, struct cell_program *program)
{
    const struct wire_job_spec *spec = effect->start.spec;
    *program = (struct cell_program){.exec = spec->exec,
                                     .peer = slice_str(executor->config.peer_name),
                                     .nice = spec->nice,
                                     .output_bytes_max = executor_output_max(executor, spec)};
    return make_env(executor, effect, arena, &program->env);
}

/* What --mem says is a limit, too; without it, the part that the task's cores are of the machine.
 * Files in a cell are memory: none can be larger, and a full scratch alone is no reason to be
 * killed. */
static struct sandbox_size size_of(const struct meshd_executor *executor,
                                   const struct wire_job_spec *spec)
{
    const struct meshd_options *options = executor->config.options;
    uint64_t bytes =
        spec->mem_bytes > 0 ? spec->mem_bytes : executor->memory_bytes_core * spec->cores;
    if (bytes > 0 && bytes < EXECUTOR_MEMORY_BYTES_MIN) {
        bytes = EXECUTOR_MEMORY_BYTES_MIN;
    }
    bool is_file_small = bytes > 0 && options->n_bind_rws == 0 && bytes < EXECUTOR_FILE_BYTES_MAX;
    struct sandbox_size size = {
        .scratch_bytes =
            bytes > 0 && bytes / 2 < EXECUTOR_SCRATCH_BYTES ? bytes / 2 : EXECUTOR_SCRATCH_BYTES,
        .limits = {.memory_bytes = bytes,
                   .file_bytes = is_file_small ? bytes : EXECUTOR_FILE_BYTES_MAX,
                   .n_processes = executor->n_processes},
    };
    if (spec->mem_bytes > 0 && executor->groups.dir[0] == '\0') {
        size.limits.address_bytes = 2 * bytes + EXECUTOR_ADDRESS_BYTES_MORE;
    }
    return size;
}

static int make_cell(struct exec_cell *exec_cell, const struct core_effect *effect,
                     enum wire_refusal *reterr_why, struct errmsg *err)
{
    struct meshd_executor *executor = exec_cell->executor;
    bool is_call = effect->start.spec->is_call;
    struct cell_program program;
    struct arena words;
    const struct wire_files *from = &effect->start.spec->files;
    struct cell_file files[WIRE_FILES_MAX];
    uint32_t n_files = 0;
    struct arena paths;
    ensure(from->n <= WIRE_FILES_MAX); /* the codec and the core saw to it */
    arena_init(&paths, WIRE_FILES_MAX * (WIRE_PATH_BYTES_MAX + 32u));
    int rc = open_files(executor, from, &paths, files, &n_files, err);
    *reterr_why = WIRE_REFUSAL_NO_BLOB;
    arena_init(&words, ENV_BYTES_MAX);
    if (rc == 0 && is_call) {
        rc = describe_program(executor, effect, &words, &program);
        *reterr_why = WIRE_REFUSAL_NO_MEMORY;
    }
    if (rc == 0) {
        struct cell_config config = {
            .loop = executor->config.loop,
            .sandbox = &executor->sandbox,
            .is_bare = !executor->has_sandbox,
            .work_dir = executor->work_dir,
            .disk = exec_cell->disk,
            .groups = &executor->groups,
            .size = size_of(executor, effect->start.spec),
            .files = files,
            .n_files = n_files,
            .program = is_call ? &program : NULL,
            .events = &executor_cell_events,
            .user = exec_cell,
        };
        rc = cell_new(&config, &exec_cell->cell, err);
        *reterr_why = WIRE_REFUSAL_NO_CELL;
    }
    close_files(files, n_files);
    arena_done(&words);
    arena_done(&paths);
    return rc;
}

struct exec_cell *executor_make_cell(struct meshd_executor *executor,
                                     const struct core_effect *effect,
                                     enum wire_refusal *reterr_why, struct errmsg *err)
{
    if (!executor->has_sandbox && !effect->start.is_own) {
        errmsg_set(err, "no sandbox here");
        *reterr_why = WIRE_REFUSAL_NO_SANDBOX;
        return NULL;
    }
    struct exec_cell *exec_cell = mem_alloc(1, sizeof(*exec_cell));
    if (exec_cell == NULL) {
        *reterr_why = WIRE_REFUSAL_NO_MEMORY;
        return NULL;
    }
    exec_cell->executor = executor;
    exec_cell->number = effect->start.cell;
    exec_cell->disk = disk_share_get(&executor->disk, effect->start.origin, effect->start.is_own);
    *reterr_why = WIRE_REFUSAL_NO_MEMORY;
    if (exec_cell->disk == NULL || make_cell(exec_cell, effect, reterr_why, err) < 0) {
        disk_share_unref(exec_cell->disk);
        return mem_free(exec_cell);
    }
    table_insert(&executor->cells, &exec_cell->by_number, &exec_cell->number);
    executor->n_cells++;
    return exec_cell;
}

/* --- attempts ----------------------------------------------------------------------------------
 */

static enum wire_refusal refusal_of(int error)
{
    if (error == -E2BIG) {
        return WIRE_REFUSAL_TOO_LARGE;
    }
    if (error == -EINVAL) {
        return WIRE_REFUSAL_NOT_EXECUTABLE;
    }
    return error == -ENOMEM ? WIRE_REFUSAL_NO_MEMORY : WIRE_REFUSAL_NO_CELL;
}

int executor_start_in(struct exec_cell *exec_cell, const struct core_effect *effect,
                      enum wire_refusal *reterr_why, struct errmsg *err)
{
    const struct wire_job_spec *spec = effect->start.spec;
    struct meshd_executor *executor = exec_cell->executor;
    struct cell_start start = {
        .exec = spec->exec,
        .argv = effect->start.argv,
        .input_fd = -1,
        .lease_ms = spec->lease_ms,
        .nice = spec->nice,
        .output_bytes_max = executor_output_max(executor, spec),
        .is_streamed = spec->is_streamed,
        .files = effect->start.files,
        .returns = effect->start.returns,
        .workdir = effect->start.workdir,
    };
    uint64_t bytes;
    if (effect->start.has_input) {
        int rc =
            meshd_blobs_open(executor->config.blobs, &effect->start.input, &start.input_fd, &bytes);
        if (rc < 0) {
            errmsg_set(err, "cannot open the stored input: %s", strerror(-rc));
            *reterr_why = WIRE_REFUSAL_NO_BLOB;
            return rc;
        }
    }
    struct arena arena;
    arena_init(&arena, ENV_BYTES_MAX);
    int rc = make_env(executor, effect, &arena, &start.env);
    if (rc == 0) {
        rc = executor_files_keep(exec_cell->attempt, effect, start.output_bytes_max);
    }
    if (rc == 0) {
        rc = cell_start(exec_cell->cell, &start, err);
    }
    arena_done(&arena);
    if (rc < 0) {
        *reterr_why = refusal_of(rc);
        if (start.input_fd >= 0) {
            IGNORE(close(start.input_fd)); /* stayed ours */
        }
    }
    return rc;
}
