#include "mesh/client/body.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/base/mem.h"

/* Items from here on go to the file without a copy in between. Not less than what travels inline:
 * what is in a file then never does. */
#define DIRECT_BYTES (64u << 10)
#define BUF_BYTES    (256u << 10)
#define SEALS        (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int mesh_write_at(int fd, const void *p, size_t n_bytes, uint64_t at)
{
    const uint8_t *from = p;
    while (n_bytes > 0) {
        ssize_t n = pwrite(fd, from, n_bytes, (off_t)at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 && errno != ENOSPC ? -errno : -ENOMEM; /* a file in memory */
        }
        from += n;
        n_bytes -= (size_t)n;
        at += (uint64_t)n;
    }
    return 0;
}

/* --- writing -----------------------------------------------------------------------------------
 */

void mesh_writer_init(struct mesh_writer *writer)
{
    static const uint8_t head[MESH_ARRAY_BYTES];
    *writer = (struct mesh_writer){.fd = -1};
    buf_init(&writer->buf, BUF_BYTES);
    buf_append(&writer->buf, head, sizeof(head)); /* written when the number of items is known */
}

void mesh_writer_done(struct mesh_writer *writer)
{
    buf_done(&writer->buf);
    if (writer->fd >= 0) {
        close(writer->fd);
    }
    writer->fd = -1;
}

