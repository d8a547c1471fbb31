/* Both sides draw an ephemeral key; each sends a hello signed by its identity; from the two hellos
 * come the session id and, through X25519 and the mesh secret, the keys; each then proves under its
 * key that it signs for this very session.
 *
 *     initiator                             responder
 *     hello                           ->
 *                                     <-    hello, proof
 *     proof, messages                 ->
 *                                     <-    messages
 *
 * Whatever does not fit the table below, or does not check, ends in FAILED; there is no way back.
 * The responder signs before the initiator proved anything: what that costs is bounded by the
 * owner's caps on connections. */
#include "wire/handshake.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>

#include "wire/base/text.h"
#include "wire/pack.h"
#include "wire/unpack.h"

static_assert(crypto_scalarmult_BYTES == 32, "X25519");
static_assert(crypto_generichash_KEYBYTES == WIRE_SECRET_BYTES, "the mesh secret is a BLAKE2b key");

#define HEAD_BYTES         (WIRE_MAGIC_BYTES + 1u) /* magic and kind */
#define NONCE_BYTES        32u
#define HELLO_FIELDS       14u
#define HELLO_FIELDS_MAX   256u
#define PROOF_SEALED_BYTES (WIRE_SIGNATURE_BYTES + WIRE_SEAL_BYTES)

struct report {
    enum wire_reason *reterr_reason;
    struct errmsg *err;
};

#define REFUSE(report, why, ...)                                                                   \
    (errmsg_set((report)->err, __VA_ARGS__), *(report)->reterr_reason = (why), -EPROTO)

static const char *state_text(enum wire_handshake_state state)
{
    switch (state) {
#define X(name, value, text)                                                                       \
    case WIRE_HANDSHAKE_##name:                                                                    \
        return text;
        WIRE_HANDSHAKE_STATES(X)
#undef X
    }
    ensure(!"reached");
    return NULL;
}

static const char *kind_text(enum wire_handshake_kind kind)
{
    switch (kind) {
#define X(name, value, text)                                                                       \
    case WIRE_HANDSHAKE_##name:                                                                    \
        return text;
        WIRE_HANDSHAKE_KINDS(X)
#undef X
    }
    ensure(!"reached");
    return NULL;
}

static enum wire_role other(enum wire_role role)
{
    return role == WIRE_ROLE_INITIATOR ? WIRE_ROLE_RESPONDER : WIRE_ROLE_INITIATOR;
}

/* --- frames in clear --- */

/* Prefix, magic and kind of a frame with n_bytes behind them. */
static void append_head(struct buf *to, enum wire_handshake_kind kind, size_t n_bytes)
{
    uint8_t head[WIRE_PREFIX_BYTES + HEAD_BYTES];
    wire_put_u32(head, (uint32_t)(HEAD_BYTES + n_bytes));
    memcpy(head + WIRE_PREFIX_BYTES, WIRE_MAGIC, WIRE_MAGIC_BYTES);
    head[WIRE_PREFIX_BYTES + WIRE_MAGIC_BYTES] = (uint8_t)kind;
    buf_append(to, head, sizeof(head));
}

int wire_handshake_peek(struct slice from, struct slice *ret_frame, enum wire_reason *reterr_reason)
{
    int r = wire_frame_peek(from, WIRE_HELLO_BYTES_MAX, ret_frame);
    if (r < 0) {
        *reterr_reason = WIRE_REASON_LIMIT;
        return r;
    }
    struct slice magic = r == 1 ? *ret_frame : slice_of(NULL, 0);
    if (r == 0 && from.n > WIRE_PREFIX_BYTES) {
        magic = slice_from(from, WIRE_PREFIX_BYTES);
    }
    size_t n = magic.n < WIRE_MAGIC_BYTES ? magic.n : WIRE_MAGIC_BYTES;
    if ((n > 0 && memcmp(magic.p, WIRE_MAGIC, n) != 0) || (r == 1 && magic.n < HEAD_BYTES)) {
        *reterr_reason = WIRE_REASON_PROTOCOL;
        return -EPROTO;
    }
    return r;
}

