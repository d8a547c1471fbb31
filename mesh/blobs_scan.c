/* What an earlier life left in the blob store. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/blobs_internal.h"
#include "wire/base/mem.h"

struct found {
    struct wire_hash hash;
    uint64_t bytes;
    int64_t changed_s;
};

static int by_age(const void *a, const void *b)
{
    const struct found *x = a;
    const struct found *y = b;
    return (x->changed_s > y->changed_s) - (x->changed_s < y->changed_s);
}

/* One name of the directory; what is no blob of ours is removed. */
static int take(struct meshd_blobs *blobs, const char *name, struct found **found, size_t *n,
                size_t *cap)
{
    struct found it;
    struct stat st;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return 0;
    }
    if (wire_hash_parse(name, &it.hash) < 0 ||
        fstatat(blobs->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode)) {
        IGNORE(unlinkat(blobs->fd, name, 0)); /* a folder stays, and is skipped each time */
        return 0;
    }
    if (*n == *cap) {
        size_t more = *cap > 0 ? 2 * *cap : 64;
        struct found *bigger = mem_realloc(*found, more, sizeof(**found));
        if (bigger == NULL) {
            return -ENOMEM;
        }
        *found = bigger;
        *cap = more;
    }
    it.bytes = (uint64_t)st.st_size;
    it.changed_s = (int64_t)st.st_mtime;
    (*found)[(*n)++] = it;
    return 0;
}

int blobs_scan(struct meshd_blobs *blobs)
{
    int fd = openat(blobs->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        int error = errno;
        if (fd >= 0) {
            IGNORE(close(fd));
        }
        return -error;
    }
    struct found *found = NULL;
    size_t n = 0;
    size_t cap = 0;
    int rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(dir)) != NULL;) {
        rc = take(blobs, entry->d_name, &found, &n, &cap);
    }
    IGNORE(closedir(dir)); /* was only read */
    if (n > 0) {
        qsort(found, n, sizeof(*found), by_age);
    }
    for (size_t i = 0; rc == 0 && i < n; i++) {
        blobs->used_bytes += found[i].bytes;
        if (blob_add(blobs, &found[i].hash, found[i].bytes) == NULL) {
            blobs->used_bytes -= found[i].bytes;
            rc = -ENOMEM;
        }
    }
    mem_free(found);
    if (rc == 0) {
        IGNORE(blobs_reserve(blobs, 0)); /* a smaller quota than last time: drops the oldest */
    }
    return rc;
}
