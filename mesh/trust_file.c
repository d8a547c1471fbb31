/* The text:
 *
 *     mesh trust 1
 *     present GENERATION SECRET       of a closed mesh
 *     older GENERATION SECRET         the newest first
 *     renew                           the secret is to be renewed
 *     member KEY | invited KEY        by key; `invited`: by an invitation of this peer
 *     ban KEY GENERATION | unban KEY GENERATION       by key
 *     pin KEY NAME
 *     sum HASH                        BLAKE2b-256 of all before this line
 *
 * Keys, secrets and names are in hexadecimal digits, so that no name can look like a line. */
#include "mesh/trust_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/state_dir.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"
#include "wire/blob_hash.h"
#include "wire/key.h"

#define NAME      "trust"
#define HEAD      "mesh trust 1\n"
#define SUM       "sum "
#define SUM_BYTES (sizeof(SUM) - 1 + 2 * WIRE_HASH_BYTES + 1)
/* No line is longer: a word, a key, a name and numbers. */
#define LINE_BYTES (32u + 2u * WIRE_KEY_BYTES + 2u * WIRE_NAME_BYTES_MAX)

static_assert(sizeof(HEAD) + SUM_BYTES + 96u * WIRE_MEMBERS_MAX + 96u * WIRE_BANS_MAX +
                      LINE_BYTES * (2u + CORE_OLDS_MAX + WIRE_PINS_MAX) <
                  MESHD_TRUST_BYTES_MAX,
              "the longest fits");

/* --- writing -----------------------------------------------------------------------------------
 */

static void put_hex(struct buf *to, const void *p, size_t n)
{
    char hex[2 * WIRE_NAME_BYTES_MAX + 1];
    text_hex(slice_of(p, n), hex, sizeof(hex));
    buf_append_str(to, hex);
    explicit_bzero(hex, sizeof(hex));
}

static void put_secret(struct buf *to, const char *word, const struct core_secret *secret)
{
    buf_printf(to, "%s %llu ", word, (unsigned long long)secret->generation);
    put_hex(to, secret->secret.b, sizeof(secret->secret.b));
    buf_append_u8(to, '\n');
}

static void put_key(struct buf *to, const char *word, const struct wire_key *key)
{
    buf_append_str(to, word);
    buf_append_u8(to, ' ');
    put_hex(to, key->b, sizeof(key->b));
}

static void put_lists(struct buf *to, const struct core_trust_state *state)
{
    for (uint32_t i = 0; i < state->n_members; i++) {
        const struct core_member *member = &state->members[i];
        put_key(to, member->is_invited_here ? "invited" : "member", &member->key);
        buf_append_u8(to, '\n');
    }
    for (uint32_t i = 0; i < state->n_bans; i++) {
        const struct wire_ban *ban = &state->bans[i];
        put_key(to, ban->is_banned ? "ban" : "unban", &ban->key);
        buf_printf(to, " %llu\n", (unsigned long long)ban->generation);
    }
    for (uint32_t i = 0; i < state->n_pins; i++) {
        put_key(to, "pin", &state->pins[i].key);
        buf_append_u8(to, ' ');
        put_hex(to, state->pins[i].name, strlen(state->pins[i].name));
        buf_append_u8(to, '\n');
    }
}

int meshd_trust_format(const struct core_trust_state *state, struct buf *to)
{
    buf_init(to, MESHD_TRUST_BYTES_MAX);
    if (buf_reserve(to, MESHD_TRUST_BYTES_MAX) == NULL) {
        return buf_error(to);
    }
    buf_append_str(to, HEAD);
    if (state->present.generation > 0) {
        put_secret(to, "present", &state->present);
    }
    for (uint32_t i = 0; i < state->n_olds; i++) {
        put_secret(to, "older", &state->olds[i]);
    }
    if (state->is_renewal_due) {
        buf_append_str(to, "renew\n");
    }
    put_lists(to, state);
    struct wire_hash sum = wire_blob_hash(buf_slice(to));
    buf_append_str(to, SUM);
    put_hex(to, sum.b, sizeof(sum.b));
    buf_append_u8(to, '\n');
    ensure(buf_error(to) == 0); /* all lists have maxima */
    return 0;
}

void meshd_trust_wipe(struct buf *text)
{
    if (text->p != NULL) {
        explicit_bzero(text->p, text->cap);
    }
    buf_done(text);
}

int meshd_trust_save(int dir_fd, struct slice text, struct errmsg *err)
{
    return meshd_file_write_whole(dir_fd, NAME, text, err);
}

/* --- reading -----------------------------------------------------------------------------------
 */

/* The next word of a line; "" when there is none, which no field takes. */
static const char *next_word(char **line)
{
    char *word = strsep(line, " ");
    return word != NULL ? word : "";
}

/* 32 bytes in hexadecimal digits, of a key or of a secret. */
static bool take_32(char **line, uint8_t ret_bytes[static WIRE_KEY_BYTES])
{
    struct wire_key key;
    if (wire_key_parse(next_word(line), &key) < 0 || wire_key_is_zero(&key)) {
        return false;
    }
    memcpy(ret_bytes, key.b, sizeof(key.b));
    explicit_bzero(&key, sizeof(key));
    return true;
}