void wire_handshake_refuse(struct buf *out, enum wire_reason reason, struct slice text)
{
    ensure(text.n <= WIRE_REASON_BYTES_MAX);
    uint8_t bytes[WIRE_REASON_BYTES_MAX + 16];
    struct buf body = {.p = bytes, .cap = sizeof(bytes), .bytes_max = sizeof(bytes)};
    wire_pack_array(&body, 2);
    wire_pack_uint(&body, reason);
    wire_pack_str(&body, text);
    ensure(buf_error(&body) == 0);
    append_head(out, WIRE_HANDSHAKE_REFUSAL, body.n);
    buf_append_slice(out, buf_slice(&body));
}

/* --- what is hashed --- */

static void hash_start(crypto_generichash_state *state, const uint8_t *key, const char *label)
{
    int r = crypto_generichash_init(state, key, key != NULL ? WIRE_SECRET_BYTES : 0, 32);
    ensure(r == 0);
    IGNORE(crypto_generichash_update(state, (const uint8_t *)label, strlen(label) + 1));
}

static void hash_role(crypto_generichash_state *state, enum wire_role role)
{
    uint8_t byte = (uint8_t)role;
    IGNORE(crypto_generichash_update(state, &byte, 1));
}

static void hash_bytes(crypto_generichash_state *state, const void *p, size_t n)
{
    IGNORE(crypto_generichash_update(state, p, n));
}

static void hash_end(crypto_generichash_state *state, uint8_t ret_hash[static 32])
{
    IGNORE(crypto_generichash_final(state, ret_hash, 32));
    sodium_memzero(state, sizeof(*state));
}

static void hello_digest(enum wire_role sender, struct slice body, uint8_t ret_digest[static 32])
{
    crypto_generichash_state state;
    hash_start(&state, NULL, WIRE_LABEL_HELLO);
    hash_role(&state, sender);
    hash_bytes(&state, body.p, body.n);
    hash_end(&state, ret_digest);
}

static void proof_digest(enum wire_role sender, const uint8_t *session_id,
                         uint8_t ret_digest[static 32])
{
    crypto_generichash_state state;
    hash_start(&state, NULL, WIRE_LABEL_PROOF);
    hash_role(&state, sender);
    hash_bytes(&state, session_id, WIRE_SESSION_ID_BYTES);
    hash_end(&state, ret_digest);
}

/* --- our hello --- */

/* The tag is left zero; returns where it stands behind the beginning of the body. */
static size_t pack_hello(struct buf *to, const struct wire_hello *hello, const struct wire_key *key,
                         struct slice ephemeral, struct slice nonce)
{
    static const uint8_t no_tag[WIRE_TAG_BYTES];
    size_t body_at = to->n;
    wire_pack_array(to, HELLO_FIELDS);
    wire_pack_uint(to, hello->version_min);
    wire_pack_uint(to, hello->version_max);
    wire_pack_bin(to, slice_of(key->b, sizeof(key->b)));
    wire_pack_uint(to, hello->epoch);
    wire_pack_uint(to, hello->incarnation);
    wire_pack_bin(to, ephemeral);
    wire_pack_bin(to, nonce);
    wire_pack_bin(to, slice_of(no_tag, sizeof(no_tag)));
    size_t tag_at = to->n - sizeof(no_tag) - body_at;
    wire_pack_uint(to, hello->cores);
    wire_pack_uint(to, hello->port);
    wire_pack_str(to, hello->name);
    wire_pack_str(to, hello->arch);
    wire_pack_str(to, hello->os);
    wire_pack_str(to, hello->program);
    return tag_at;
}

