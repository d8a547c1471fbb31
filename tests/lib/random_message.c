#include "tests/lib/random_message.h"

#include "wire/base/ensure.h"
#include "wire/message_codec.h"
#include "wire/message_layout.h"

/* Of lists that may be so long that the largest items would not fit. */
#define ROWS_MAX    512u
#define INLINED_MAX 16u

struct maker {
    uint64_t *seed;
    enum random_size size;
    struct arena *arena;
};

uint64_t random_u64(uint64_t *seed)
{
    uint64_t v = *seed += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
    return v ^ v >> 31;
}

uint64_t random_below(uint64_t *seed, uint64_t n)
{
    return random_u64(seed) % n;
}

static const uint32_t types[] = {
#define NUMBER(name, number, type, member) number,
    WIRE_MESSAGES(NUMBER)};

uint32_t random_type(size_t i)
{
    ensure(i < ARRAY_LEN(types));
    return types[i];
}

size_t random_n_types(void)
{
    return ARRAY_LEN(types);
}

/* A number of a random width, so that every form msgpack has comes up. */
static uint64_t make_number(struct maker *m, uint64_t min, uint64_t max)
{
    if (m->size == RANDOM_EMPTY || min == max) {
        return min;
    }
    if (m->size == RANDOM_LARGEST) {
        return max;
    }
    uint64_t v = random_u64(m->seed) >> random_below(m->seed, 64);
    return max - min == UINT64_MAX ? v : min + v % (max - min + 1);
}

static uint64_t make_length(struct maker *m, uint64_t max, uint64_t small)
{
    switch (m->size) {
    case RANDOM_EMPTY:
        return 0;
    case RANDOM_SMALL:
        return random_below(m->seed, (max < small ? max : small) + 1);
    case RANDOM_LARGEST:
        return max;
    }
    ensure(!"reached");
}

static void *make_room(struct maker *m, size_t n, size_t size)
{
    void *p = arena_alloc(m->arena, n, size);
    ensure(p != NULL);
    return p;
}

static struct slice make_text(struct maker *m, size_t n)
{
    static const char *const letters[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9d\x84\x9e"};
    uint8_t *p = make_room(m, n, 1);
    for (size_t i = 0; i < n;) {
        size_t n_letter = 1 + random_below(m->seed, n - i < 4 ? n - i : 4);
        memcpy(p + i, letters[n_letter - 1], n_letter);
        i += n_letter;
    }
    return slice_of(p, n);
}

static struct slice make_bytes(struct maker *m, size_t n, uint8_t least)
{
    uint8_t *p = make_room(m, n, 1);
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)(least + random_below(m->seed, 256u - least));
    }
    return slice_of(p, n);
}

static struct slice make_slice(struct maker *m, enum wire_kind kind, size_t n)
{
    if (kind == WIRE_KIND_TEXT || kind == WIRE_KIND_TEXTS) {
        return make_text(m, n);
    }
    return make_bytes(m, n, kind == WIRE_KIND_BYTES ? 0 : 1);
}

/* As large as may be is, for words, either many or long: their sum has a limit of its own. */
static void make_slices(struct maker *m, const struct wire_field *field, struct wire_slices *slices)
{
    uint64_t n = field->min + make_length(m, field->max - field->min, 5);
    uint64_t bytes_max = field->item_bytes_max;
    if (bytes_max == WIRE_ARG_BYTES_MAX - 1 && m->size == RANDOM_LARGEST) {
        uint64_t n_long = WIRE_ARGV_BYTES_MAX / WIRE_ARG_BYTES_MAX;
        n = random_below(m->seed, 2) == 0 ? n_long : n;
        bytes_max = WIRE_ARGV_BYTES_MAX / n - 1;
    }
    struct slice *items = make_room(m, n, sizeof(*items));
    for (uint64_t i = 0; i < n; i++) {
        items[i] = make_slice(m, field->kind, make_length(m, bytes_max, 40));
    }
    *slices = (struct wire_slices){.items = items, .n = (uint32_t)n};
}

static void make_object(struct maker *m, const struct wire_layout *layout, void *object);

