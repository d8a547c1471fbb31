/* word_count FILE...: the ten words that stand most often in all the files. Each is put and counted
 * by one call; tables are merged two by two, by reference; only the last one comes here. */
#include <err.h>
#include <mesh.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct word {
    char text[28]; /* cut if longer; zeros behind its end */
    unsigned n;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct word *)a)->text, ((const struct word *)b)->text);
}

static int by_count(const void *a, const void *b)
{
    const struct word *one = a, *other = b;
    return one->n != other->n ? (one->n < other->n ? 1 : -1) : by_text(a, b);
}

/* Returns a table in which each word is there once; frees the words. */
static int return_table(mesh_task *task, struct word *words, size_t n)
{
    size_t n_left = 0;
    qsort(words, n, sizeof(*words), by_text);
    for (size_t i = 0; i < n; i++) {
        if (n_left > 0 && by_text(&words[n_left - 1], &words[i]) == 0) {
            words[n_left - 1].n += words[i].n;
        } else {
            words[n_left++] = words[i];
        }
    }
    int r = mesh_return_bytes(task, words, n_left * sizeof(*words));
    free(words);
    return r;
}

MESH_FUNCTION(count) /* argument: a text */
{
    size_t n_bytes, n = 0, length = 0;
    const char *text = mesh_arg_bytes(task, 0, &n_bytes);
    struct word *words = calloc(n_bytes / 2 + 1, sizeof(*words));
    for (size_t i = 0; words != NULL && i <= n_bytes; i++) {
        if (i < n_bytes && (unsigned)(text[i] | 32) - 'a' < 26) {
            words[n].text[length] = (char)(text[i] | 32); /* small letters */
            length += length < sizeof(words[n].text) - 2;
        } else if (length > 0) {
            words[n++].n = 1;
            length = 0;
        }
    }
    return words != NULL ? return_table(task, words, n) : mesh_fail(task, "out of memory");
}

MESH_FUNCTION(merge) /* arguments: two tables */
{
    size_t a_bytes, b_bytes;
    const char *a = mesh_arg_bytes(task, 0, &a_bytes), *b = mesh_arg_bytes(task, 1, &b_bytes);
    char *both = a != NULL && b != NULL ? malloc(a_bytes + b_bytes + 1) : NULL;
    if (both == NULL) {
        return mesh_fail(task, "out of memory");
    }
    memcpy(both, a, a_bytes);
    memcpy(both + a_bytes, b, b_bytes);
    return return_table(task, (struct word *)both, (a_bytes + b_bytes) / sizeof(struct word));
}

int main(int argc, char **argv)
{
    mesh_init();
    mesh_future *all[1000];
    size_t n = argc <= 1000 ? (size_t)argc - 1 : 0, n_bytes = 0;
    mesh *m = mesh_open(NULL);
    for (size_t i = 0; i < n; i++) { /* the error of a file is that of its call */
        all[i] = mesh_submit(m, "count", mesh_ref(mesh_put_file(m, argv[i + 1])));
    }
    for (size_t step = 1; step < n; step *= 2) {
        for (size_t i = 0, j = step; j < n; i += 2 * step, j += 2 * step) {
            all[i] = mesh_submit(m, "merge", mesh_result(all[i]), mesh_result(all[j]));
        }
    }
    const void *table = n > 0 ? mesh_get_bytes(all[0], &n_bytes) : NULL;
    struct word *words = table != NULL ? malloc(n_bytes + 1) : NULL;
    if (table == NULL || words == NULL) {
        errx(n > 0 ? 1 : 2, "%s", n > 0 ? mesh_future_error_text(all[0]) : "no files are named");
    }
    memcpy(words, table, n_bytes);
    qsort(words, n_bytes / sizeof(*words), sizeof(*words), by_count);
    for (size_t i = 0; i < 10 && i < n_bytes / sizeof(*words); i++) {
        printf("%8u %s\n", words[i].n, words[i].text);
    }
    free(words);
    mesh_close(m);
    return 0;
}