/* What we say of ourselves keeps to what we would accept. */
static void ensure_hello(const struct wire_hello *hello)
{
    ensure(hello->version_min >= 1);
    ensure(hello->version_min <= hello->version_max);
    ensure(hello->cores <= WIRE_CORES_MAX);
    ensure(hello->port <= UINT16_MAX);
    ensure(hello->name.n <= WIRE_NAME_BYTES_MAX);
    ensure(hello->arch.n <= WIRE_ARCH_BYTES_MAX);
    ensure(hello->os.n <= WIRE_OS_BYTES_MAX);
    ensure(hello->program.n <= WIRE_VERSION_BYTES_MAX);
    ensure(text_is_utf8(hello->name));
    ensure(text_is_utf8(hello->arch));
    ensure(text_is_utf8(hello->os));
    ensure(text_is_utf8(hello->program));
}

/* Where the signature stands in the frame of our hello, and the body behind it. */
#define HELLO_SIGNATURE_AT (WIRE_PREFIX_BYTES + HEAD_BYTES)
#define HELLO_BODY_AT      (HELLO_SIGNATURE_AT + WIRE_SIGNATURE_BYTES)

/* All of it but the tag and, for that, the signature. */
static int build_hello(struct wire_handshake *handshake, const struct wire_session_config *config)
{
    ensure_hello(&config->hello);
    uint8_t ephemeral[32];
    IGNORE(crypto_scalarmult_base(ephemeral, handshake->secrets->ephemeral)); /* only computes */
    struct buf body;
    buf_init(&body, WIRE_HELLO_BYTES_MAX - HEAD_BYTES - WIRE_SIGNATURE_BYTES);
    handshake->hello_tag_at =
        HELLO_BODY_AT + pack_hello(&body, &config->hello, wire_identity_key(config->identity),
                                   slice_of(ephemeral, sizeof(ephemeral)),
                                   slice_of(config->random + 32, NONCE_BYTES));
    int r = buf_error(&body);
    ensure(r != -ENOBUFS);
    if (r == 0) {
        static const uint8_t unsigned_yet[WIRE_SIGNATURE_BYTES];
        struct buf *to = &handshake->hello_ours;
        append_head(to, WIRE_HANDSHAKE_HELLO, sizeof(unsigned_yet) + body.n);
        buf_append(to, unsigned_yet, sizeof(unsigned_yet));
        buf_append_slice(to, buf_slice(&body));
        r = buf_error(to);
    }
    buf_done(&body);
    return r;
}

/* The secret is chosen: our hello says its tag. */
static void choose(struct wire_handshake *handshake, const struct wire_door_answer *answer)
{
    handshake->door_kind = answer->kind;
    handshake->secrets->mesh = answer->found->secret;
    if (answer->token != NULL) {
        handshake->secrets->token = *answer->token;
    }
    memcpy(handshake->tag, answer->found->tag, WIRE_TAG_BYTES);
    uint8_t *hello = handshake->hello_ours.p;
    memcpy(hello + handshake->hello_tag_at, handshake->tag, WIRE_TAG_BYTES);
    uint8_t digest[32];
    hello_digest(handshake->role, slice_from(buf_slice(&handshake->hello_ours), HELLO_BODY_AT),
                 digest);
    wire_identity_sign(handshake->identity, slice_of(digest, sizeof(digest)),
                       hello + HELLO_SIGNATURE_AT);
}

/* What an initiator proves is its owner's choice. */
static void choose_first(struct wire_handshake *handshake, const struct wire_session_config *config)
{
    const struct wire_door *door = config->door;
    struct wire_door_answer answer = {door->is_locked ? WIRE_DOOR_PRESENT : WIRE_DOOR_OPEN,
                                      &door->present, NULL};
    struct wire_door_secret made = {.tag = {0}};
    if (config->invitation != NULL) {
        ensure(config->peer != NULL); /* it is its maker's, and proves nobody else */
        wire_invitation_secret(config->invitation, &made.secret);
        wire_mesh_tag(&made.secret, made.tag);
        answer = (struct wire_door_answer){WIRE_DOOR_INVITATION, &made, config->invitation};
    } else if (config->older > 0) {
        ensure(config->older <= door->n_older);
        answer = (struct wire_door_answer){WIRE_DOOR_OLDER, &door->older[config->older - 1], NULL};
    }
    choose(handshake, &answer);
    sodium_memzero(&made, sizeof(made));
}

