#include "mesh/close_later.h"

#include <unistd.h>

#include "wire/base/ensure.h"
#include "wire/base/mem.h"

static void on_closed(uv_fs_t *request)
{
    uv_fs_req_cleanup(request);
    mem_free(request);
}

void meshd_close_later(uv_loop_t *loop, int fd)
{
    if (fd < 0) {
        return;
    }
    uv_fs_t *request = mem_alloc(1, sizeof(*request));
    if (request == NULL || uv_fs_close(loop, request, fd, on_closed) < 0) {
        mem_free(request);
        IGNORE(close(fd)); /* nobody wants what is in it */
    }
}
