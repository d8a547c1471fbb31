/* The bytes of a call's arguments or result: in memory while small, in a memory file once large, so
 * that they leave as a descriptor; and a view of what came, in memory or behind a descriptor. */
#ifndef MESH_CLIENT_BODY_H
#define MESH_CLIENT_BODY_H

#include <stdint.h>

#include "mesh/client/value.h"

/* Writes one array of items. */
struct mesh_writer {
    struct buf buf;   /* what is not in the file yet; all of it when there is no file */
    int fd;           /* -1: none yet. Owned */
    uint64_t written; /* of these in the file */
    uint32_t n_items;
    int error; /* sticky: -ENOMEM, -E2BIG, or another -errno of the file */
};

void mesh_writer_init(struct mesh_writer *writer);
void mesh_writer_done(struct mesh_writer *writer);

void mesh_writer_nil(struct mesh_writer *writer);
void mesh_writer_int(struct mesh_writer *writer, int64_t value);
void mesh_writer_double(struct mesh_writer *writer, double value);
void mesh_writer_string(struct mesh_writer *writer, struct slice text);
void mesh_writer_bytes(struct mesh_writer *writer, struct slice bytes);
void mesh_writer_ext(struct mesh_writer *writer, int type, struct slice bytes);
void mesh_writer_index(struct mesh_writer *writer, enum mesh_ext type, uint32_t index);
void mesh_writer_chunk(struct mesh_writer *writer, const struct mesh_chunk *chunk);
void mesh_writer_failure(struct mesh_writer *writer, uint32_t i, uint32_t status,
                         struct slice text);
/* One that was read, but an ext. */
void mesh_writer_item(struct mesh_writer *writer, const struct mesh_item *item);
/* An item that is encoded already. */
void mesh_writer_copy(struct mesh_writer *writer, struct slice item);
/* Takes over a file whose first items_end bytes are MESH_SPACE_AT bytes of room and one item's
 * bytes, the first item of this empty writer: what mesh_return_space() gave. */
void mesh_writer_space(struct mesh_writer *writer, int fd, uint32_t n_bytes);
#define MESH_SPACE_AT 64u

struct mesh_body {
    const uint8_t *p;
    uint64_t n;
    int fd;         /* its file; -1: it is in memory. Owned */
    bool is_mapped; /* p is a mapping of it; else p is on the heap, or NULL. Owned */
};

/* Ends the writing. A body of up to inline_max bytes is in memory, a larger one in a file that
 * nobody can change any more. 0 or the writer's error; the writer is done in either case. */
int mesh_writer_finish(struct mesh_writer *writer, size_t inline_max,
                       struct mesh_body *ret_body) MUST_CHECK;

void mesh_body_init(struct mesh_body *body);
void mesh_body_done(struct mesh_body *body);
/* The first n_bytes of a file, which is taken: mapped and closed, for there are fewer descriptors
 * than mappings; where it cannot be mapped now, mesh_body_map() tells. */
struct mesh_body mesh_body_of_file(int fd, uint64_t n_bytes);
/* Maps what is in a file only. 0, or -errno: the file is shorter than it should be (-EPROTO), or
 * memory is short. */
int mesh_body_map(struct mesh_body *body) MUST_CHECK;
struct slice mesh_body_slice(const struct mesh_body *body);

/* All of p to the file, at that place. 0 or -errno. */
int mesh_write_at(int fd, const void *p, size_t n_bytes, uint64_t at) MUST_CHECK;

#endif