static bool take_u64(char **line, uint64_t *ret_value)
{
    return text_parse_u64(next_word(line), UINT64_MAX, ret_value) == 0;
}

static bool take_secret(char **line, struct core_secret *ret_secret)
{
    return take_u64(line, &ret_secret->generation) && ret_secret->generation > 0 &&
           take_32(line, ret_secret->secret.b);
}

static bool take_name(char **line, char to[static WIRE_NAME_BYTES_MAX + 1])
{
    const char *hex = next_word(line);
    size_t n = strlen(hex) / 2;
    if (n == 0 || n > WIRE_NAME_BYTES_MAX || strlen(hex) % 2 != 0) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned value = 0;
        for (size_t j = 2 * i; j < 2 * i + 2; j++) {
            static const char digits[] = "0123456789abcdef";
            const char *at = strchr(digits, hex[j]);
            if (at == NULL) {
                return false;
            }
            value = value << 4 | (unsigned)(at - digits);
        }
        to[i] = (char)value;
    }
    return text_is_utf8(slice_of(to, n));
}

static bool take_member(struct meshd_trust_kept *kept, char **line, bool is_invited_here)
{
    uint32_t n = kept->state.n_members;
    if (n == WIRE_MEMBERS_MAX || !take_32(line, kept->members[n].key.b)) {
        return false;
    }
    kept->members[n].is_invited_here = is_invited_here;
    kept->state.n_members++;
    return n == 0 || wire_key_cmp(&kept->members[n - 1].key, &kept->members[n].key) < 0;
}

static bool take_ban(struct meshd_trust_kept *kept, char **line, bool is_banned)
{
    uint32_t n = kept->state.n_bans;
    if (n == WIRE_BANS_MAX || !take_32(line, kept->bans[n].key.b) ||
        !take_u64(line, &kept->bans[n].generation)) {
        return false;
    }
    kept->bans[n].is_banned = is_banned;
    kept->state.n_bans++;
    return n == 0 || wire_key_cmp(&kept->bans[n - 1].key, &kept->bans[n].key) < 0;
}

static bool take_pin(struct meshd_trust_kept *kept, char **line)
{
    uint32_t n = kept->state.n_pins;
    if (n == WIRE_PINS_MAX || !take_32(line, kept->pins[n].key.b) ||
        !take_name(line, kept->pins[n].name)) {
        return false;
    }
    kept->state.n_pins++;
    return true;
}

static bool take_older(struct core_trust_state *state, char **line)
{
    uint32_t n = state->n_olds;
    if (n == CORE_OLDS_MAX || !take_secret(line, &state->olds[n])) {
        return false;
    }
    state->n_olds++;
    return true;
}

static bool take_line(struct meshd_trust_kept *kept, char *line)
{
    struct core_trust_state *state = &kept->state;
    const char *word = next_word(&line);
    bool is_good = false;
    if (strcmp(word, "present") == 0) {
        is_good = state->present.generation == 0 && take_secret(&line, &state->present);
    } else if (strcmp(word, "older") == 0) {
        is_good = take_older(state, &line);
    } else if (strcmp(word, "renew") == 0) {
        state->is_renewal_due = true;
        is_good = true;
    } else if (strcmp(word, "member") == 0 || strcmp(word, "invited") == 0) {
        is_good = take_member(kept, &line, word[0] == 'i');
    } else if (strcmp(word, "ban") == 0 || strcmp(word, "unban") == 0) {
        is_good = take_ban(kept, &line, word[0] == 'b');
    } else if (strcmp(word, "pin") == 0) {
        is_good = take_pin(kept, &line);
    }
    return is_good && line == NULL; /* nothing behind the last field */
}

/* A closed mesh is that of the present secret: without one there is nothing but own bans and pins.
 */
static bool makes_sense(const struct core_trust_state *state)
{
    return state->present.generation > 0 ||
           (state->n_olds == 0 && state->n_members == 0 && !state->is_renewal_due);
}

/* `lines` is cut up. */
static bool take_lines(struct meshd_trust_kept *kept, char *lines)
{
    while (lines != NULL && *lines != '\0') {
        if (!take_line(kept, strsep(&lines, "\n"))) {
            return false;
        }
    }
    return makes_sense(&kept->state);
}

static bool is_sum_right(struct slice text, struct slice *ret_lines)
{
    if (text.n < sizeof(HEAD) - 1 + SUM_BYTES || text.p[text.n - 1] != '\n') {
        return false;
    }
    struct slice before = slice_part(text, 0, text.n - SUM_BYTES);
    struct wire_hash sum = wire_blob_hash(before);
    char line[SUM_BYTES + 1];
    memcpy(line, SUM, sizeof(SUM) - 1);
    text_hex(slice_of(sum.b, sizeof(sum.b)), line + sizeof(SUM) - 1, 2 * sizeof(sum.b) + 1);
    if (memcmp(text.p + before.n, line, SUM_BYTES - 1) != 0 ||
        memcmp(before.p, HEAD, sizeof(HEAD) - 1) != 0) {
        return false;
    }
    *ret_lines = slice_from(before, sizeof(HEAD) - 1);
    return true;
}