int wire_handshake_init(struct wire_handshake *handshake, const struct wire_session_config *config,
                        struct buf *out)
{
    *handshake = (struct wire_handshake){
        .role = config->is_initiator ? WIRE_ROLE_INITIATOR : WIRE_ROLE_RESPONDER,
        .identity = config->identity,
        .door = config->door,
        .has_expected = config->peer != NULL,
        .version_min = config->hello.version_min,
        .version_max = config->hello.version_max,
    };
    ensure(config->door != NULL);
    ensure(config->is_initiator ||
           (config->older == 0 && config->invitation == NULL && config->peer == NULL));
    memcpy(handshake->first_tag, config->door->present.tag, WIRE_TAG_BYTES);
    if (config->peer != NULL) {
        handshake->expected = *config->peer;
    }
    buf_init(&handshake->hello_ours, WIRE_PREFIX_BYTES + WIRE_HELLO_BYTES_MAX);
    buf_init(&handshake->hello_peer, WIRE_PREFIX_BYTES + WIRE_HELLO_BYTES_MAX);
    handshake->secrets = sodium_malloc(sizeof(*handshake->secrets));
    if (handshake->secrets == NULL) {
        return -ENOMEM;
    }
    sodium_memzero(handshake->secrets, sizeof(*handshake->secrets));
    memcpy(handshake->secrets->ephemeral, config->random, 32);
    memcpy(handshake->header, config->random + 64, WIRE_STREAM_HEADER_BYTES);
    int r = build_hello(handshake, config);
    if (r == 0 && handshake->role == WIRE_ROLE_INITIATOR) {
        choose_first(handshake, config);
        buf_append_slice(out, buf_slice(&handshake->hello_ours));
        r = buf_error(out);
    }
    return r;
}

void wire_handshake_done(struct wire_handshake *handshake)
{
    sodium_free(handshake->secrets);
    handshake->secrets = NULL;
    buf_done(&handshake->hello_ours);
    buf_done(&handshake->hello_peer);
}

/* --- the peer's hello --- */

static struct slice unpack_text(struct wire_unpack *from, size_t bytes_max)
{
    struct slice text = wire_unpack_str(from, bytes_max);
    if (!text_is_utf8(text)) {
        wire_unpack_fail(from, "text that is no UTF-8");
    }
    return text;
}

/* The two fields that every version of the protocol puts first. */
static int agree_version(struct wire_handshake *handshake, struct wire_unpack *from,
                         struct report *report)
{
    struct wire_hello *peer = &handshake->peer;
    peer->version_min = (uint32_t)wire_unpack_uint(from, UINT32_MAX);
    peer->version_max = (uint32_t)wire_unpack_uint(from, UINT32_MAX);
    if (wire_unpack_error(from) == 0 &&
        (peer->version_min == 0 || peer->version_min > peer->version_max)) {
        wire_unpack_fail(from, "versions that make no range");
    }
    if (wire_unpack_error(from) != 0) {
        return REFUSE(report, WIRE_REASON_PROTOCOL, "malformed hello: %s", from->fault);
    }
    uint32_t lowest =
        peer->version_min > handshake->version_min ? peer->version_min : handshake->version_min;
    uint32_t highest =
        peer->version_max < handshake->version_max ? peer->version_max : handshake->version_max;
    if (lowest > highest) {
        return REFUSE(
            report, WIRE_REASON_VERSION,
            "no common protocol version: the peer speaks %u to %u, we %u to %u; update the "
            "older one",
            (unsigned)peer->version_min, (unsigned)peer->version_max,
            (unsigned)handshake->version_min, (unsigned)handshake->version_max);
    }
    handshake->version = highest;
    return 0;
}

