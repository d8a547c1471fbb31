#!/bin/sh
# mesh_install.sh BUILD CC SANITIZE CLIENT: what is installed is all that a user of libmesh needs.
# Installs into a folder of its own, compiles the example sum_primes_mesh.c of the folder CLIENT with
# nothing but what pkg-config says, once for the shared library and once for the static one, and runs
# each through an installed meshd that sees nobody else. So is the code of MIGRATING.md, which must
# print what stands beside it, and that of README.md. SANITIZE is what the libraries were built with, or "none".
set -eu
build=$1 cc=$2 sanitize=$3 client=$4
example=$client/examples/sum_primes/sum_primes_mesh.c
dir=$(mktemp -d)
daemon=
finish() {
    status=$?
    [ $status -eq 0 ] || cat "$dir"/*.log
    [ -z "$daemon" ] || { kill "$daemon" && wait "$daemon" || :; }
    rm -rf "$dir"
}
trap finish EXIT
die() {
    echo "mesh_install: $*" >&2
    exit 1
}

DESTDIR=$dir/root meson install -C "$build" --no-rebuild >"$dir/install.log" 2>&1
pc=$(find "$dir/root" -name mesh.pc)
[ -n "$pc" ] || die "no mesh.pc was installed"
export PKG_CONFIG_LIBDIR="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$dir/root"
libdir=$dir/root$(PKG_CONFIG_SYSROOT_DIR= pkg-config --variable=libdir mesh)
bindir=$dir/root$(PKG_CONFIG_SYSROOT_DIR= pkg-config --variable=prefix mesh)/bin
man=$(find "$dir/root" -name mesh.h.3)
[ -n "$man" ] || die "no mesh.h(3) was installed"

# With a sanitizer inside, libmesh.a needs that compiler's own words and cannot be linked -static.
extra= static="-static $(pkg-config --static --libs mesh)"
if [ "$sanitize" != none ]; then
    extra="-fsanitize=$sanitize"
    static="$libdir/libmesh.a $(pkg-config --static --libs mesh | sed 's/-lmesh//')"
fi
awk -f "$(dirname "$0")/mesh_migrating.awk" "$client/MIGRATING.md" >"$dir/migrating.c"
sed -n 's|.*// -> ||p' "$client/MIGRATING.md" >"$dir/migrating.wanted"
[ "$(wc -l <"$dir/migrating.wanted")" -ge 15 ] || die "too few examples found in MIGRATING.md"
# What the first page of all shows.
sed -n '/^## From C/,/^    \$/ s/^    //p' "$client/../../README.md" | grep -v '^\$' >"$dir/readme.c"
cat >"$dir/twice.c" <<'END'
#include <mesh.h>
MESH_FUNCTION(twice)
{
    return mesh_return_int(task, 2 * mesh_arg_int(task, 0));
}
END
cat >"$dir/host.c" <<'END'
#include <mesh.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    struct mesh_options options = {.program = argc > 1 ? argv[1] : NULL};
    mesh *m = mesh_open(&options);
    mesh_future *future = mesh_submit(m, "twice", mesh_int(21));
    printf("%d%s\n", (int)mesh_get_int(future), mesh_future_error_text(future));
    mesh_close(m);
    return 0;
}
END
# shellcheck disable=SC2046,SC2086
{
    $cc -std=c99 -pedantic -Wall -Wextra -Werror $extra -o "$dir/shared" "$example" \
        $(pkg-config --cflags --libs mesh) -Wl,-rpath,"$libdir"
    $cc $extra -o "$dir/static" "$example" $(pkg-config --cflags mesh) $static
    $cc -std=c99 -pedantic -Wall -Wextra -Werror $extra -o "$dir/migrating" "$dir/migrating.c" \
        $(pkg-config --cflags --libs mesh) -Wl,-rpath,"$libdir"
    $cc -std=c99 -pedantic -Wall -Wextra -Werror $extra -o "$dir/readme" "$dir/readme.c" \
        $(pkg-config --cflags --libs mesh) -Wl,-rpath,"$libdir"
    # A shared object is linked to nothing of libmesh: its functions find mesh.h's in mesh-worker.
    $cc -shared -fPIC $extra -o "$dir/twice.so" "$dir/twice.c" $(pkg-config --cflags mesh)
    $cc $extra -o "$bindir/host" "$dir/host.c" $(pkg-config --cflags --libs mesh) -Wl,-rpath,"$libdir"
} >"$dir/cc.log" 2>&1
readelf -d "$dir/shared" | grep -q 'NEEDED.*libmesh\.so\.0' || die "not linked to libmesh.so.0"
! readelf -d "$dir/static" | grep -q libmesh || die "the static library was not used"

# Without a sandbox, in which a worker would see no libraries but those of /usr.
mkdir "$dir/state"
"$bindir/meshd" --socket "$dir/mesh.sock" --state "$dir/state" --interface lo --discovery off \
    --listen 127.0.0.1:0 --sandbox off --cores 2 >"$dir/meshd.log" 2>&1 &
daemon=$!
export MESH_SOCKET="$dir/mesh.sock"
deadline=$(($(date +%s) + 60))
until "$bindir/mesh" peers >"$dir/peers.log" 2>&1; do
    kill -0 "$daemon" && [ "$(date +%s)" -lt $deadline ] || die "the installed meshd does not answer"
done
for kind in shared static; do
    "$dir/$kind" 3 10 100 >"$dir/$kind.out" 2>"$dir/$kind.log" || die "$kind: ended with $?"
    printf '3\t2\n10\t17\n100\t1060\n' | cmp - "$dir/$kind.out" || die "$kind: other sums"
done
"$dir/migrating" >"$dir/migrating.out" 2>"$dir/migrating.log" || die "MIGRATING.md: ended with $?"
diff "$dir/migrating.wanted" "$dir/migrating.out" || die "MIGRATING.md: > is what its code prints"
[ "$("$bindir/host" "$dir/twice.so")" = 42 ] || die "twice.so: $("$bindir/host" "$dir/twice.so")"
"$dir/readme" | grep -qx 112500007500000 || die "README.md: another sum"
