/* A shared object cannot be executed. mesh-worker can: a small program with libmesh inside, which
 * travels in its place and loads the object that travels beside it. */
#include "mesh/client/programs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/client/program.h"
#include "wire/base/text.h"

#define LOADER     "mesh-worker"
#define PATH_BYTES 4096

static bool is_object(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    const char *so = strstr(name, ".so");
    return so != NULL && so != name && (so[3] == '\0' || so[3] == '.');
}

/* The last part of a path, as a name in the task's directory. */
static void name_of(const char *path, char *to, size_t n_to)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    if (name[0] == '\0' || name[0] == '.' || strlen(name) > WIRE_NAME_BYTES_MAX ||
        !text_is_utf8(slice_str(name))) {
        name = "program";
    }
    snprintf(to, n_to, "%s", name);
}

static int open_file(mesh *m, const char *path, struct mesh_program *program)
{
    uint8_t head[64];
    struct stat st;
    program->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (program->fd < 0) {
        return mesh_set_error(m, MESH_EINVAL, "cannot open the program %s: %s", path,
                              strerror(errno));
    }
    m->n_programs++;
    if (fstat(program->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        return mesh_set_error(m, MESH_EINVAL, "the program %s is not a file", path);
    }
    ssize_t n = pread(program->fd, head, sizeof(head), 0);
    const char *arch = mesh_program_arch(slice_of(head, n > 0 ? (size_t)n : 0));
    snprintf(program->arch, sizeof(program->arch), "%s", arch);
    return 0;
}

/* The same program for one more architecture: under the name of the first. */
static int add_program(mesh *m, const char *path)
{
    if (m->n_programs == MESH_PROGRAMS_MAX) {
        return mesh_set_error(m, MESH_ELIMIT, "a program for more than %u architectures",
                              MESH_PROGRAMS_MAX);
    }
    struct mesh_program *program = &m->programs[m->n_programs];
    int r = open_file(m, path, program);
    if (r < 0) {
        return r;
    }
    snprintf(program->path, sizeof(program->path), "%s", m->exec + 2);
    for (unsigned i = 0; i + 1 < m->n_programs; i++) {
        const struct mesh_program *other = &m->programs[i];
        if (strcmp(other->path, program->path) == 0 && strcmp(other->arch, program->arch) == 0) {
            return mesh_set_error(m, MESH_EINVAL, "%s: there is a program for %s already", path,
                                  program->arch[0] != '\0' ? program->arch : "any architecture");
        }
    }
    return 0;
}

/* Where mesh-worker is: installed, or beside the running program, or in its build tree. */
static int find_loader(char *to, size_t n_to)
{
    static const char *const beside[] = {LOADER, "../libexec/mesh/" LOADER,
                                         "../mesh/client/" LOADER, "../../mesh/client/" LOADER};
    char self[PATH_BYTES];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    for (size_t i = 0; slash != NULL && i < ARRAY_LEN(beside); i++) {
        slash[1] = '\0';
        snprintf(to, n_to, "%s%s", self, beside[i]);
        if (access(to, X_OK) == 0) {
            return 0;
        }
    }
    snprintf(to, n_to, "%s/" LOADER, MESH_LIBEXEC_DIR);
    return access(to, X_OK) == 0 ? 0 : -ENOENT;
}

static int open_object(mesh *m, const char *path)
{
    char loader[PATH_BYTES + 64];
    struct mesh_program *object = &m->programs[0];
    int r = open_file(m, path, object);
    if (r < 0) {
        return r;
    }
    name_of(path, object->path, sizeof(object->path));
    snprintf(m->object, sizeof(m->object), "%s=./%s", MESH_OBJECT_ENV, object->path);
    if (find_loader(loader, sizeof(loader)) < 0) {
        return mesh_set_error(m, MESH_EINVAL, "cannot load %s: " LOADER " is not installed at %s",
                              path, MESH_LIBEXEC_DIR);
    }
    snprintf(m->exec, sizeof(m->exec), "./" LOADER);
    return add_program(m, loader);
}

int mesh_programs_open(mesh *m, const struct mesh_options *options)
{
    char self[PATH_BYTES];
    const char *path = options->program;
    if (path == NULL) {
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        self[n > 0 ? n : 0] = '\0';
        path = self;
    }
    char name[WIRE_NAME_BYTES_MAX + 1];
    name_of(path, name, sizeof(name));
    name_of(options->name != NULL ? options->name : name, m->name, sizeof(m->name));
    if (is_object(path)) {
        return options->programs == NULL || options->programs[0] == NULL
                   ? open_object(m, path)
                   : mesh_set_error(m, MESH_EINVAL,
                                    "%s: a shared object is for one architecture alone", path);
    }
    snprintf(m->exec, sizeof(m->exec), "./%s", name);
    /* The running program by its link, which holds even where its file was replaced. */
    int r = add_program(m, options->program != NULL ? path : "/proc/self/exe");
    for (size_t i = 0; r == 0 && options->programs != NULL && options->programs[i] != NULL; i++) {
        r = add_program(m, options->programs[i]);
    }
    return r;
}

void mesh_programs_done(mesh *m)
{
    for (unsigned i = 0; i < m->n_programs; i++) {
        if (m->programs[i].fd >= 0) {
            close(m->programs[i].fd);
        }
    }
    m->n_programs = 0;
}
