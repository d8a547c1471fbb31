/* The key file: the one file that wire/ touches.
 *
 * It is text, so that it can be copied and recognised: a line that names the format, and the
 * 64 hexadecimal digits of the seed. Where there is none, one is made: written whole under a
 * temporary name, synced, and then linked to its name. A link fails where the name is taken, so of
 * two processes that start at once both end with the key of the one that came first. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/identity.h"

#define KEY_NAME       "key"
#define KEY_HEAD       "mesh key 1\n"
#define KEY_HEAD_BYTES (sizeof(KEY_HEAD) - 1)
#define KEY_HEX_BYTES  ((size_t)2 * WIRE_SEED_BYTES)
#define KEY_FILE_BYTES (KEY_HEAD_BYTES + KEY_HEX_BYTES + 1)

/* What must not stay in memory, in one sodium_malloc() block. */
struct key_file {
    uint8_t seed[WIRE_SEED_BYTES];
    char text[KEY_FILE_BYTES + 1]; /* a byte more than a key file has: sees one that is longer */
};

static void key_file_freep(struct key_file **file)
{
    sodium_free(*file);
}

static void closep(int *fd)
{
    if (*fd >= 0) {
        IGNORE(close(*fd)); /* read-only, or synced before */
    }
}

static int check_owner(int fd, struct errmsg *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        int r = -errno;
        errmsg_set(err, "the key file cannot be examined: %s", strerror(-r));
        return r;
    }
    if (!S_ISREG(st.st_mode)) {
        errmsg_set(err, "the key is not a regular file; move it away and a new one is made");
        return -EINVAL;
    }
    if (st.st_uid != geteuid()) {
        errmsg_set(err, "the key file belongs to user %lu, this is user %lu; use another --state",
                   (unsigned long)st.st_uid, (unsigned long)geteuid());
        return -EPERM;
    }
    if ((st.st_mode & 077) != 0) {
        errmsg_set(err,
                   "the key file has mode %04o, so others may have read it; if nobody has, make it "
                   "0600, else remove it and a new key is made",
                   (unsigned)(st.st_mode & 07777));
        return -EPERM;
    }
    return 0;
}

/* Reads until the end or until the text is full. */
static int read_text(int fd, struct key_file *file, size_t *ret_n)
{
    size_t n = 0;
    while (n < sizeof(file->text)) {
        ssize_t got = read(fd, file->text + n, sizeof(file->text) - n);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -errno;
        }
        if (got == 0) {
            break;
        }
        n += (size_t)got;
    }
    *ret_n = n;
    return 0;
}

/* 0; -ENOENT without a text in err: there is none; else -errno. */
static int read_key(int dir_fd, struct key_file *file, struct errmsg *err)
{
    CLEANUP(closep)
    int fd = openat(dir_fd, KEY_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        int r = -errno;
        if (r == -ELOOP) {
            errmsg_set(err, "the key is a symbolic link, which is refused; put the file itself");
        } else if (r != -ENOENT) {
            errmsg_set(err, "the key file cannot be opened: %s", strerror(-r));
        }
        return r;
    }
    int r = check_owner(fd, err);
    if (r < 0) {
        return r;
    }
    size_t n = 0;
    r = read_text(fd, file, &n);
    if (r < 0) {
        errmsg_set(err, "the key file cannot be read: %s", strerror(-r));
        return r;
    }
    size_t n_seed = 0;
    if (n != KEY_FILE_BYTES || memcmp(file->text, KEY_HEAD, KEY_HEAD_BYTES) != 0 ||
        file->text[KEY_FILE_BYTES - 1] != '\n' ||
        sodium_hex2bin(file->seed, sizeof(file->seed), file->text + KEY_HEAD_BYTES, KEY_HEX_BYTES,
                       NULL, &n_seed, NULL) != 0 ||
        n_seed != sizeof(file->seed)) {
        errmsg_set(err, "the key file is damaged or no key; restore it, or remove it and a new key "
                        "is made (peers then see a new identity)");
        return -EINVAL;
    }
    return 0;
}

static int write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return -errno;
        }
        p += put;
        n -= (size_t)put;
    }
    return 0;
}

/* Fills the temporary file and gives it its name. -EEXIST: another process was first. */
static int publish(int dir_fd, int fd, const char *temporary, const struct key_file *file)
{
    /* The mode at creation went through the umask. */
    if (fchmod(fd, 0600) != 0) {
        return -errno;
    }
    int r = write_all(fd, file->text, KEY_FILE_BYTES);
    if (r < 0) {
        return r;
    }
    if (fsync(fd) != 0) {
        return -errno;
    }
    if (linkat(dir_fd, temporary, dir_fd, KEY_NAME, 0) == 0) {
        return 0;
    }
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS) {
        return -errno;
    }
    /* A file system without hard links. */
    return renameat(dir_fd, temporary, dir_fd, KEY_NAME) == 0 ? 0 : -errno;
}

static int create_key(int dir_fd, struct key_file *file, struct errmsg *err)
{
    randombytes_buf(file->seed, sizeof(file->seed));
    memcpy(file->text, KEY_HEAD, KEY_HEAD_BYTES);
    sodium_bin2hex(file->text + KEY_HEAD_BYTES, KEY_HEX_BYTES + 1, file->seed, sizeof(file->seed));
    file->text[KEY_FILE_BYTES - 1] = '\n';

    char temporary[40];
    int n = snprintf(temporary, sizeof(temporary), KEY_NAME ".new-%08lx%08lx",
                     (unsigned long)randombytes_random(), (unsigned long)randombytes_random());
    ensure(n > 0);
    ensure((size_t)n < sizeof(temporary));
    CLEANUP(closep)
    int fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        int r = -errno;
        errmsg_set(err, "no key file can be made: %s; use another --state", strerror(-r));
        return r;
    }
    int r = publish(dir_fd, fd, temporary, file);
    /* Gone already where it was renamed. */
    IGNORE(unlinkat(dir_fd, temporary, 0));
    if (r == 0 && fsync(dir_fd) != 0 && errno != EINVAL) {
        r = -errno; /* EINVAL: a file system that cannot sync a directory */
    }
    if (r < 0 && r != -EEXIST) {
        errmsg_set(err, "the key file cannot be written: %s; use another --state", strerror(-r));
    }
    return r;
}

int wire_identity_load(int dir_fd, struct wire_identity **ret_identity, struct errmsg *err)
{
    CLEANUP(key_file_freep) struct key_file *file = sodium_malloc(sizeof(*file));
    if (file == NULL) {
        errmsg_set(err, "out of memory for the key");
        return -ENOMEM;
    }
    int r = read_key(dir_fd, file, err);
    if (r == -ENOENT) {
        r = create_key(dir_fd, file, err);
        if (r == 0 || r == -EEXIST) {
            /* What counts is what is there now: ours, or that of a process that was first. */
            r = read_key(dir_fd, file, err);
            if (r == -ENOENT) {
                errmsg_set(err, "the key file was removed while it was made; start again");
            }
        }
    }
    if (r < 0) {
        return r;
    }
    struct wire_identity *identity = wire_identity_new(file->seed);
    if (identity == NULL) {
        errmsg_set(err, "out of memory for the key");
        return -ENOMEM;
    }
    *ret_identity = identity;
    return 0;
}
