/* libsodium, made repeatable. Its randomness comes from the seed. In the fast mode the arithmetic
 * on curves is stood in for by a few multiplications: sessions, seals and signatures are made and
 * checked at the same places, only what they cost and what they withstand is less. The linker puts
 * the __wrap functions in the place of libsodium's (see meson.build). */
#include <sodium.h>

#include "tests/sim/sim_internal.h"
#include "wire/base/mem.h"

static struct dice dice;
static bool is_fast;

static const char *random_name(void)
{
    return "seeded";
}

static uint32_t random_u32(void)
{
    return (uint32_t)dice_next(&dice);
}

static void random_buf(void *const to, const size_t n)
{
    uint8_t *bytes = to;
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)dice_next(&dice);
    }
}

static struct randombytes_implementation seeded = {
    .implementation_name = random_name,
    .random = random_u32,
    .buf = random_buf,
};

void crypto_seed(uint64_t seed, bool fast)
{
    static bool is_ready;
    if (!is_ready) {
        is_ready = true;
        int r = randombytes_set_implementation(&seeded);
        ensure(r == 0);
        r = wire_init();
        ensure(r == 0);
    }
    dice.state = dice_mix(seed + 0xc0de);
    is_fast = fast;
}

/* --- stand-ins ---------------------------------------------------------------------------------
 */

int __real_crypto_sign_detached(unsigned char *sig, unsigned long long *ret_n,
                                const unsigned char *m, unsigned long long n,
                                const unsigned char *sk);
int __wrap_crypto_sign_detached(unsigned char *sig, unsigned long long *ret_n,
                                const unsigned char *m, unsigned long long n,
                                const unsigned char *sk);
int __real_crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *m,
                                       unsigned long long n, const unsigned char *pk);
int __wrap_crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *m,
                                       unsigned long long n, const unsigned char *pk);
int __real_crypto_scalarmult(unsigned char *q, const unsigned char *n, const unsigned char *p);
int __wrap_crypto_scalarmult(unsigned char *q, const unsigned char *n, const unsigned char *p);
int __real_crypto_scalarmult_base(unsigned char *q, const unsigned char *n);
int __wrap_crypto_scalarmult_base(unsigned char *q, const unsigned char *n);
void *__real_sodium_malloc(size_t n);
void *__wrap_sodium_malloc(size_t n);
void __real_sodium_free(void *p);
void __wrap_sodium_free(void *p);

/* Of the message and the public key: who does not hold the key could make it, too, but nobody in
 * the simulator tries. */
