/* The rules about messages that a single field's kind and limits cannot express. */
#include "wire/base/text.h"
#include "wire/message_layout.h"

static bool is_zero(const struct wire_hash *hash)
{
    static const struct wire_hash none;
    return memcmp(hash->b, none.b, sizeof(none.b)) == 0;
}

/* Whether a component of the path is "..". */
static bool has_parent(struct slice path)
{
    for (size_t i = 0; i < path.n;) {
        const uint8_t *slash = memchr(path.p + i, '/', path.n - i);
        size_t n = slash != NULL ? (size_t)(slash - path.p) - i : path.n - i;
        if (n == 2 && path.p[i] == '.' && path.p[i + 1] == '.') {
            return true;
        }
        i += n + 1;
    }
    return false;
}

const char *wire_rule_file(const void *object)
{
    const struct wire_file *file = object;
    if (file->path.n == 0) {
        return "path: empty";
    }
    if (file->path.p[0] == '/') {
        return "path: absolute";
    }
    return has_parent(file->path) ? "path: leads out through \"..\"" : NULL;
}

/* What is wrong with a path that is to be created below a directory; NULL: nothing. */
static const char *inside_fault(struct slice path)
{
    if (path.n == 0) {
        return "path: empty";
    }
    for (size_t i = 0; i <= path.n;) {
        const uint8_t *slash = i < path.n ? memchr(path.p + i, '/', path.n - i) : NULL;
        size_t n = slash != NULL ? (size_t)(slash - path.p) - i : path.n - i;
        bool is_dots = n > 0 && n <= 2 && path.p[i] == '.' && path.p[i + n - 1] == '.';
        if (n == 0 || is_dots) {
            return "path: absolute, or with an empty part, \".\" or \"..\"";
        }
        i += n + 1;
    }
    return NULL;
}

const char *wire_rule_task_file(const void *object)
{
    const struct wire_task_file *file = object;
    return inside_fault(file->path);
}

const char *wire_rule_result_file(const void *object)
{
    const struct wire_result_file *file = object;
    const char *fault = inside_fault(file->path);
    if (fault != NULL) {
        return fault;
    }
    if (file->inlined.n > 0 && file->inlined.n != file->bytes) {
        return "inlined: not all of it";
    }
    bool has_blob = !is_zero(&file->hash);
    if (has_blob && file->inlined.n > 0) {
        return "hash: of a file that is inlined";
    }
    bool is_empty = !has_blob && file->bytes == 0; /* whose content is inlined: nothing */
    if ((file->is_dir || file->fault != WIRE_FILE_FAULT_NONE) && !is_empty) {
        return "bytes: of what is no file";
    }
    return is_empty || has_blob || file->inlined.n > 0 ? NULL : "hash: of no blob";
}

const char *wire_rule_result(const void *object)
{
    const struct wire_result *result = object;
    size_t n_bytes = 0;
    for (uint32_t i = 0; i < result->files.n && n_bytes <= WIRE_RESULT_FILES_BYTES_MAX; i++) {
        n_bytes += result->files.items[i].path.n + result->files.items[i].inlined.n + 64;
    }
    return n_bytes <= WIRE_RESULT_FILES_BYTES_MAX ? NULL : "files: too long in all";
}

const char *wire_rule_ref(const void *object)
{
    const struct wire_ref *ref = object;
    return is_zero(&ref->hash) ? "hash: of no blob" : NULL;
}

/* Inlined whole, a blob, or (streamed) neither: never a part, never both. */
const char *wire_rule_output(const void *object)
{
    const struct wire_output *output = object;
    if (output->inlined.n > 0 && output->inlined.n != output->bytes) {
        return "inlined: not all of it";
    }
    if (!is_zero(&output->hash) && output->bytes <= WIRE_INLINE_BYTES_MAX) {
        return "hash: of a blob that is small enough to be inlined";
    }
    return NULL;
}

/* Counting more for each: a NUL, as the kernel does, or what msgpack writes before it. */
static size_t bytes_of(const struct wire_slices *words, size_t n_each)
{
    size_t n_bytes = 0;
    for (uint32_t i = 0; i < words->n && n_bytes <= WIRE_ARGV_BYTES_MAX; i++) {
        n_bytes += words->items[i].n + n_each;
    }
    return n_bytes;
}

static bool fits_argv(const struct wire_slices *words)
{
    return bytes_of(words, 1) <= WIRE_ARGV_BYTES_MAX;
}

const char *wire_rule_job_spec(const void *object)
{
    const struct wire_job_spec *spec = object;
    for (uint32_t i = 0; i < spec->env.n; i++) {
        struct slice s = spec->env.items[i];
        if (s.n < 2 || s.p[0] == '=' || memchr(s.p, '=', s.n) == NULL) {
            return "env: not NAME=VALUE";
        }
    }
    if (!fits_argv(&spec->env)) {
        return "env: too long in all";
    }
    if (spec->exec.n > 0 && spec->exec.p[0] != '/' && has_parent(spec->exec)) {
        return "exec: leads out through \"..\"";
    }
    if (spec->is_call && spec->exec.n == 0) {
        return "exec: empty, and the job's tasks are calls";
    }
    return NULL;
}

static const char *files_fault(const struct wire_task *task)
{
    size_t n_bytes = bytes_of(&task->argv, 1) + task->refs.n * (size_t)80;
    for (uint32_t i = 0; i < task->files.n; i++) {
        const struct wire_task_file *file = &task->files.items[i];
        n_bytes += file->path.n + 16;
        if (file->ref > task->refs.n) {
            return "files: of no ref";
        }
    }
    for (uint32_t i = 0; i < task->returns.n; i++) {
        const char *fault = inside_fault(task->returns.items[i]);
        if (fault != NULL) {
            return fault;
        }
    }
    n_bytes += bytes_of(&task->returns, 4);
    if (n_bytes > WIRE_TASK_BYTES_MAX) {
        return "files: too long in all";
    }
    return task->workdir.n > 0 ? inside_fault(task->workdir) : NULL;
}

