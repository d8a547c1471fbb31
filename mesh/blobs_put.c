/* Files into the store, and blobs of an earlier life checked: the part that runs on threads.
 *
 * put: the loop reserves room and makes the temporary; a thread copies and hashes; the loop adopts
 * it. verify: a thread hashes the file; the loop drops the blob if it is not what its name says. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/blobs_internal.h"
#include "mesh/close_later.h"
#include "wire/base/mem.h"

struct blob_work {
    uv_work_t req;
    struct meshd_blobs *blobs;
    meshd_blobs_put_cb on_done;
    void *user;
    int from_fd;
    int to_fd; /* -1: only hash */
    uint64_t bytes_max;
    char temporary[BLOB_NAME_BYTES];
    struct wire_hash expected; /* of a verify */
    /* set by the thread */
    int error;
    uint64_t bytes;
    struct wire_hash hash;
};

static int write_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t n_written = write(fd, p, n);
        if (n_written < 0 && errno != EINTR) {
            return -errno;
        }
        if (n_written > 0) {
            p += n_written;
            n -= (size_t)n_written;
        }
    }
    return 0;
}

/* On a thread: touches nothing but its work. */
static void run_work(uv_work_t *req)
{
    struct blob_work *work = req->data;
    uint8_t *bytes = mem_alloc(1, BLOB_COPY_BYTES);
    struct wire_blob_hash hash;
    if (bytes == NULL) {
        work->error = -ENOMEM;
        return;
    }
    wire_blob_hash_init(&hash);
    while (work->error == 0 && work->bytes < work->bytes_max) {
        uint64_t left = work->bytes_max - work->bytes;
        size_t n_want = left < BLOB_COPY_BYTES ? (size_t)left : BLOB_COPY_BYTES;
        ssize_t n = pread(work->from_fd, bytes, n_want, (off_t)work->bytes);
        if (n == 0) {
            break; /* it became shorter: what is there now counts */
        }
        if (n < 0) {
            work->error = errno == EINTR ? 0 : -errno;
            continue;
        }
        wire_blob_hash_update(&hash, slice_of(bytes, (size_t)n));
        if (work->to_fd >= 0) {
            work->error = write_all(work->to_fd, bytes, (size_t)n);
        }
        work->bytes += (size_t)n;
    }
    wire_blob_hash_final(&hash, &work->hash);
    mem_free(bytes);
}

static void work_free(struct blob_work *work)
{
    if (work->bytes_max > BLOB_COPY_BYTES) {
        meshd_close_later(work->blobs->loop, work->from_fd);
    } else {
        IGNORE(close(work->from_fd)); /* was only read */
    }
    if (work->to_fd >= 0 && close(work->to_fd) < 0 && work->error == 0) {
        work->error = -errno;
    }
    mem_free(work);
}

static void after_put(struct blob_work *work)
{
    struct meshd_blobs *blobs = work->blobs;
    if (work->error == 0) {
        work->error =
            blobs_adopt(blobs, work->temporary, &work->hash, work->bytes_max, work->bytes);
    } else {
        IGNORE(unlinkat(blobs->fd, work->temporary, 0)); /* else the next start does it */
        blobs_unreserve(blobs, work->bytes_max);
    }
}

static void after_verify(struct blob_work *work)
{
    struct meshd_blobs *blobs = work->blobs;
    struct blob *blob = blob_find(blobs, &work->expected);
    ensure(blob != NULL); /* held since the work began */
    bool is_whole = work->error == 0 && wire_hash_eq(&work->hash, &work->expected);
    if (is_whole || blob->is_verified) { /* a put may have replaced it meanwhile */
        blob->is_verified = true;
        work->error = 0;
        work->hash = work->expected;
        return;
    }
    blob->n_holds--;
    if (blob->n_holds == 0 && !blob->is_pinned) {
        blob_drop(blobs, blob);
    }
    work->error = work->error == 0 ? -ENOENT : work->error;
}

static void on_work_done(uv_work_t *req, int status)
{
    struct blob_work *work = req->data;
    struct meshd_blobs *blobs = work->blobs;
    if (status < 0) {
        work->error = status;
    }
    if (work->to_fd >= 0) {
        after_put(work);
    } else {
        after_verify(work);
    }
    blobs->n_works--;
    if (!blobs->is_closing) {
        work->on_done(work->user, work->error, &work->hash, work->bytes);
    }
    work_free(work);
    blobs_maybe_closed(blobs);
}

static int start_work(struct blob_work *work)
{
    struct meshd_blobs *blobs = work->blobs;
    work->req.data = work;
    int rc = uv_queue_work(blobs->loop, &work->req, run_work, on_work_done);
    if (rc == 0) {
        blobs->n_works++;
    }
    return rc;
}

static int put_begin(struct meshd_blobs *blobs, struct blob_work *work)
{
    struct stat st;
    if (fstat(work->from_fd, &st) < 0) {
        return -errno;
    }
    if (!S_ISREG(st.st_mode)) {
        return -EINVAL; /* reading a pipe could hold a thread for ever */
    }
    work->bytes_max = (uint64_t)st.st_size;
    int rc = blobs_reserve(blobs, work->bytes_max);
    if (rc < 0) {
        return rc;
    }
    work->to_fd = blobs_temporary(blobs, work->temporary);
    rc = work->to_fd < 0 ? work->to_fd : start_work(work);
    if (rc < 0) {
        if (work->to_fd >= 0) {
            IGNORE(unlinkat(blobs->fd, work->temporary, 0));
        }
        blobs_unreserve(blobs, work->bytes_max);
    }
    return rc;
}

int meshd_blobs_put(struct meshd_blobs *blobs, int fd, meshd_blobs_put_cb on_put, void *user)
{
    struct blob_work *work = mem_alloc(1, sizeof(*work));
    if (work == NULL) {
        IGNORE(close(fd)); /* was never read */
        return -ENOMEM;
    }
    work->blobs = blobs;
    work->on_done = on_put;
    work->user = user;
    work->from_fd = fd;
    work->to_fd = -1;
    int rc = put_begin(blobs, work);
    if (rc < 0) {
        work_free(work);
    }
    return rc;
}

int meshd_blobs_verify(struct meshd_blobs *blobs, const struct wire_hash *hash,
                       meshd_blobs_put_cb on_verified, void *user)
{
    struct blob *blob = blob_find(blobs, hash);
    if (blob == NULL) {
        return -ENOENT;
    }
    if (blob->is_verified) {
        blob->n_holds++;
        on_verified(user, 0, &blob->hash, blob->bytes);
        return 0;
    }
    struct blob_work *work = mem_alloc(1, sizeof(*work));
    if (work == NULL) {
        return -ENOMEM;
    }
    work->blobs = blobs;
    work->on_done = on_verified;
    work->user = user;
    work->to_fd = -1;
    work->expected = *hash;
    work->bytes_max = blob->bytes;
    int rc = meshd_blobs_open(blobs, hash, &work->from_fd, &work->bytes);
    work->bytes = 0;
    if (rc == 0) {
        blob->n_holds++;
        rc = start_work(work);
        if (rc < 0) {
            blob->n_holds--;
            IGNORE(close(work->from_fd));
        }
    }
    if (rc < 0) {
        mem_free(work);
    }
    return rc;
}
