/* Maps: one function over an array, many elements to a call.
 *
 * The handle's thread cuts pieces off the array as results come in. It begins with single elements,
 * learns from the run times what one takes, and then makes pieces of PIECE_US, as far as what
 * travels inline allows; towards the end they become smaller again, so that all cores end together.
 * A piece whose worker crashes is cut in two and tried again, until the element that did it is
 * alone. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mesh/client/clock.h"
#include "mesh/client/handle.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

#define PIECE_US       10000.0 /* what a piece should take */
#define PIECE_US_MIN   500.0   /* smaller ones are not worth their way, even at the end */
#define AHEAD_US       5000.0  /* of work for each core, under way, at the least */
#define PIECES_A_CORE  3u      /* under way: one runs, the others travel */
#define PIECES_MAX     64u     /* for a core, when they are that short */
#define GROWTH         8u      /* a piece over the largest one that is known to be good */
#define INLINE_BYTES   (WIRE_INLINE_BYTES_MAX - 1024u)
#define CORES_GUESSED  4u
#define CORES_AGAIN_MS 1000

struct failure {
    size_t i; /* element */
    int error;
};

struct mesh_piece {
    struct list node;     /* of map->open, map->redo or map->arrived */
    struct list in_order; /* of map->ordered */
    struct mesh_map *map;
    mesh_future *future; /* borrowed while it is under way */
    size_t first, n;
    size_t n_taken;           /* by mesh_map_next() */
    struct failure *failures; /* in order. Owned */
    size_t n_failures, i_failure;
};

struct mesh_map {
    struct list node; /* of mesh.maps */
    mesh *m;
    struct mesh_needs needs;
    const struct mesh_name *function;
    const uint8_t *in;
    uint8_t *out;
    size_t n, in_bytes, out_bytes, chunk;
    const struct mesh_value *values; /* borrowed */
    size_t n_values;
    size_t values_bytes;
    struct mesh_data *refs[MESH_VALUES_MAX];
    uint32_t n_refs;
    bool is_array; /* results are only waited for, all together */
    bool is_killed;

    size_t next;   /* the first element in no piece yet */
    size_t n_left; /* elements without an outcome */
    size_t n_open; /* pieces under way */
    struct list open, redo, arrived, ordered;
    double us;         /* what an element takes; 0: not known yet */
    size_t n_good;     /* the largest piece that came back */
    size_t next_given; /* in order: the element that is next */

    int error;      /* of the first element that failed, or of the whole map */
    size_t i_error; /* that element; SIZE_MAX: of the whole, or none */
    struct errmsg text;
    struct errmsg told; /* the text, as its asker was told it: ours may change under his eyes */
};

struct mesh_map *mesh_map_of(struct list *node)
{
    return LIST_ENTRY(node, struct mesh_map, node);
}

/* --- pieces ------------------------------------------------------------------------------------
 */

static struct mesh_piece *piece_new(struct mesh_map *map, size_t first, size_t n)
{
    struct mesh_piece *piece = mem_alloc(1, sizeof(*piece));
    if (piece != NULL) {
        piece->map = map;
        piece->first = first;
        piece->n = n;
    }
    return piece;
}

static void piece_free(struct mesh_piece *piece)
{
    list_remove(&piece->node);
    list_remove(&piece->in_order);
    mem_free(piece->failures);
    mem_free(piece);
}

static void note_error(struct mesh_map *map, size_t i, int error, const char *text)
{
    if (map->error == 0 || (map->i_error != SIZE_MAX && i < map->i_error)) {
        map->error = error;
        map->i_error = i;
        errmsg_set(&map->text, "element %zu: %s", i, text);
    }
}

/* The piece has its outcome: whoever takes results gets it. */
static void deliver(struct mesh_piece *piece)
{
    struct mesh_map *map = piece->map;
    map->n_left -= piece->n;
    if (map->is_array) {
        piece_free(piece);
        return;
    }
    list_push_back(&map->arrived, &piece->node);
    struct list *at = map->ordered.prev;
    while (at != &map->ordered &&
           LIST_ENTRY(at, struct mesh_piece, in_order)->first > piece->first) {
        at = at->prev;
    }
    list_insert_before(at->next, &piece->in_order);
}

static int add_failure(struct mesh_piece *piece, size_t i, int error, const char *text)
{
    note_error(piece->map, piece->first + i, error, text);
    if (piece->map->is_array) {
        return 0;
    }
    struct failure *failures =
        mem_realloc(piece->failures, piece->n_failures + 1, sizeof(*failures));
    if (failures == NULL) {
        return -ENOMEM;
    }
    piece->failures = failures;
    failures[piece->n_failures++] = (struct failure){.i = piece->first + i, .error = error};
    return 0;
}