static uint64_t seal_of(const unsigned char *m, unsigned long long n, const unsigned char *pk)
{
    uint64_t x = 0;
    memcpy(&x, pk, sizeof(x));
    for (unsigned long long i = 0; i < n; i += sizeof(x)) {
        uint64_t word = 0;
        memcpy(&word, m + i, n - i < sizeof(word) ? (size_t)(n - i) : sizeof(word));
        x = (x ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        x ^= x >> 29;
    }
    return dice_mix(x);
}

int __wrap_crypto_sign_detached(unsigned char *sig, unsigned long long *ret_n,
                                const unsigned char *m, unsigned long long n,
                                const unsigned char *sk)
{
    if (!is_fast) {
        return __real_crypto_sign_detached(sig, ret_n, m, n, sk);
    }
    uint64_t seal = seal_of(m, n, sk + crypto_sign_SEEDBYTES);
    memset(sig, 0, crypto_sign_BYTES);
    memcpy(sig, &seal, sizeof(seal));
    if (ret_n != NULL) {
        *ret_n = crypto_sign_BYTES;
    }
    return 0;
}

int __wrap_crypto_sign_verify_detached(const unsigned char *sig, const unsigned char *m,
                                       unsigned long long n, const unsigned char *pk)
{
    if (!is_fast) {
        return __real_crypto_sign_verify_detached(sig, m, n, pk);
    }
    uint64_t seal = seal_of(m, n, pk);
    return memcmp(sig, &seal, sizeof(seal)) == 0 ? 0 : -1;
}

/* base(n) is n behind a mask, and n * base(m) is n xor m, mixed: the same from both ends. */
int __wrap_crypto_scalarmult_base(unsigned char *q, const unsigned char *n)
{
    if (!is_fast) {
        return __real_crypto_scalarmult_base(q, n);
    }
    for (unsigned i = 0; i < crypto_scalarmult_BYTES; i++) {
        q[i] = n[i] ^ 0x5a;
    }
    return 0;
}

int __wrap_crypto_scalarmult(unsigned char *q, const unsigned char *n, const unsigned char *p)
{
    if (!is_fast) {
        return __real_crypto_scalarmult(q, n, p);
    }
    for (unsigned i = 0; i < crypto_scalarmult_BYTES; i++) {
        q[i] = (unsigned char)((n[i] ^ p[i] ^ 0x5a) * 31 + 7);
    }
    return 0;
}

/* What is signed is a hash: it goes the way of the signature. The state's first words stand for all
 * of it. */
int __real_crypto_generichash_init(crypto_generichash_state *state, const unsigned char *key,
                                   size_t n_key, size_t n_out);
int __wrap_crypto_generichash_init(crypto_generichash_state *state, const unsigned char *key,
                                   size_t n_key, size_t n_out);
int __real_crypto_generichash_update(crypto_generichash_state *state, const unsigned char *in,
                                     unsigned long long n);
int __wrap_crypto_generichash_update(crypto_generichash_state *state, const unsigned char *in,
                                     unsigned long long n);
int __real_crypto_generichash_final(crypto_generichash_state *state, unsigned char *out, size_t n);
int __wrap_crypto_generichash_final(crypto_generichash_state *state, unsigned char *out, size_t n);

static void absorb(crypto_generichash_state *state, const unsigned char *in, unsigned long long n)
{
    uint64_t x;
    memcpy(&x, state, sizeof(x));
    for (unsigned long long i = 0; i < n; i += sizeof(x)) {
        uint64_t word = 0;
        memcpy(&word, in + i, n - i < sizeof(word) ? (size_t)(n - i) : sizeof(word));
        x = (x ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        x ^= x >> 29;
    }
    x = dice_mix(x + n);
    memcpy(state, &x, sizeof(x));
}

int __wrap_crypto_generichash_init(crypto_generichash_state *state, const unsigned char *key,
                                   size_t n_key, size_t n_out)
{
    if (!is_fast) {
        return __real_crypto_generichash_init(state, key, n_key, n_out);
    }
    uint64_t start = n_out;
    memcpy(state, &start, sizeof(start));
    absorb(state, key, key != NULL ? n_key : 0);
    return 0;
}

int __wrap_crypto_generichash_update(crypto_generichash_state *state, const unsigned char *in,
                                     unsigned long long n)
{
    if (!is_fast) {
        return __real_crypto_generichash_update(state, in, n);
    }
    absorb(state, in, n);
    return 0;
}

int __wrap_crypto_generichash_final(crypto_generichash_state *state, unsigned char *out, size_t n)
{
    if (!is_fast) {
        return __real_crypto_generichash_final(state, out, n);
    }
    struct dice words;
    memcpy(&words.state, state, sizeof(words.state));
    for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
        uint64_t word = dice_next(&words);
        memcpy(out + i, &word, n - i < sizeof(word) ? n - i : sizeof(word));
    }
    return 0;
}

/* Guard pages and locked memory cost system calls: nobody is to be kept out here. */
void *__wrap_sodium_malloc(size_t n)
{
    return is_fast ? mem_alloc(1, n) : __real_sodium_malloc(n);
}

void __wrap_sodium_free(void *p)
{
    if (is_fast) {
        mem_free(p);
    } else {
        __real_sodium_free(p);
    }
}
