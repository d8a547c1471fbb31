/* What a program writes that uses mesh.h: compiled as C99 and as C++, pedantically, and linked with
 * either library. It runs without a daemon. */
#include <mesh.h>

struct point {
    double x, y;
};

static int turn(mesh_task *task)
{
    const struct point *p = (const struct point *)mesh_arg_raw(task, 0, sizeof(*p));
    struct point q = {0, 0};
    if (p != NULL) {
        q.x = p->y;
        q.y = p->x;
    }
    return mesh_return_raw(task, &q, sizeof(q));
}
MESH_REGISTER("geometry.turn", turn, turn)

MESH_FUNCTION(add)
{
    return mesh_return_int(task, mesh_arg_int(task, 0) + 1);
}

int main(void)
{
    struct mesh_options options = {"/nowhere/mesh.sock", NULL, NULL, 0, "header", 0};
    struct point p = {1, 2};
    char buffer[8] = "1234567";
    mesh *m;
    mesh_future *futures[5];
    size_t i;
    int is_good = 1;
    mesh_init();
    m = mesh_open(&options);
    futures[0] = mesh_submit(m, "add");
    futures[1] = mesh_submit(m, "add", mesh_int(3));
    futures[2] = mesh_submit_with(m, NULL, "add", mesh_int(3), mesh_string("x"), mesh_double(0.5));
    futures[3] = mesh_submit(m, "geometry.turn", mesh_raw(&p, sizeof(p)), mesh_bytes("x", 1));
    futures[4] = mesh_submit(m, "add", mesh_inout(buffer, sizeof(buffer)), mesh_result(futures[0]));
    for (i = 0; i < 5; i++) {
        is_good = is_good && mesh_future_error(futures[i]) == MESH_EDAEMON;
    }
    mesh_close(m);
    return is_good ? 0 : 1;
}