static int unpack_hello(struct wire_handshake *handshake, struct slice body, struct report *report)
{
    struct wire_hello *peer = &handshake->peer;
    uint8_t nonce[NONCE_BYTES]; /* enters the session id with the frame, and nothing else */
    struct wire_unpack from;
    wire_unpack_init(&from, body, 0);
    uint32_t n = wire_unpack_array_begin(&from, HELLO_FIELDS_MAX, 1);
    int r = agree_version(handshake, &from, report);
    if (r < 0) {
        return r;
    }
    wire_unpack_fixed(&from, peer->key.b, sizeof(peer->key.b));
    peer->epoch = wire_unpack_uint(&from, UINT64_MAX);
    peer->incarnation = (uint32_t)wire_unpack_uint(&from, UINT32_MAX);
    wire_unpack_fixed(&from, handshake->peer_ephemeral, sizeof(handshake->peer_ephemeral));
    wire_unpack_fixed(&from, nonce, sizeof(nonce));
    wire_unpack_fixed(&from, peer->tag, sizeof(peer->tag));
    peer->cores = (uint32_t)wire_unpack_uint(&from, WIRE_CORES_MAX);
    peer->port = (uint32_t)wire_unpack_uint(&from, UINT16_MAX);
    peer->name = unpack_text(&from, WIRE_NAME_BYTES_MAX);
    peer->arch = unpack_text(&from, WIRE_ARCH_BYTES_MAX);
    peer->os = unpack_text(&from, WIRE_OS_BYTES_MAX);
    peer->program = unpack_text(&from, WIRE_VERSION_BYTES_MAX);
    if (wire_unpack_error(&from) == 0 && n < HELLO_FIELDS) {
        wire_unpack_fail(&from, "fields are missing");
    }
    wire_unpack_array_end(&from, n < HELLO_FIELDS ? 0 : n - HELLO_FIELDS);
    if (wire_unpack_error(&from) == 0 && wire_unpack_rest(&from).n != 0) {
        wire_unpack_fail(&from, "bytes behind its end");
    }
    if (wire_unpack_error(&from) != 0) {
        return REFUSE(report, WIRE_REASON_PROTOCOL, "malformed hello: %s", from.fault);
    }
    return 0;
}

/* --- who may come in --- */

static int refuse_entry(struct report *report, enum wire_reason reason)
{
    const char *text = "the peer is of another mesh; `mesh join` with an invitation takes it in";
    if (reason == WIRE_REASON_BANNED) {
        text = "the peer is banned here; `mesh ban --remove` lifts that";
    } else if (reason == WIRE_REASON_INVITATION) {
        text = "the invitation was used by another peer; `mesh invite` makes a new one";
    }
    return REFUSE(report, reason, "%s", text);
}

/* A responder's door chooses the secret. Asked again when the peer is proved, it may have changed
 * its mind: let nobody in, or call the same secret an older one. */
static int let_in(struct wire_handshake *handshake, struct report *report)
{
    struct wire_door_answer answer;
    enum wire_reason reason;
    if (wire_door_admit(handshake->door, handshake->peer.tag, &handshake->peer.key, &answer,
                        &reason) < 0) {
        return refuse_entry(report, reason);
    }
    if (!handshake->has_session) {
        choose(handshake, &answer);
    }
    handshake->door_kind = answer.kind;
    return 0;
}