static void make_items(struct maker *m, const struct wire_field *field, void *object)
{
    bool are_inlined = field->layout->rule == wire_rule_result_file;
    uint64_t n_most = are_inlined ? INLINED_MAX : ROWS_MAX;
    uint64_t n = make_length(m, field->max >= WIRE_TASK_FILES_MAX ? n_most : field->max, 4);
    if (field->max == WIRE_PUT_ITEMS_MAX && n > WIRE_PUT_BYTES_MAX / WIRE_ITEM_BYTES_MAX) {
        n = WIRE_PUT_BYTES_MAX / WIRE_ITEM_BYTES_MAX; /* their sum has a limit of its own */
    }
    void *items = make_room(m, n, field->layout->bytes);
    for (uint64_t i = 0; i < n; i++) {
        make_object(m, field->layout, wire_member_of(items, i * field->layout->bytes));
    }
    wire_set_items(object, field, items, (uint32_t)n);
}

static void make_field(struct maker *m, const struct wire_field *field, void *object)
{
    void *member = wire_member_of(object, field->offset);
    switch (field->kind) {
    case WIRE_KIND_U32:
    case WIRE_KIND_ENUM:
        *(uint32_t *)member = (uint32_t)make_number(m, field->min, field->max);
        return;
    case WIRE_KIND_U64:
        *(uint64_t *)member = make_number(m, field->min, field->max);
        return;
    case WIRE_KIND_BOOL:
        *(bool *)member = make_number(m, 0, 1) == 1;
        return;
    case WIRE_KIND_FIXED:
        if (m->size != RANDOM_EMPTY) {
            memcpy(member, make_bytes(m, WIRE_FIXED_BYTES, 1).p, WIRE_FIXED_BYTES);
        }
        return;
    case WIRE_KIND_SECRET:
        if (m->size != RANDOM_EMPTY) {
            memcpy(member, make_bytes(m, field->max, 1).p, field->max);
        }
        return;
    case WIRE_KIND_TEXT:
    case WIRE_KIND_WORD:
    case WIRE_KIND_BYTES:
        *(struct slice *)member = make_slice(m, field->kind, make_length(m, field->max, 40));
        return;
    case WIRE_KIND_TEXTS:
    case WIRE_KIND_WORDS:
        make_slices(m, field, member);
        return;
    case WIRE_KIND_STRUCT:
        make_object(m, field->layout, member);
        return;
    case WIRE_KIND_ITEMS:
        make_items(m, field, object);
        return;
    }
    ensure(!"reached");
}

/* --- what the structures' rules ask for --------------------------------------------------------
 */

/* Every byte becomes a letter, some a slash between two of these. */
static void fix_path(struct maker *m, struct slice *path, size_t n_min)
{
    size_t n = path->n < n_min ? n_min : path->n;
    uint8_t *p = make_room(m, n, 1);
    for (size_t i = 0; i < n; i++) {
        bool may_part = i > 0 && i + 1 < n && p[i - 1] != '/';
        p[i] = may_part && random_below(m->seed, 5) == 0 ? '/' : 'p';
    }
    *path = slice_of(p, n);
}

static void fix_output(struct maker *m, struct wire_output *output)
{
    uint64_t form = m->size == RANDOM_EMPTY ? 0 : random_below(m->seed, 3);
    if (form != 1) {
        output->hash = (struct wire_hash){0};
    }
    if (form == 0) {
        output->bytes = output->inlined.n;
        return;
    }
    output->inlined = (struct slice){0};
    if (form == 1 && output->bytes <= WIRE_INLINE_BYTES_MAX) {
        output->bytes += WIRE_INLINE_BYTES_MAX + 1;
    }
}

static void fix_job_spec(struct maker *m, struct wire_job_spec *spec)
{
    fix_path(m, &spec->exec, spec->is_call ? 1 : 0);
    struct slice *env = make_room(m, spec->env.n, sizeof(*env));
    for (uint32_t i = 0; i < spec->env.n; i++) {
        size_t n = spec->env.items[i].n < 2 ? 2 : spec->env.items[i].n;
        uint8_t *p = make_room(m, n, 1);
        memset(p, 'E', n);
        p[1 + random_below(m->seed, n - 1)] = '=';
        env[i] = slice_of(p, n);
    }
    spec->env.items = env;
}