static void fail_all(struct mesh_piece *piece, int error, const char *text)
{
    for (size_t i = 0; i < piece->n; i++) {
        if (add_failure(piece, i, error, text) < 0) {
            break; /* the map's own error says it */
        }
    }
}

/* Two pieces in its place. False when memory is short. */
static bool split(struct mesh_piece *piece)
{
    struct mesh_map *map = piece->map;
    size_t half = piece->n / 2;
    struct mesh_piece *rest = piece_new(map, piece->first + half, piece->n - half);
    if (rest == NULL) {
        return false;
    }
    piece->n = half;
    list_push_back(&map->redo, &piece->node);
    list_push_back(&map->redo, &rest->node);
    return true;
}

static int error_of_status(uint32_t status)
{
    return status == WIRE_CALL_BAD_ARGUMENT ? MESH_ETYPE
           : status == WIRE_CALL_NO_RESULT  ? MESH_ENONE
           : status == WIRE_CALL_NO_MEMORY  ? MESH_ENOMEM
                                            : MESH_EFAILED;
}

static int take_failure(struct mesh_piece *piece, const struct mesh_item *item)
{
    char text[WIRE_REASON_BYTES_MAX * 2];
    uint32_t i = mesh_item_index(item);
    if (item->kind != MESH_ITEM_EXT || item->ext != MESH_EXT_FAILURE || item->bytes.n < 8 ||
        i >= piece->n) {
        return -EPROTO;
    }
    struct mesh_item status = *item;
    status.bytes = slice_from(item->bytes, 4);
    text_printable(slice_from(item->bytes, 8), text, sizeof(text));
    return add_failure(piece, i, error_of_status(mesh_item_index(&status)), text);
}

/* The results of a piece, into the caller's array. 0, -EPROTO or -errno. */
static int take_results(struct mesh_piece *piece, mesh_future *future)
{
    struct mesh_map *map = piece->map;
    struct mesh_items items;
    struct mesh_item item;
    int r = mesh_body_map(&future->result);
    r = r == 0 ? mesh_items_init(&items, mesh_body_slice(&future->result)) : r;
    r = r == 0 ? mesh_items_next(&items, &item) : r;
    if (r != 0) {
        return r;
    }
    if (item.kind != MESH_ITEM_BYTES || item.bytes.n / piece->n < map->out_bytes ||
        item.bytes.n != piece->n * map->out_bytes) {
        return -EPROTO;
    }
    if (item.bytes.n > 0) {
        memcpy(map->out + piece->first * map->out_bytes, item.bytes.p, item.bytes.n);
    }
    while ((r = mesh_items_next(&items, &item)) == 0) {
        r = take_failure(piece, &item);
        if (r < 0) {
            return r;
        }
    }
    return r == -ENODATA ? 0 : r;
}

static void learn(struct mesh_map *map, const struct mesh_piece *piece, uint64_t wall_us)
{
    double us = ((double)wall_us + 0.5) / (double)piece->n;
    /* A larger piece says more of an element, for less of it is the call's own cost. */
    bool is_better = piece->n >= map->n_good;
    map->us =
        map->us <= 0 || (is_better && piece->n > 2 * map->n_good) ? us : map->us * 0.75 + us * 0.25;
    map->n_good = is_better ? piece->n : map->n_good;
}

void mesh_map_on_done(mesh_future *future)
{
    struct mesh_piece *piece = future->piece;
    struct mesh_map *map = piece->map;
    future->piece = NULL;
    piece->future = NULL;
    list_remove(&piece->node);
    map->n_open--;
    if (map->is_killed) {
        piece_free(piece);
        return;
    }
    int error = future->error;
    if (error == 0) {
        int r = take_results(piece, future);
        error = r == -EPROTO ? MESH_ETYPE : mesh_error_of(r);
    }
    if (error == 0) {
        learn(map, piece, future->wall_us);
    } else if ((error == MESH_ECRASHED || error == MESH_ELATE) && piece->n > 1 &&
               map->needs.is_once == 0 && split(piece)) {
        return;
    } else {
        const char *text = future->extra != NULL ? future->extra->text : NULL;
        fail_all(piece, error, text != NULL ? text : mesh_strerror(error));
    }
    deliver(piece);
}

/* --- feeding -----------------------------------------------------------------------------------
 */

static uint32_t cores_of(const mesh *m)
{
    return m->cores_known > 0 ? m->cores_known : CORES_GUESSED;
}