/* An initiator chose before: what came must fit that, and its door must still be the same. */
static int check_met(struct wire_handshake *handshake, struct report *report)
{
    const struct wire_hello *peer = &handshake->peer;
    const struct wire_door *door = handshake->door;
    if (wire_door_is_banned(door, &peer->key)) {
        return refuse_entry(report, WIRE_REASON_BANNED);
    }
    if (handshake->has_expected && !wire_key_eq(&peer->key, &handshake->expected)) {
        return REFUSE(report, WIRE_REASON_NONE,
                      "another peer answers here than the one that was dialled");
    }
    /* An older secret is known to whoever left the mesh, too. */
    bool is_stranger =
        handshake->door_kind == WIRE_DOOR_OLDER && !wire_door_is_member(door, &peer->key);
    if (is_stranger || memcmp(peer->tag, handshake->tag, WIRE_TAG_BYTES) != 0) {
        return refuse_entry(report, WIRE_REASON_MESH);
    }
    if (memcmp(door->present.tag, handshake->first_tag, WIRE_TAG_BYTES) != 0) {
        return REFUSE(report, WIRE_REASON_REPLACED,
                      "the mesh got another secret meanwhile; it is dialled again with that");
    }
    return 0;
}

static int check_hello(struct wire_handshake *handshake, struct slice signature, struct slice body,
                       struct report *report)
{
    const struct wire_hello *peer = &handshake->peer;
    if (wire_key_eq(&peer->key, wire_identity_key(handshake->identity))) {
        return REFUSE(report, WIRE_REASON_SELF,
                      "the other end has our own identity: either this "
                      "peer dialled itself, or its key was copied");
    }
    uint8_t digest[32];
    hello_digest(other(handshake->role), body, digest);
    if (!wire_verify(&peer->key, slice_of(digest, sizeof(digest)), signature.p)) {
        return REFUSE(report, WIRE_REASON_SIGNATURE, "bad signature of the hello");
    }
    handshake->has_peer = true;
    return handshake->role == WIRE_ROLE_RESPONDER ? let_in(handshake, report)
                                                  : check_met(handshake, report);
}

/* --- keys and proofs --- */

static void make_session_id(struct wire_handshake *handshake)
{
    bool is_initiator = handshake->role == WIRE_ROLE_INITIATOR;
    struct slice ours = buf_slice(&handshake->hello_ours);
    struct slice theirs = buf_slice(&handshake->hello_peer);
    struct slice first = is_initiator ? ours : theirs;
    struct slice second = is_initiator ? theirs : ours;
    crypto_generichash_state state;
    hash_start(&state, NULL, WIRE_LABEL_SESSION);
    hash_bytes(&state, first.p, first.n);
    hash_bytes(&state, second.p, second.n);
    hash_end(&state, handshake->session_id);
}

static void direction_key(const struct wire_handshake *handshake, enum wire_role sender,
                          const uint8_t shared[static 32], uint8_t ret_key[static 32])
{
    crypto_generichash_state state;
    hash_start(&state, handshake->secrets->mesh.b, WIRE_LABEL_KEY);
    hash_role(&state, sender);
    hash_bytes(&state, shared, 32);
    hash_bytes(&state, handshake->session_id, WIRE_SESSION_ID_BYTES);
    hash_end(&state, ret_key);
}

static int make_keys(struct wire_handshake *handshake, struct report *report)
{
    struct wire_handshake_secrets *secrets = handshake->secrets;
    uint8_t shared[32];
    if (crypto_scalarmult(shared, secrets->ephemeral, handshake->peer_ephemeral) != 0) {
        return REFUSE(report, WIRE_REASON_PROTOCOL, "the peer's ephemeral key is a weak one");
    }
    uint8_t key[32];
    direction_key(handshake, handshake->role, shared, key);
    wire_seal_init(&secrets->send, key, handshake->header, handshake->session_id, handshake->role);
    direction_key(handshake, other(handshake->role), shared, secrets->receive_key);
    sodium_memzero(key, sizeof(key));
    sodium_memzero(shared, sizeof(shared));
    sodium_memzero(&secrets->mesh, sizeof(secrets->mesh));
    sodium_memzero(secrets->ephemeral, sizeof(secrets->ephemeral));
    handshake->has_session = true;
    return 0;
}

