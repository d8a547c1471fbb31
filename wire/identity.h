/* Who a peer is: an Ed25519 key pair, and the short id of its public half for people.
 *
 * The secret half lives in locked memory and is wiped by wire_identity_free(). Reading and writing
 * the key file is in identity_file.c, the only part of wire/ that touches a file. */
#ifndef MESH_WIRE_IDENTITY_H
#define MESH_WIRE_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/base/slice.h"
#include "wire/key.h"
#include "wire/message.h"

#define WIRE_SEED_BYTES      32
#define WIRE_SIGNATURE_BYTES 64

struct wire_identity;

/* Sets libsodium up; call once before anything else in wire/. 0 or -EIO. */
int wire_init(void) MUST_CHECK;

/* From a 32-byte seed; NULL when memory is short. */
struct wire_identity *wire_identity_new(const uint8_t seed[static WIRE_SEED_BYTES]) MUST_CHECK;
/* Wipes and frees; NULL is allowed. Returns NULL. */
struct wire_identity *wire_identity_free(struct wire_identity *identity);
const struct wire_key *wire_identity_key(const struct wire_identity *identity);
void wire_identity_sign(const struct wire_identity *identity, struct slice message,
                        uint8_t ret_signature[static WIRE_SIGNATURE_BYTES]);
bool wire_verify(const struct wire_key *key, struct slice message,
                 const uint8_t signature[static WIRE_SIGNATURE_BYTES]) MUST_CHECK;

/* Opens DIR_FD/key, creating it with mode 0600 from fresh random bytes when there is none: written
 * whole (temporary, fsync, rename). A file of another owner, of wider mode, or that is no key is
 * refused with one line in err. 0 or -errno. */
int wire_identity_load(int dir_fd, struct wire_identity **ret_identity,
                       struct errmsg *err) MUST_CHECK;

#endif
