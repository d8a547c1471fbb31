/* matrix [N]: C = C + A * B for matrices of N x N doubles, N a multiple of 128, in square blocks. A
 * block of C travels out with its call and comes back changed; rows of blocks of A and columns of
 * blocks of B are put once and passed by reference. */
#include <err.h>
#include <math.h>
#include <mesh.h>
#include <stdio.h>
#include <stdlib.h>

#define B 128 /* rows and columns of a block */

typedef double block[B][B];

/* Arguments: a block of C, in-out; the blocks of A in its row; the blocks of B in its column. */
MESH_FUNCTION(multiply_add)
{
    size_t n_bytes;
    block *c = mesh_arg_inout(task, 0, NULL);
    const block *a = mesh_arg_bytes(task, 1, &n_bytes);
    const block *b = mesh_arg_raw(task, 2, n_bytes);
    if (c == NULL || a == NULL || b == NULL) {
        return -1;
    }
    for (size_t k = 0; k < n_bytes / sizeof(block); k++) {
        for (size_t i = 0; i < B; i++) {
            for (size_t l = 0; l < B; l++) {
                for (size_t j = 0; j < B; j++) {
                    (*c)[i][j] += a[k][i][l] * b[k][l][j];
                }
            }
        }
    }
    return 0;
}

/* Small whole numbers, so that sums are exact in whatever order. */
static double entry(size_t i, size_t j, unsigned salt)
{
    return (double)((i * 31 + j * 17 + salt) % 19) - 9;
}

/* The largest difference in a few rows, computed the plain way. */
static double worst_error(block *c, size_t n)
{
    double worst = 0;
    for (size_t i = 0; i < n; i += n / 8 + 1) {
        for (size_t j = 0; j < n; j++) {
            double sum = 1;
            for (size_t k = 0; k < n; k++) {
                sum += entry(i, k, 1) * entry(k, j, 2);
            }
            worst = fmax(worst, fabs(sum - c[i / B * (n / B) + j / B][i % B][j % B]));
        }
    }
    return worst;
}

int main(int argc, char **argv)
{
    mesh_init();
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) / B * B : 512;
    size_t side = n / B; /* in blocks */
    if (side < 1 || side > 64) {
        fprintf(stderr, "usage: matrix [N], N from %d to %d\n", B, 64 * B);
        return 2;
    }
    block *a = calloc(side * side, sizeof(block)), *b = calloc(side * side, sizeof(block));
    block *c = calloc(side * side, sizeof(block));
    mesh_data *rows[64], *columns[64];
    if (a == NULL || b == NULL || c == NULL) {
        errx(1, "out of memory");
    }
    for (size_t i = 0; i < n; i++) { /* b is kept by columns of blocks */
        for (size_t j = 0; j < n; j++) {
            a[i / B * side + j / B][i % B][j % B] = entry(i, j, 1);
            b[j / B * side + i / B][i % B][j % B] = entry(i, j, 2);
            c[i / B * side + j / B][i % B][j % B] = 1;
        }
    }
    mesh *m = mesh_open(NULL);
    for (size_t i = 0; i < side; i++) {
        rows[i] = mesh_put(m, a[i * side], side * sizeof(block));
        columns[i] = mesh_put(m, b[i * side], side * sizeof(block));
    }
    for (size_t i = 0; i < side * side; i++) { /* futures are freed with the handle */
        mesh_submit(m, "multiply_add", mesh_inout(c[i], sizeof(block)), mesh_ref(rows[i / side]),
                    mesh_ref(columns[i % side]));
    }
    if (mesh_sync(m, NULL, 0) != 0) { /* only now c is ours again */
        errx(1, "%s", mesh_error_text(m));
    }
    printf("%zu x %zu in %zu blocks: largest error %g\n", n, n, side * side, worst_error(c, n));
    mesh_print_stats(m, stderr);
    mesh_close(m);
    free(c);
    free(b);
    free(a);
    return 0;
}