static void append_proof(struct wire_handshake *handshake, struct buf *out)
{
    uint8_t digest[32];
    uint8_t signature[WIRE_SIGNATURE_BYTES];
    uint8_t sealed[PROOF_SEALED_BYTES];
    proof_digest(handshake->role, handshake->session_id, digest);
    wire_identity_sign(handshake->identity, slice_of(digest, sizeof(digest)), signature);
    wire_seal_push(&handshake->secrets->send, slice_of(signature, sizeof(signature)), false,
                   sealed);
    append_head(out, WIRE_HANDSHAKE_PROOF, sizeof(handshake->header) + sizeof(sealed));
    buf_append(out, handshake->header, sizeof(handshake->header));
    buf_append(out, sealed, sizeof(sealed));
    handshake->is_sealing = true;
}

/* --- transitions --- */

static int on_hello(struct wire_handshake *handshake, struct slice content, struct buf *out,
                    struct report *report)
{
    if (content.n <= WIRE_SIGNATURE_BYTES) {
        return REFUSE(report, WIRE_REASON_PROTOCOL, "a hello of %zu bytes", content.n);
    }
    /* Kept: the session id is made of it, and the texts of the hello point into it. */
    append_head(&handshake->hello_peer, WIRE_HANDSHAKE_HELLO, content.n);
    buf_append_slice(&handshake->hello_peer, content);
    int r = buf_error(&handshake->hello_peer);
    if (r < 0) {
        ensure(r != -ENOBUFS);
        return r;
    }
    const uint8_t *kept = handshake->hello_peer.p + WIRE_PREFIX_BYTES + HEAD_BYTES;
    struct slice signature = slice_of(kept, WIRE_SIGNATURE_BYTES);
    struct slice body = slice_of(kept + WIRE_SIGNATURE_BYTES, content.n - WIRE_SIGNATURE_BYTES);
    r = unpack_hello(handshake, body, report);
    if (r == 0) {
        r = check_hello(handshake, signature, body, report);
    }
    if (r == 0) {
        make_session_id(handshake);
        r = make_keys(handshake, report);
    }
    if (r == 0 && handshake->role == WIRE_ROLE_RESPONDER) {
        buf_append_slice(out, buf_slice(&handshake->hello_ours));
        append_proof(handshake, out);
        r = buf_error(out);
    }
    return r;
}

static int on_proof(struct wire_handshake *handshake, struct slice content, struct buf *out,
                    struct report *report)
{
    if (content.n != WIRE_STREAM_HEADER_BYTES + PROOF_SEALED_BYTES) {
        return REFUSE(report, WIRE_REASON_PROTOCOL, "a proof of %zu bytes", content.n);
    }
    struct wire_handshake_secrets *secrets = handshake->secrets;
    struct wire_seal *receive = &secrets->receive;
    wire_seal_init(receive, secrets->receive_key, content.p, handshake->session_id,
                   other(handshake->role));
    sodium_memzero(secrets->receive_key, sizeof(secrets->receive_key));

    struct slice sealed = slice_of(content.p + WIRE_STREAM_HEADER_BYTES, PROOF_SEALED_BYTES);
    uint8_t signature[WIRE_SIGNATURE_BYTES];
    bool is_final = false;
    if (wire_seal_pull(receive, sealed, signature, &is_final) != 0 || is_final) {
        return REFUSE(
            report, WIRE_REASON_SEAL,
            "the proof does not open: the mesh secrets differ, or somebody is in between");
    }
    uint8_t digest[32];
    proof_digest(other(handshake->role), handshake->session_id, digest);
    if (!wire_verify(&handshake->peer.key, slice_of(digest, sizeof(digest)), signature)) {
        return REFUSE(report, WIRE_REASON_SIGNATURE, "bad signature of the proof");
    }
    /* Closed, banned, bound to another or renewed since the hello: then it is not too late. */
    if (handshake->role == WIRE_ROLE_RESPONDER) {
        return let_in(handshake, report);
    }
    int r = check_met(handshake, report);
    if (r == 0) {
        append_proof(handshake, out);
        r = buf_error(out);
    }
    return r;
}