/* How many elements the next piece has. */
static size_t piece_size(const struct mesh_map *map)
{
    size_t left = map->n - map->next;
    if (map->chunk > 0) {
        return map->chunk < left ? map->chunk : left;
    }
    if (map->us <= 0) {
        return 1;
    }
    double n = PIECE_US / map->us;
    double share = (double)map->n_left / (2.0 * cores_of(map->m));
    double least = PIECE_US_MIN / map->us;
    share = share > least ? share : least;
    n = n < share ? n : share;
    double grown = (double)(map->n_good * GROWTH);
    n = n < grown ? n : grown;
    size_t each = map->in_bytes > map->out_bytes ? map->in_bytes : map->out_bytes;
    size_t room = map->values_bytes < INLINE_BYTES ? INLINE_BYTES - map->values_bytes : 0;
    size_t fits = each > 0 ? room / each : left;
    n = n < (double)fits ? n : (double)fits;
    n = n < (double)left ? n : (double)left;
    return n >= 1 ? (size_t)n : 1;
}

static size_t window_of(const struct mesh_map *map)
{
    uint32_t cores = cores_of(map->m);
    double us = map->us * (double)(map->n_good > 0 ? map->n_good : 1);
    double n = us > 0 ? AHEAD_US / us : 0;
    n = n > PIECES_A_CORE ? n : PIECES_A_CORE;
    n = n < PIECES_MAX ? n : PIECES_MAX;
    /* Before the first result, what is known to be worth a try: two for each core. */
    return map->us <= 0 && map->chunk == 0 ? 2u * cores : (size_t)(n * cores);
}

static int write_piece(const struct mesh_map *map, const struct mesh_piece *piece,
                       struct mesh_body *ret_args)
{
    struct mesh_writer writer;
    struct mesh_chunk chunk = {
        .n = piece->n, .in_bytes = map->in_bytes, .out_bytes = map->out_bytes};
    uint32_t i_ref = 0;
    mesh_writer_init(&writer);
    mesh_writer_chunk(&writer, &chunk);
    struct slice in = slice_of(map->in, map->n * map->in_bytes);
    mesh_writer_bytes(&writer,
                      slice_part(in, piece->first * map->in_bytes, piece->n * map->in_bytes));
    for (size_t i = 0; i < map->n_values; i++) {
        int r = mesh_write_value(&writer, &map->values[i], i_ref);
        ensure(r == 0); /* looked at when the map began */
        i_ref += map->values[i].type == MESH_DATA;
    }
    return mesh_error_of(mesh_writer_finish(&writer, WIRE_INLINE_BYTES_MAX, ret_args));
}

static void submit_piece(struct mesh_piece *piece)
{
    struct mesh_map *map = piece->map;
    struct mesh_body args;
    int r = write_piece(map, piece, &args);
    if (r == 0) {
        mesh_future *future =
            mesh_submit_chunk(map->m, &map->needs, map->function, &args, map->refs, map->n_refs);
        if (future != NULL) {
            future->piece = piece;
            piece->future = future;
            list_push_back(&map->open, &piece->node);
            map->n_open++;
            return;
        }
        mesh_body_done(&args);
        r = MESH_ENOMEM;
    }
    fail_all(piece, r, mesh_strerror(r));
    deliver(piece);
}

static void feed(struct mesh_map *map)
{
    size_t window = window_of(map);
    while (!map->is_killed && map->n_open < window) {
        struct mesh_piece *piece;
        struct list *again = list_first(&map->redo);
        if (again != NULL) {
            piece = LIST_ENTRY(again, struct mesh_piece, node);
            list_remove(&piece->node);
        } else if (map->next < map->n) {
            piece = piece_new(map, map->next, piece_size(map));
            if (piece == NULL) {
                mesh_map_kill(map, MESH_ENOMEM, "out of memory");
                return;
            }
            map->next += piece->n;
        } else {
            return;
        }
        submit_piece(piece);
    }
}

void mesh_maps_feed(mesh *m, bool *ret_asks)
{
    if (list_is_empty(&m->maps)) {
        return;
    }
    bool is_running = false;
    list_for_each (it, &m->maps) {
        feed(mesh_map_of(it));
        is_running |= mesh_map_of(it)->n_open > 0;
    }
    int64_t now_ms = mesh_client_now_ms();
    if (is_running && now_ms - m->cores_asked_ms >= CORES_AGAIN_MS) {
        m->cores_asked_ms = now_ms;
        *ret_asks = true;
    }
}

/* --- beginning and ending ----------------------------------------------------------------------
 */

