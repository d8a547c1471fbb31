#!/bin/sh
# mesh_man.sh MESH.H MESH.H.3 CC: the manual page names all that mesh.h declares and nothing that it
# does not; groff finds no fault with the pages; their example compiles.
set -eu
header=$1 page=$2 cc=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
die() {
    echo "mesh_man: $*" >&2
    exit 1
}

# Names of mesh.h: functions and types, then what is all capitals. Comments speak of others, and the
# last part is the macros' own.
sed '/private to the macros/,$d' "$header" | sed 's|//.*||' |
    awk '{ gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, "") } /\/\*/ { sub(/\/\*.*/, ""); print; skip = 1; next }
         skip { if (!sub(/.*\*\//, "")) next; skip = 0 } { print }' >"$dir/code"
# Of a function, and of the macros that stand for one.
names() { grep -ow "$1" | sort -u; }
names 'mesh_[a-z_]*' <"$dir/code" | grep -vx 'mesh_entry_of_\|mesh_register_' >"$dir/declared"
names 'MESH_[A-Z]*' <"$dir/code" | grep -vx 'MESH_H\|MESH_API\|MESH_PRINTF\|MESH_PASTE\|MESH_SUBMIT_\|MESH_SOME_OR_NONE' >>"$dir/declared"
sort -u "$dir/declared" >"$dir/header"
# The page as it is read: bold and hyphens are marks in the source.
sed 's/\\-/-/g; s/\\f[BIPR]//g' "$page" >"$dir/plain"
{
    names 'mesh_[a-z_]*' <"$dir/plain"
    names 'MESH_[A-Z]*' <"$dir/plain"
} | sort -u >"$dir/named"
# The environment's variables are meshd's and mesh's as much as ours.
grep -vx 'MESH_SOCKET\|MESH_STATE\|MESH_WORKER\|MESH_OBJECT' "$dir/named" >"$dir/page"
[ "$(wc -l <"$dir/header")" -gt 110 ] || die "too few names found in $header"
diff "$dir/header" "$dir/page" >"$dir/diff" ||
    die "< only in mesh.h, > only in mesh.h(3):
$(cat "$dir/diff")"

if command -v groff >/dev/null; then
    for file in "$page" "$(dirname "$page")"/../../../cli/man/*.[0-9]; do
        groff -man -ww -Tutf8 "$file" 2>"$dir/said" >"$dir/read"
        [ ! -s "$dir/said" ] || die "$file: $(cat "$dir/said")"
        [ "$(wc -l <"$dir/read")" -gt 50 ] || die "$file is empty"
    done
else
    echo "# skipped: how the pages look: no groff here"
fi

awk '/^\.EE/ { is_code = 0; if (++n == 1) exit } is_code { gsub(/\\e/, "\\"); gsub(/\\-/, "-"); print } /^\.EX/ { is_code = 1 }' \
    "$page" >"$dir/example.c"
grep -q 'int main' "$dir/example.c" || die "there is no example"
# shellcheck disable=SC2086
$cc -std=c99 -pedantic -Wall -Wextra -Werror -I "$(dirname "$header")" -c -o "$dir/example.o" "$dir/example.c"