static struct meshd_trust_kept *new_kept(void)
{
    struct meshd_trust_kept *kept = mem_alloc(1, sizeof(*kept));
    if (kept != NULL) {
        kept->state.members = kept->members;
        kept->state.bans = kept->bans;
        kept->state.pins = kept->pins;
    }
    return kept;
}

struct meshd_trust_kept *meshd_trust_kept_free(struct meshd_trust_kept *kept)
{
    if (kept != NULL) {
        explicit_bzero(kept, sizeof(*kept));
    }
    return mem_free(kept);
}

int meshd_trust_parse(struct slice text, struct meshd_trust_kept **ret_kept, struct errmsg *err)
{
    struct meshd_trust_kept *kept = new_kept();
    struct slice lines = slice_of(NULL, 0);
    bool is_good = kept != NULL && is_sum_right(text, &lines);
    char *copy = is_good ? mem_strndup((const char *)lines.p, lines.n) : NULL;
    if (kept == NULL || (is_good && copy == NULL)) {
        meshd_trust_kept_free(kept);
        errmsg_set(err, "out of memory");
        return -ENOMEM;
    }
    if (is_good) {
        is_good = strlen(copy) == lines.n && take_lines(kept, copy);
        explicit_bzero(copy, lines.n);
        mem_free(copy);
    }
    if (!is_good) {
        meshd_trust_kept_free(kept);
        errmsg_set(err, "the file \"" NAME "\" is damaged; restore it, or remove it: this peer is "
                        "then in the open mesh, and `mesh join` takes it back into a closed one");
        return -EINVAL;
    }
    *ret_kept = kept;
    return 0;
}

static int check_file(int fd, struct stat *ret_st, struct errmsg *err)
{
    if (fstat(fd, ret_st) < 0) {
        int error = errno;
        errmsg_set(err, "cannot examine the file \"" NAME "\": %s", strerror(error));
        return -error;
    }
    if (!S_ISREG(ret_st->st_mode) || ret_st->st_size > MESHD_TRUST_BYTES_MAX) {
        errmsg_set(err, "\"" NAME "\" is not the file that mesh keeps there; move it away");
        return -EINVAL;
    }
    if (ret_st->st_uid != geteuid()) {
        errmsg_set(err,
                   "the file \"" NAME "\" belongs to user %lu, this is user %lu; use another "
                   "--state",
                   (unsigned long)ret_st->st_uid, (unsigned long)geteuid());
        return -EPERM;
    }
    if ((ret_st->st_mode & 077) != 0) {
        errmsg_set(err,
                   "the file \"" NAME "\" has mode %04o, so others may have read the secret of "
                   "the mesh; if nobody has, make it 0600, else remove it and use `mesh join`, or "
                   "`mesh lock` where the mesh is this peer's",
                   (unsigned)(ret_st->st_mode & 07777));
        return -EPERM;
    }
    return 0;
}

/* Reads to the end, into one piece of memory that is large enough for any. */
static int read_all(int fd, struct buf *to)
{
    for (;;) {
        uint8_t *room = buf_reserve(to, MESHD_TRUST_BYTES_MAX + 1 - to->n);
        ssize_t n = room != NULL ? read(fd, room, MESHD_TRUST_BYTES_MAX + 1 - to->n) : -1;
        if (room == NULL) {
            return buf_error(to);
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : 0;
        }
        buf_extend(to, (size_t)n);
        if (to->n > MESHD_TRUST_BYTES_MAX) {
            return -EFBIG;
        }
    }
}

static int load(int fd, struct meshd_trust_kept **ret_kept, struct errmsg *err)
{
    struct stat st;
    struct buf text;
    int rc = check_file(fd, &st, err);
    if (rc < 0) {
        return rc;
    }
    buf_init(&text, MESHD_TRUST_BYTES_MAX + 1);
    rc = read_all(fd, &text);
    if (rc < 0) {
        errmsg_set(err, "cannot read the file \"" NAME "\": %s", strerror(-rc));
    } else {
        rc = meshd_trust_parse(buf_slice(&text), ret_kept, err);
    }
    meshd_trust_wipe(&text);
    return rc;
}

int meshd_trust_load(int dir_fd, struct meshd_trust_kept **ret_kept, struct errmsg *err)
{
    int fd = openat(dir_fd, NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0) {
        int rc = load(fd, ret_kept, err);
        IGNORE(close(fd)); /* was only read */
        return rc;
    }
    if (errno != ENOENT) {
        int error = errno;
        errmsg_set(err, "cannot open the file \"" NAME "\": %s",
                   error == ELOOP ? "it is a symbolic link; put the file itself" : strerror(error));
        return -error;
    }
    *ret_kept = new_kept();
    if (*ret_kept == NULL) {
        errmsg_set(err, "out of memory");
        return -ENOMEM;
    }
    return 0;
}