static int on_refusal(struct wire_handshake *handshake, struct slice content, struct buf *out,
                      struct report *report)
{
    struct wire_unpack from;
    wire_unpack_init(&from, content, 0);
    uint32_t n = wire_unpack_array_begin(&from, 16, 1);
    uint64_t said = wire_unpack_uint(&from, UINT32_MAX);
    struct slice text = wire_unpack_str(&from, WIRE_REASON_BYTES_MAX);
    if (wire_unpack_error(&from) != 0 || n < 2) {
        return REFUSE(report, WIRE_REASON_PROTOCOL, "malformed refusal");
    }
    enum wire_reason reason = WIRE_REASON_PROTOCOL; /* for one that a newer peer knows */
#define X(name, value, text)                                                                       \
    if (said == (value) && said != WIRE_REASON_NONE) {                                             \
        reason = WIRE_REASON_##name;                                                               \
    }
    WIRE_REASONS(X)
#undef X
    char printable[WIRE_REASON_BYTES_MAX + 16];
    handshake->is_refused = true;
    return REFUSE(report, reason, "the other end says (unproved): %s: %s", wire_reason_text(reason),
                  text_printable(text, printable, sizeof(printable)));
}

typedef int handshake_action(struct wire_handshake *, struct slice content, struct buf *out,
                             struct report *);

/* What is not in here is a breach of the protocol. */
static const struct {
    handshake_action *act;
    enum wire_handshake_state next; /* when act succeeds; else FAILED */
} steps[][WIRE_HANDSHAKE_PROOF + 1] = {
    [WIRE_HANDSHAKE_WAIT_HELLO] =
        {
            [WIRE_HANDSHAKE_HELLO] = {on_hello, WIRE_HANDSHAKE_WAIT_PROOF},
            [WIRE_HANDSHAKE_REFUSAL] = {on_refusal, WIRE_HANDSHAKE_FAILED},
        },
    [WIRE_HANDSHAKE_WAIT_PROOF] =
        {
            [WIRE_HANDSHAKE_PROOF] = {on_proof, WIRE_HANDSHAKE_PROVED},
            [WIRE_HANDSHAKE_REFUSAL] = {on_refusal, WIRE_HANDSHAKE_FAILED},
        },
    [WIRE_HANDSHAKE_FAILED] = {{NULL, WIRE_HANDSHAKE_FAILED}},
};

int wire_handshake_frame(struct wire_handshake *handshake, struct slice frame, struct buf *out,
                         enum wire_reason *reterr_reason, struct errmsg *err)
{
    ensure(frame.n >= HEAD_BYTES);
    ensure(frame.n <= WIRE_HELLO_BYTES_MAX);
    struct report report = {.reterr_reason = reterr_reason, .err = err};
    uint8_t byte = frame.p[WIRE_MAGIC_BYTES];
    enum wire_handshake_kind kind =
        byte <= WIRE_HANDSHAKE_PROOF ? (enum wire_handshake_kind)byte : WIRE_HANDSHAKE_NONE;
    handshake_action *act = steps[handshake->state][kind].act;
    int r;
    if (act == NULL) {
        r = REFUSE(&report, WIRE_REASON_PROTOCOL, "%s while %s", kind_text(kind),
                   state_text(handshake->state));
    } else {
        r = act(handshake, slice_from(frame, HEAD_BYTES), out, &report);
    }
    handshake->state = r == 0 ? steps[handshake->state][kind].next : WIRE_HANDSHAKE_FAILED;
    return r;
}