static const char *task_fault(const struct wire_task *task)
{
    if (!fits_argv(&task->argv)) {
        return "argv: too long in all";
    }
    if (task->has_input && task->args.n > 0) { /* those of a call are in one place */
        return "args: beside an input";
    }
    return files_fault(task);
}

const char *wire_rule_task(const void *object)
{
    return task_fault(object);
}

size_t wire_values_bytes(const struct wire_slices *values)
{
    size_t n_bytes = 0;
    for (uint32_t i = 0; i < values->n; i++) {
        n_bytes += values->items[i].n + 1;
    }
    return n_bytes;
}

static const char *values_fault(const struct wire_slices *values)
{
    return wire_values_bytes(values) > WIRE_VALUES_BYTES_MAX ? "values: too long in all" : NULL;
}

const char *wire_rule_kept_task(const void *object)
{
    const struct wire_kept_task *kept = object;
    const struct wire_task task = {.argv = kept->argv, .returns = kept->returns};
    const char *fault = values_fault(&kept->values);
    return fault != NULL ? fault : task_fault(&task);
}

const char *wire_rule_add_task(const void *object)
{
    const struct wire_add_task *add = object;
    const struct wire_task task = {.argv = add->argv,
                                   .has_input = add->has_input,
                                   .args = add->args,
                                   .refs = add->refs,
                                   .files = add->files,
                                   .returns = add->returns,
                                   .workdir = add->workdir};
    const char *fault = values_fault(&add->values);
    return fault != NULL ? fault : task_fault(&task);
}

static const char *stream_fault(uint64_t offset, struct slice bytes)
{
    return bytes.n > UINT64_MAX - offset ? "offset: beyond any stream's end" : NULL;
}

const char *wire_rule_stream_data(const void *object)
{
    const struct wire_stream_data *data = object;
    return stream_fault(data->offset, data->bytes);
}

const char *wire_rule_client_stream(const void *object)
{
    const struct wire_client_stream *data = object;
    return stream_fault(data->offset, data->bytes);
}

const char *wire_rule_trust(const void *object)
{
    const struct wire_trust *trust = object;
    return trust->name.n == 0 ? "name: empty" : NULL;
}

const char *wire_rule_blob_data(const void *object)
{
    const struct wire_blob_data *data = object;
    if (data->offset > data->total || data->bytes.n > data->total - data->offset) {
        return "offset: beyond the blob's end";
    }
    return NULL;
}

/* --- queues ------------------------------------------------------------------------------------
 */

/* The controls behind U+0080 are two bytes of UTF-8. */
bool wire_queue_name_is_good(struct slice name)
{
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];
        bool is_high_control = c == 0xc2 && i + 1 < name.n && name.p[i + 1] < 0xa0;
        if (c < 0x20 || c == 0x7f || c == '/' || is_high_control) {
            return false;
        }
    }
    return name.n > 0 && name.n <= WIRE_NAME_BYTES_MAX && text_is_utf8(name);
}

static const char *name_fault(struct slice name)
{
    return wire_queue_name_is_good(name) ? NULL : "name: not one that a queue may have";
}

const char *wire_rule_queue_bytes(const void *object)
{
    const struct wire_queue_bytes *content = object;
    if (content->blob_bytes > WIRE_ITEM_BLOB_BYTES_MAX) {
        return "blob_bytes: too many";
    }
    return content->blob_bytes > 0 && content->bytes.n > 0 ? "blob_bytes: beside bytes" : NULL;
}

static bool lacks_hash(const struct wire_queue_bytes *content)
{
    return content->blob_bytes > 0 && is_zero(&content->hash);
}

static const char *items_fault(struct slice name, const struct wire_queue_items *items)
{
    size_t n_bytes = 0;
    uint32_t n_blobs = 0;
    for (uint32_t i = 0; i < items->n; i++) {
        n_bytes += items->items[i].bytes.n;
        n_blobs += items->items[i].blob_bytes > 0;
    }
    if (items->n == 0) {
        return "items: none";
    }
    if (n_blobs > WIRE_PUT_BLOBS_MAX) {
        return "items: too many blobs";
    }
    return n_bytes > WIRE_PUT_BYTES_MAX ? "items: too long in all" : name_fault(name);
}

const char *wire_rule_queue_put(const void *object)
{
    const struct wire_queue_put *put = object;
    for (uint32_t i = 0; i < put->items.n; i++) {
        if (lacks_hash(&put->items.items[i])) {
            return "items: a blob without hash";
        }
    }
    return items_fault(put->name, &put->items);
}

const char *wire_rule_queue_item(const void *object)
{
    const struct wire_queue_item *item = object;
    return lacks_hash(&item->content) ? "content: a blob without hash" : NULL;
}

const char *wire_rule_queue_add(const void *object)
{
    const struct wire_queue_add *add = object;
    return items_fault(add->name, &add->items);
}

const char *wire_rule_queue_get(const void *object)
{
    const struct wire_queue_get *get = object;
    return name_fault(get->name);
}

const char *wire_rule_queue_take(const void *object)
{
    const struct wire_queue_take *take = object;
    return name_fault(take->name);
}

const char *wire_rule_queue_remove(const void *object)
{
    const struct wire_queue_remove *remove = object;
    return name_fault(remove->name);
}
