#include "tests/lib/message_fixture.h"

#include "wire/base/mem.h"
#include "wire/message_codec.h"

struct message_fixture fixture;

void fixture_set_up(void)
{
    arena_init(&fixture.arena, WIRE_ARENA_BYTES_MAX);
    arena_init(&fixture.decoded, WIRE_ARENA_BYTES_MAX);
    buf_init(&fixture.bytes, 4 * WIRE_BODY_BYTES_MAX);
}

void fixture_tear_down(void)
{
    mem_set_ops(NULL);
    arena_done(&fixture.arena);
    arena_done(&fixture.decoded);
    buf_done(&fixture.bytes);
}

void fixture_clear(uint32_t type)
{
    arena_clear(&fixture.arena);
    arena_clear(&fixture.decoded);
    buf_clear(&fixture.bytes);
    fixture.type = wire_message_name(type);
}

struct wire_message fixture_make(uint64_t seed, uint32_t type)
{
    struct wire_message message;
    arena_clear(&fixture.arena);
    random_message(&seed, type, RANDOM_SMALL, &fixture.arena, &message);
    return message;
}

void fixture_encode(const struct wire_message *message)
{
    buf_clear(&fixture.bytes);
    ck_assert_int_eq(wire_message_encode(message, &fixture.bytes), 0);
}

void fixture_from_hex(const char *hex)
{
    buf_clear(&fixture.bytes);
    unsigned digits = 0;
    unsigned v = 0;
    for (; *hex != '\0'; hex++) {
        if (*hex == ' ') {
            continue;
        }
        v = v << 4 | (unsigned)(*hex <= '9' ? *hex - '0' : *hex - 'a' + 10);
        if (++digits % 2 == 0) {
            buf_append_u8(&fixture.bytes, (uint8_t)v);
            v = 0;
        }
    }
    ck_assert_uint_eq(digits % 2, 0);
}

int fixture_pack(void *to, const char *p, size_t n)
{
    buf_append(to, p, n);
    return 0;
}
