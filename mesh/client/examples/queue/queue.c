/* queue: numbers from whoever has them to whoever has time for them.
 *
 *     queue put N      puts the numbers 1 to N into the queue "numbers"
 *     queue work       takes them, anywhere in the mesh, until none came for two seconds
 *
 * A worker that is killed costs nothing: the number that it had goes to another one. */
#include <mesh.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE    "numbers"
#define PATIENCE 2.0

static int fail(mesh *m)
{
    fprintf(stderr, "queue: %s\n", mesh_error_text(m));
    mesh_close(m);
    return 1;
}

static int put(mesh *m, long n)
{
    for (long i = 1; i <= n; i++) {
        char text[32];
        int n_text = snprintf(text, sizeof(text), "%ld", i);
        if (mesh_queue_put(m, QUEUE, text, (size_t)n_text) < 0) {
            return fail(m);
        }
    }
    mesh_close(m);
    return 0;
}

static int work(mesh *m)
{
    mesh_queue_item *item;
    while ((item = mesh_queue_get(m, QUEUE, PATIENCE)) != NULL) {
        long n = atol(mesh_queue_item_bytes(item, NULL));
        int r = mesh_queue_item_done(item);
        if (r == MESH_ELATE) {
            continue; /* somebody else has it by now */
        }
        if (r < 0) {
            return fail(m);
        }
        printf("%ld: %ld\n", n, n * n);
    }
    if (mesh_error(m) != MESH_ETIMEDOUT) {
        return fail(m);
    }
    mesh_close(m);
    return 0;
}

int main(int argc, char **argv)
{
    mesh_init();
    bool is_put = argc == 3 && strcmp(argv[1], "put") == 0;
    if (!is_put && !(argc == 2 && strcmp(argv[1], "work") == 0)) {
        fprintf(stderr, "usage: queue put N | queue work\n");
        return 2;
    }
    mesh *m = mesh_open(NULL);
    return is_put ? put(m, atol(argv[2])) : work(m);
}