static bool is_good_value(const mesh *m, const struct mesh_value *value)
{
    switch (value->type) {
    case MESH_INT:
    case MESH_DOUBLE:
        return true;
    case MESH_STRING:
        return value->as.borrowed != NULL;
    case MESH_BYTES:
    case MESH_RAW:
        return value->as.borrowed != NULL || value->bytes == 0;
    case MESH_DATA:
        return value->as.data != NULL && value->as.data->m == m;
    default:
        return false;
    }
}

static int take_values(struct mesh_map *map, const struct mesh_map_options *options)
{
    if (options->n_values >= MESH_VALUES_MAX ||
        (options->n_values > 0 && options->values == NULL)) {
        return MESH_EINVAL;
    }
    for (size_t i = 0; i < options->n_values; i++) {
        const struct mesh_value *value = &options->values[i];
        if (!is_good_value(map->m, value)) {
            return MESH_EINVAL;
        }
        if (value->type == MESH_DATA) {
            value->as.data->n_refs++;
            map->refs[map->n_refs++] = value->as.data;
        } else {
            map->values_bytes += value->bytes + 2 * MESH_HEAD_BYTES;
        }
    }
    map->values = options->values;
    map->n_values = options->n_values;
    map->chunk = options->chunk;
    return 0;
}

static int map_begin(struct mesh_map *map, const char *function,
                     const struct mesh_map_options *options)
{
    static const struct mesh_map_options defaults;
    mesh *m = map->m;
    options = options != NULL ? options : &defaults;
    size_t in_all, out_all;
    if (__builtin_mul_overflow(map->n, map->in_bytes, &in_all) ||
        __builtin_mul_overflow(map->n, map->out_bytes, &out_all) ||
        (map->in == NULL && in_all > 0) || (map->out == NULL && out_all > 0)) {
        return MESH_EINVAL;
    }
    int r = mesh_needs_of(m, &options->call, true, &map->needs);
    r = r == 0 ? mesh_name_get(m, function, &map->function) : r;
    return r == 0 ? take_values(map, options) : r;
}

void mesh_map_kill(struct mesh_map *map, int error, const char *text)
{
    if (map->is_killed || map->n_left == 0) {
        return;
    }
    map->is_killed = true;
    map->error = error;
    map->i_error = SIZE_MAX;
    errmsg_set(&map->text, "%s", text);
}

static void free_pieces(struct list *pieces)
{
    while (!list_is_empty(pieces)) {
        piece_free(LIST_ENTRY(pieces->next, struct mesh_piece, node));
    }
}

void mesh_map_delete(struct mesh_map *map)
{
    mesh *m = map->m;
    mesh_map_kill(map, MESH_ECANCELLED, "freed before it was done");
    map->is_killed = true;
    while (!list_is_empty(&map->open)) {
        struct mesh_piece *piece = LIST_ENTRY(map->open.next, struct mesh_piece, node);
        mesh_finish(piece->future, MESH_ECANCELLED, NULL); /* frees the piece */
    }
    free_pieces(&map->redo);
    free_pieces(&map->arrived);
    for (uint32_t i = 0; i < map->n_refs; i++) {
        mesh_data_unref(map->refs[i]);
    }
    list_remove(&map->node);
    mesh_wake_waits(m);
    mem_free(map);
}

/* Asks how many cores there are, the first time. */
static void know_cores(mesh *m)
{
    if (m->cores_known == 0 && m->lost == 0) {
        struct mesh_request request = {.type = WIRE_MESSAGE_PEERS_QUERY};
        IGNORE(mesh_ask(m, &request)); /* then it is guessed */
    }
}

static struct mesh_map *map_new(mesh *m, const char *function, const void *in, size_t n,
                                size_t in_bytes, void *out, size_t out_bytes,
                                const struct mesh_map_options *options, bool is_array)
{
    struct mesh_map *map = mem_alloc(1, sizeof(*map));
    if (map == NULL) {
        return NULL;
    }
    map->m = m;
    map->in = in;
    map->out = out;
    map->n = map->n_left = n;
    map->in_bytes = in_bytes;
    map->out_bytes = out_bytes;
    map->is_array = is_array;
    map->i_error = SIZE_MAX;
    list_init(&map->open);
    list_init(&map->redo);
    list_init(&map->arrived);
    list_init(&map->ordered);
    mesh_lock(m);
    know_cores(m);
    int r = map_begin(map, function, options);
    if (m->lost != 0) {
        mesh_map_kill(map, m->lost, m->texts[m->i_text]);
    } else if (r < 0) {
        map->n_left += n == 0; /* so that it is told even so */
        mesh_map_kill(map, r, "the map's arguments make no sense");
    }
    list_push_back(&m->maps, &map->node);
    mesh_wake(m);
    mesh_unlock(m);
    return map;
}