static void fix_blob_data(struct maker *m, struct wire_blob_data *data)
{
    if (data->total < data->bytes.n) {
        data->total = data->bytes.n;
    }
    data->offset = make_number(m, 0, data->total - data->bytes.n);
}

static void fix_values(struct wire_slices *values)
{
    while (wire_values_bytes(values) > WIRE_VALUES_BYTES_MAX) {
        values->n--;
    }
}

/* As fix_path(), and no part is empty. */
static void fix_words(struct maker *m, struct wire_slices *words)
{
    struct slice *items = make_room(m, words->n, sizeof(*items));
    for (uint32_t i = 0; i < words->n; i++) {
        items[i] = words->items[i];
        fix_path(m, &items[i], 1);
    }
    words->items = items;
}

/* The smallest tasks fit, and each half of one that does not is smaller. */
static void fix_task(struct maker *m, const struct wire_layout *layout, void *object,
                     struct wire_refs *refs, struct wire_task_files *files,
                     struct wire_slices *returns)
{
    fix_words(m, returns);
    struct wire_task_file *items = make_room(m, files->n, sizeof(*items));
    for (uint32_t i = 0; i < files->n; i++) {
        items[i] = files->items[i];
    }
    do {
        for (uint32_t i = 0; i < files->n; i++) {
            items[i].ref = (uint32_t)make_number(m, 0, refs->n);
        }
        files->items = items;
        if (layout->rule(object) == NULL) {
            return;
        }
        files->n /= 2;
        refs->n /= 2;
        returns->n /= 2;
    } while (refs->n + files->n + returns->n > 0);
}

static void fix_result_file(struct maker *m, struct wire_result_file *file)
{
    fix_path(m, &file->path, 1);
    file->is_dir = file->is_dir && file->fault == WIRE_FILE_FAULT_NONE;
    if (file->is_dir || file->fault != WIRE_FILE_FAULT_NONE) {
        file->bytes = 0;
        file->inlined = (struct slice){0};
        file->hash = (struct wire_hash){0};
    } else if (m->size == RANDOM_EMPTY || random_below(m->seed, 2) == 0) {
        file->bytes = file->inlined.n;
        file->hash = (struct wire_hash){0};
    } else {
        file->inlined = (struct slice){0};
    }
}

static void fix_queue_name(struct maker *m, struct slice *name)
{
    size_t n = name->n < 1 ? 1 : name->n;
    uint8_t *p = make_room(m, n, 1);
    memset(p, 'q', n);
    *name = slice_of(p, n);
}

static void fix_queue_bytes(struct maker *m, struct wire_queue_bytes *content)
{
    if (m->size == RANDOM_EMPTY || random_below(m->seed, 2) == 0) {
        content->hash = (struct wire_hash){0};
        content->blob_bytes = 0;
    } else {
        content->bytes = (struct slice){0};
        content->hash.b[0] |= 1;
        content->blob_bytes = content->blob_bytes % WIRE_ITEM_BLOB_BYTES_MAX + 1;
    }
}

static void fix_queue_items(struct maker *m, struct wire_queue_items *items)
{
    uint32_t n = items->n > 0 ? items->n : 1;
    struct wire_queue_bytes *fixed = make_room(m, n, sizeof(*fixed));
    uint32_t n_blobs = 0;
    for (uint32_t i = 0; i < items->n; i++) {
        bool is_blob = items->items[i].blob_bytes > 0 && n_blobs++ < WIRE_PUT_BLOBS_MAX;
        fixed[i].bytes = items->items[i].bytes;
        fixed[i] = is_blob ? items->items[i] : fixed[i];
    }
    *items = (struct wire_queue_items){.items = fixed, .n = n};
}

