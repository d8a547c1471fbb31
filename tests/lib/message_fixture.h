/* What the tests of the message codec share: arenas, a buffer, and tests run for every type. */
#ifndef MESH_TESTS_MESSAGE_FIXTURE_H
#define MESH_TESTS_MESSAGE_FIXTURE_H

#include "tests/lib/random_message.h"
#include "tests/lib/runner.h"
#include "wire/base/arena.h"
#include "wire/base/buf.h"
#include "wire/base/errmsg.h"
#include "wire/message.h"

struct message_fixture {
    struct arena arena;   /* of made messages */
    struct arena decoded; /* of decoded ones */
    struct buf bytes;
    struct errmsg err;
    const char *type; /* the name of the type under test, to be seen in a debugger */
};
extern struct message_fixture fixture;

/* For tcase_add_checked_fixture(); also restores the allocator. */
void fixture_set_up(void);
void fixture_tear_down(void);
/* Empties the arenas and the buffer, which keep their memory. */
void fixture_clear(uint32_t type);

/* The small message of this type and seed, in the fixture's arena, which is cleared. */
struct wire_message fixture_make(uint64_t seed, uint32_t type);
/* The message, or the hexadecimal digits, become the fixture's bytes. */
void fixture_encode(const struct wire_message *message);
void fixture_from_hex(const char *hex);
/* A sink for msgpack-c: `to` is a struct buf. */
int fixture_pack(void *to, const char *p, size_t n);

/* A task's attempt and its bytes. */
#define ID                                                                                         \
    {                                                                                              \
        .job = 258, .task = 3, .incarnation = 70000, .number = 1                                   \
    }
#define KEY_HEX    "c420 0101010101010101010101010101010101010101010101010101010101010101 "
#define NO_KEY_HEX "c420 0000000000000000000000000000000000000000000000000000000000000000 "
#define ID_HEX     "94 cd0102 03 ce00011170 01 "

/* A test whose body is run for each `type`, all in one process: a fork for each is slow under the
 * sanitizers. */
#define TEST_OF_EACH_TYPE(name)                                                                    \
    static void name##_of(uint32_t type);                                                          \
    START_TEST(name)                                                                               \
    {                                                                                              \
        for (size_t i = 0; i < random_n_types(); i++) {                                            \
            fixture_clear(random_type(i));                                                         \
            name##_of(random_type(i));                                                             \
        }                                                                                          \
    }                                                                                              \
    END_TEST                                                                                       \
    static void name##_of(uint32_t type)

#endif