mesh_map *mesh_map_start(mesh *m, const char *function, const void *in, size_t n, size_t in_bytes,
                         void *out, size_t out_bytes, const struct mesh_map_options *options)
{
    return m != NULL ? map_new(m, function, in, n, in_bytes, out, out_bytes, options, false) : NULL;
}

mesh_map *mesh_map_free(mesh_map *map)
{
    if (map != NULL) {
        mesh *m = map->m;
        mesh_lock(m);
        mesh_map_delete(map);
        mesh_unlock(m);
    }
    return NULL;
}

/* --- results -----------------------------------------------------------------------------------
 */

static bool is_map_over(struct mesh_wait *wait)
{
    const struct mesh_map *map = wait->what;
    return map->n_left == 0 || map->is_killed;
}

int mesh_map_array(mesh *m, const char *function, const void *in, size_t n, size_t in_bytes,
                   void *out, size_t out_bytes, const struct mesh_map_options *options)
{
    struct mesh_map *map =
        m != NULL ? map_new(m, function, in, n, in_bytes, out, out_bytes, options, true) : NULL;
    if (map == NULL) {
        return m == NULL ? MESH_EINVAL : MESH_ENOMEM;
    }
    mesh_lock(m);
    struct mesh_wait wait = {.is_over = is_map_over, .what = map};
    int r = mesh_wait_until(m, &wait, MESH_FOREVER);
    r = r == 0 ? map->error : r;
    if (r < 0) {
        mesh_set_error(m, r, "%s", map->error != 0 ? map->text.text : mesh_strerror(r));
    }
    mesh_map_delete(map);
    mesh_unlock(m);
    return r;
}

static bool is_arrived(struct mesh_wait *wait)
{
    const struct mesh_map *map = wait->what;
    return !list_is_empty(&map->arrived) || map->n_left == 0 || map->is_killed;
}

static bool is_ordered(struct mesh_wait *wait)
{
    const struct mesh_map *map = wait->what;
    struct list *first = list_first(&map->ordered);
    return (first != NULL &&
            LIST_ENTRY(first, struct mesh_piece, in_order)->first <= map->next_given) ||
           map->n_left == 0 || map->is_killed;
}

/* The next element of the piece. */
static int take_element(struct mesh_map *map, struct mesh_piece *piece, size_t *ret_i)
{
    int r = 0;
    *ret_i = piece->first + piece->n_taken++;
    map->next_given = *ret_i + 1;
    if (piece->i_failure < piece->n_failures && piece->failures[piece->i_failure].i == *ret_i) {
        const struct failure *failure = &piece->failures[piece->i_failure++];
        r = failure->error;
    }
    if (piece->n_taken == piece->n) {
        piece_free(piece);
    }
    return r;
}

static int map_next(struct mesh_map *map, double timeout, bool is_in_order, size_t *ret_i)
{
    mesh *m = map->m;
    mesh_lock(m);
    struct mesh_wait wait = {.is_over = is_in_order ? is_ordered : is_arrived, .what = map};
    int r = mesh_wait_until(m, &wait, timeout);
    struct list *first = list_first(is_in_order ? &map->ordered : &map->arrived);
    if (r == 0 && first != NULL && (!is_in_order || is_ordered(&wait))) {
        r = take_element(map,
                         is_in_order ? LIST_ENTRY(first, struct mesh_piece, in_order)
                                     : LIST_ENTRY(first, struct mesh_piece, node),
                         ret_i);
    } else if (r == 0) {
        r = map->is_killed ? map->error : MESH_ENONE;
    }
    mesh_unlock(m);
    return r;
}

int mesh_map_next(mesh_map *map, double timeout, size_t *ret_i)
{
    return map != NULL && ret_i != NULL ? map_next(map, timeout, false, ret_i) : MESH_EINVAL;
}

int mesh_map_next_in_order(mesh_map *map, double timeout, size_t *ret_i)
{
    return map != NULL && ret_i != NULL ? map_next(map, timeout, true, ret_i) : MESH_EINVAL;
}

const char *mesh_map_error_text(const mesh_map *map)
{
    if (map == NULL) {
        return "out of memory";
    }
    mesh_map *changing = (mesh_map *)(uintptr_t)map; /* only what it was told */
    mesh_lock(map->m);
    changing->told = map->text;
    mesh_unlock(map->m);
    return map->told.text;
}