static int open_file(void)
{
    int fd = memfd_create("mesh-call", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd >= 0 ? fd : -errno;
}

/* Moves what is in the buffer to the file, which is made when there is none. */
static void spill(struct mesh_writer *writer)
{
    if (writer->error != 0) {
        return;
    }
    if (writer->fd < 0) {
        writer->fd = open_file();
        if (writer->fd < 0) {
            writer->error = writer->fd;
            return;
        }
    }
    writer->error = mesh_write_at(writer->fd, writer->buf.p, writer->buf.n, writer->written);
    writer->written += writer->buf.n;
    buf_clear(&writer->buf);
}

static void put_bytes(struct mesh_writer *writer, struct slice bytes)
{
    if (bytes.n < DIRECT_BYTES) {
        if (bytes.n > writer->buf.bytes_max - writer->buf.n) {
            spill(writer);
        }
        buf_append_slice(&writer->buf, bytes);
        return;
    }
    spill(writer);
    if (writer->error == 0) {
        writer->error = mesh_write_at(writer->fd, bytes.p, bytes.n, writer->written);
        writer->written += bytes.n;
    }
}

/* Begins an item with a head of so many bytes: makes room, and pads. */
static void begin(struct mesh_writer *writer, unsigned head_bytes, size_t n_bytes)
{
    if (writer->buf.bytes_max - writer->buf.n < 2 * MESH_HEAD_BYTES + MESH_ALIGN) {
        spill(writer);
    }
    if (n_bytes > UINT32_MAX && writer->error == 0) {
        writer->error = -E2BIG;
    }
    if (n_bytes >= MESH_ALIGNED_BYTES &&
        mesh_pack_pad(&writer->buf, writer->written + writer->buf.n, head_bytes)) {
        writer->n_items++;
    }
    writer->n_items++;
}

static unsigned length_bytes(size_t n_bytes)
{
    return n_bytes <= UINT8_MAX ? 1 : n_bytes <= UINT16_MAX ? 2 : 4;
}

void mesh_writer_nil(struct mesh_writer *writer)
{
    begin(writer, 1, 0);
    mesh_pack_nil(&writer->buf);
}

void mesh_writer_int(struct mesh_writer *writer, int64_t value)
{
    begin(writer, 1, 0);
    mesh_pack_int(&writer->buf, value);
}

void mesh_writer_double(struct mesh_writer *writer, double value)
{
    begin(writer, 1, 0);
    mesh_pack_double(&writer->buf, value);
}

void mesh_writer_string(struct mesh_writer *writer, struct slice text)
{
    begin(writer, 1 + length_bytes(text.n), text.n);
    mesh_pack_str_head(&writer->buf, (uint32_t)text.n);
    put_bytes(writer, text);
}

void mesh_writer_bytes(struct mesh_writer *writer, struct slice bytes)
{
    begin(writer, 1 + length_bytes(bytes.n), bytes.n);
    mesh_pack_bin_head(&writer->buf, (uint32_t)bytes.n);
    put_bytes(writer, bytes);
}

void mesh_writer_ext(struct mesh_writer *writer, int type, struct slice bytes)
{
    begin(writer, 2 + length_bytes(bytes.n), bytes.n);
    mesh_pack_ext_head(&writer->buf, type, (uint32_t)bytes.n);
    put_bytes(writer, bytes);
}

void mesh_writer_index(struct mesh_writer *writer, enum mesh_ext type, uint32_t index)
{
    begin(writer, 3, 0);
    mesh_pack_ext_head(&writer->buf, (int)type, 4);
    mesh_pack_u32(&writer->buf, index);
}

void mesh_writer_chunk(struct mesh_writer *writer, const struct mesh_chunk *chunk)
{
    begin(writer, 3, 0);
    mesh_pack_ext_head(&writer->buf, MESH_EXT_CHUNK, 24);
    mesh_pack_u64(&writer->buf, chunk->n);
    mesh_pack_u64(&writer->buf, chunk->in_bytes);
    mesh_pack_u64(&writer->buf, chunk->out_bytes);
}

void mesh_writer_failure(struct mesh_writer *writer, uint32_t i, uint32_t status, struct slice text)
{
    begin(writer, 4, 0);
    mesh_pack_ext_head(&writer->buf, MESH_EXT_FAILURE, (uint32_t)(8 + text.n));
    mesh_pack_u32(&writer->buf, i);
    mesh_pack_u32(&writer->buf, status);
    put_bytes(writer, text);
}

void mesh_writer_item(struct mesh_writer *writer, const struct mesh_item *item)
{
    switch (item->kind) {
    case MESH_ITEM_INT:
        mesh_writer_int(writer, item->integer);
        return;
    case MESH_ITEM_DOUBLE:
        mesh_writer_double(writer, item->real);
        return;
    case MESH_ITEM_STRING:
        mesh_writer_string(writer, item->bytes);
        return;
    case MESH_ITEM_BYTES:
        mesh_writer_bytes(writer, item->bytes);
        return;
    case MESH_ITEM_NIL:
    case MESH_ITEM_EXT:
        mesh_writer_nil(writer);
        return;
    }
    ensure(!"reached");
}

void mesh_writer_copy(struct mesh_writer *writer, struct slice item)
{
    begin(writer, 0, 0);
    put_bytes(writer, item);
}

void mesh_writer_space(struct mesh_writer *writer, int fd, uint32_t n_bytes)
{
    /* Array, padding, head of a bin: together MESH_SPACE_AT bytes. */
    static const uint8_t zeros[MESH_SPACE_AT];
    struct buf head;
    buf_init(&head, MESH_SPACE_AT);
    unsigned bin_bytes = 1 + length_bytes(n_bytes);
    unsigned pad = MESH_SPACE_AT - MESH_ARRAY_BYTES - 3 - bin_bytes;
    buf_append(&head, zeros, MESH_ARRAY_BYTES);
    mesh_pack_ext_head(&head, MESH_EXT_PAD, pad);
    buf_append(&head, zeros, pad);
    mesh_pack_bin_head(&head, n_bytes);
    writer->error = buf_error(&head) < 0 ? buf_error(&head) : mesh_write_at(fd, head.p, head.n, 0);
    buf_done(&head);
    buf_clear(&writer->buf);
    writer->fd = fd;
    writer->written = MESH_SPACE_AT + (uint64_t)n_bytes;
    writer->n_items = 2;
}

/* What was written so far is on the heap. */
static int finish_small(struct mesh_writer *writer, struct mesh_body *ret_body)
{
    uint8_t *p = mem_dup(writer->buf.p, writer->buf.n);
    if (p == NULL) {
        return -ENOMEM;
    }
    mesh_put_array(p, writer->n_items);
    *ret_body = (struct mesh_body){.p = p, .n = writer->buf.n, .fd = -1};
    return 0;
}

static int finish_large(struct mesh_writer *writer, struct mesh_body *ret_body)
{
    uint8_t head[MESH_ARRAY_BYTES];
    mesh_put_array(head, writer->n_items);
    spill(writer);
    if (writer->error == 0) {
        writer->error = mesh_write_at(writer->fd, head, sizeof(head), 0);
    }
    if (writer->error == 0 && fcntl(writer->fd, F_ADD_SEALS, SEALS) < 0) {
        writer->error = -errno;
    }
    if (writer->error != 0) {
        return writer->error;
    }
    *ret_body = (struct mesh_body){.n = writer->written, .fd = writer->fd};
    writer->fd = -1;
    return 0;
}

int mesh_writer_finish(struct mesh_writer *writer, size_t inline_max, struct mesh_body *ret_body)
{
    int r = writer->error != 0 ? writer->error : buf_error(&writer->buf);
    if (r == -ENOBUFS) {
        r = -E2BIG;
    }
    if (r == 0 && writer->fd < 0 && writer->buf.n <= inline_max) {
        r = finish_small(writer, ret_body);
    } else if (r == 0) {
        r = finish_large(writer, ret_body);
    }
    mesh_writer_done(writer);
    return r;
}

/* --- what came ---------------------------------------------------------------------------------
 */

void mesh_body_init(struct mesh_body *body)
{
    *body = (struct mesh_body){.fd = -1};
}

void mesh_body_done(struct mesh_body *body)
{
    if (body->is_mapped) {
        IGNORE(munmap((void *)(uintptr_t)body->p, (size_t)body->n)); /* it is a mapping */
    } else {
        mem_free((void *)(uintptr_t)body->p);
    }
    if (body->fd >= 0) {
        close(body->fd);
    }
    mesh_body_init(body);
}

int mesh_body_map(struct mesh_body *body)
{
    struct stat st;
    if (body->fd < 0 || body->is_mapped) {
        return 0;
    }
    if (fstat(body->fd, &st) < 0) {
        return -errno;
    }
    if (st.st_size < 0 || (uint64_t)st.st_size < body->n || body->n == 0 || body->n > SIZE_MAX) {
        return -EPROTO;
    }
    void *p = mmap(NULL, (size_t)body->n, PROT_READ, MAP_PRIVATE, body->fd, 0);
    if (p == MAP_FAILED) {
        return -errno;
    }
    body->p = p;
    body->is_mapped = true;
    return 0;
}

struct mesh_body mesh_body_of_file(int fd, uint64_t n_bytes)
{
    struct mesh_body body = {.n = n_bytes, .fd = fd};
    if (mesh_body_map(&body) == 0) {
        close(fd);
        body.fd = -1;
    }
    return body;
}

struct slice mesh_body_slice(const struct mesh_body *body)
{
    return slice_of(body->p, (size_t)body->n);
}
