/* mandelbrot [FILE [WIDTH HEIGHT]]: the Mandelbrot set as a PNG picture, one row to an element of a
 * map. Colours run smoothly with the time a point takes to escape. */
#include <err.h>
#include <math.h>
#include <mesh.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 2000

/* How long the point stays near: parts of steps count too. STEPS_MAX when it never leaves. */
static double time_to_escape(double cx, double cy)
{
    double x = 0, y = 0;
    for (int i = 0; i < STEPS_MAX; i++) {
        double xx = x * x, yy = y * y;
        if (xx + yy > 256) {
            return i + 1 - log2(log2(xx + yy) / 2);
        }
        y = 2 * x * y + cy;
        x = xx - yy + cx;
    }
    return STEPS_MAX;
}

/* Arguments: the row's number, and how many columns and rows there are. Returns red, green, blue
 * for each column. */
MESH_FUNCTION(row_of_pixels)
{
    double row = mesh_arg_double(task, 0);
    size_t width = (size_t)mesh_arg_int(task, 1);
    double scale = 2.4 / (double)mesh_arg_int(task, 2);
    unsigned char *pixel = mesh_return_space(task, 3 * width);
    if (pixel == NULL) {
        return -1;
    }
    for (size_t i = 0; i < width; i++, pixel += 3) {
        double t = time_to_escape(((double)i - (double)width * 0.68) * scale, row * scale - 1.2);
        for (int channel = 0; t < STEPS_MAX && channel < 3; channel++) {
            pixel[channel] = (unsigned char)(127.5 - 127.5 * cos(0.15 * t + 0.6 * channel));
        }
    }
    return 0;
}

static int write_png(const char *path, unsigned width, unsigned height, const void *pixels)
{
    png_image image;
    memset(&image, 0, sizeof(image));
    image.version = PNG_IMAGE_VERSION;
    image.width = width;
    image.height = height;
    image.format = PNG_FORMAT_RGB;
    if (!png_image_write_to_file(&image, path, 0, pixels, 0, NULL)) {
        fprintf(stderr, "mandelbrot: %s: %s\n", path, image.message);
        return 1;
    }
    printf("%s: %u x %u\n", path, width, height);
    return 0;
}

int main(int argc, char **argv)
{
    mesh_init();
    const char *path = argc > 1 ? argv[1] : "mandelbrot.png";
    unsigned width = argc > 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 1200;
    unsigned height = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 800;
    if (argc == 3 || argc > 4 || width - 1 >= 20000 || height - 1 >= 20000) {
        fprintf(stderr, "usage: mandelbrot [FILE [WIDTH HEIGHT]], from 1 to 20000\n");
        return 2;
    }
    double *rows = calloc(height, sizeof(*rows));
    unsigned char *pixels = calloc(height, 3 * (size_t)width);
    if (rows == NULL || pixels == NULL) {
        errx(1, "out of memory");
    }
    for (unsigned i = 0; i < height; i++) {
        rows[i] = i;
    }
    mesh *m = mesh_open(NULL);
    const struct mesh_value sizes[] = {mesh_int(width), mesh_int(height)};
    struct mesh_map_options options = {.values = sizes, .n_values = 2};
    int status = 1;
    if (mesh_map_array(m, "row_of_pixels", rows, height, sizeof(*rows), pixels, 3 * (size_t)width,
                       &options) == 0) {
        status = write_png(path, width, height, pixels);
    } else {
        fprintf(stderr, "mandelbrot: %s\n", mesh_error_text(m));
    }
    mesh_print_stats(m, stderr);
    mesh_close(m);
    free(pixels);
    free(rows);
    return status;
}