/* False: it is none of these. */
static bool fix_queue(struct maker *m, const struct wire_layout *layout, void *object)
{
    if (layout->rule == wire_rule_queue_bytes) {
        fix_queue_bytes(m, object);
    } else if (layout->rule == wire_rule_queue_item) {
        return true; /* its content is a structure that was fixed */
    } else if (layout->rule == wire_rule_queue_put) {
        fix_queue_name(m, &((struct wire_queue_put *)object)->name);
        fix_queue_items(m, &((struct wire_queue_put *)object)->items);
    } else if (layout->rule == wire_rule_queue_add) {
        fix_queue_name(m, &((struct wire_queue_add *)object)->name);
        fix_queue_items(m, &((struct wire_queue_add *)object)->items);
    } else if (layout->rule == wire_rule_queue_get) {
        fix_queue_name(m, &((struct wire_queue_get *)object)->name);
    } else if (layout->rule == wire_rule_queue_take) {
        fix_queue_name(m, &((struct wire_queue_take *)object)->name);
    } else if (layout->rule == wire_rule_queue_remove) {
        fix_queue_name(m, &((struct wire_queue_remove *)object)->name);
    } else {
        return false;
    }
    return true;
}

static void fix_object(struct maker *m, const struct wire_layout *layout, void *object)
{
    if (fix_queue(m, layout, object)) {
        return;
    }
    if (layout->rule == wire_rule_file) {
        fix_path(m, &((struct wire_file *)object)->path, 1);
    } else if (layout->rule == wire_rule_output) {
        fix_output(m, object);
    } else if (layout->rule == wire_rule_job_spec) {
        fix_job_spec(m, object);
    } else if (layout->rule == wire_rule_trust) {
        struct slice *name = &((struct wire_trust *)object)->name;
        *name = name->n == 0 ? make_text(m, 1) : *name;
    } else if (layout->rule == wire_rule_task) {
        struct wire_task *task = object;
        task->args = task->has_input ? (struct slice){0} : task->args;
        fix_path(m, &task->workdir, 0);
        fix_task(m, layout, task, &task->refs, &task->files, &task->returns);
    } else if (layout->rule == wire_rule_add_task) {
        struct wire_add_task *task = object;
        task->args = task->has_input ? (struct slice){0} : task->args;
        fix_values(&task->values);
        fix_path(m, &task->workdir, 0);
        fix_task(m, layout, task, &task->refs, &task->files, &task->returns);
    } else if (layout->rule == wire_rule_task_file) {
        fix_path(m, &((struct wire_task_file *)object)->path, 1);
    } else if (layout->rule == wire_rule_result_file) {
        fix_result_file(m, object);
    } else if (layout->rule == wire_rule_result) {
        struct wire_result *result = object;
        while (layout->rule(object) != NULL) {
            result->files.n /= 2;
        }
    } else if (layout->rule == wire_rule_kept_task) {
        struct wire_kept_task *task = object;
        fix_values(&task->values);
        fix_words(m, &task->returns);
        while (layout->rule(object) != NULL) {
            task->returns.n /= 2;
        }
    } else if (layout->rule == wire_rule_blob_data) {
        fix_blob_data(m, object);
    } else if (layout->rule == wire_rule_stream_data) {
        struct wire_stream_data *data = object;
        data->offset = make_number(m, 0, UINT64_MAX - data->bytes.n);
    } else if (layout->rule == wire_rule_client_stream) {
        struct wire_client_stream *data = object;
        data->offset = make_number(m, 0, UINT64_MAX - data->bytes.n);
    }
}

static void make_object(struct maker *m, const struct wire_layout *layout, void *object)
{
    for (uint32_t i = 0; i < layout->n_fields; i++) {
        make_field(m, &layout->fields[i], object);
    }
    fix_object(m, layout, object);
}

void random_message(uint64_t *seed, uint32_t type, enum random_size size, struct arena *arena,
                    struct wire_message *ret_message)
{
    struct maker m = {.seed = seed, .size = size, .arena = arena};
    const struct wire_layout *layout = wire_layout_of(type);
    ensure(layout != NULL);
    struct wire_message message = {.type = (enum wire_message_type)type};
    make_object(&m, layout, wire_member_of(&message, offsetof(struct wire_message, goodbye)));
    struct errmsg err;
    if (wire_message_check(&message, &err) < 0) {
        ensure_failed(err.text, __FILE__, __LINE__, __func__);
    }
    *ret_message = message;
}
