#include "wire/pack.h"

#include <msgpack/pack.h>

/* msgpack-c's sink. The buffer remembers what went wrong, so the packer is told that all is well.
 */
static int append(void *to, const char *p, size_t n)
{
    buf_append(to, p, n);
    return 0;
}

static msgpack_packer packer_onto(struct buf *to)
{
    return (msgpack_packer){.data = to, .callback = append};
}

void wire_pack_array(struct buf *to, uint32_t n)
{
    msgpack_packer packer = packer_onto(to);
    IGNORE(msgpack_pack_array(&packer, n)); /* append() never fails; the same below */
}

void wire_pack_uint(struct buf *to, uint64_t v)
{
    msgpack_packer packer = packer_onto(to);
    IGNORE(msgpack_pack_uint64(&packer, v));
}

void wire_pack_bool(struct buf *to, bool v)
{
    msgpack_packer packer = packer_onto(to);
    IGNORE(v ? msgpack_pack_true(&packer) : msgpack_pack_false(&packer));
}

void wire_pack_str(struct buf *to, struct slice s)
{
    msgpack_packer packer = packer_onto(to);
    IGNORE(msgpack_pack_str(&packer, s.n));
    buf_append_slice(to, s);
}

void wire_pack_bin(struct buf *to, struct slice s)
{
    msgpack_packer packer = packer_onto(to);
    IGNORE(msgpack_pack_bin(&packer, s.n));
    buf_append_slice(to, s);
}
