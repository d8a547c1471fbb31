#!/bin/sh
# mesh_exports.sh NM MESH.H LIBMESH.SO LIBMESH.A: both libraries export the functions of mesh.h, all
# of them and nothing else.
set -eu
nm=$1 header=$2 shared=$3 static=$4
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
tr '\n' ' ' <"$header" | grep -o 'MESH_API [^;{]*;' | grep -o 'mesh_[a-z_]*(' | awk '!seen[$0]++' |
    tr -d '(' | sort -u >"$dir/header"
[ "$(wc -l <"$dir/header")" -gt 50 ] || { echo "too few functions found in $header"; exit 1; }
# What sanitizers and gcc add to any object is not ours to judge.
ours() { awk '$2 ~ /^[TDBRVWi]$/ { sub(/@.*/, "", $3); print $3 }' | grep -v '^_\|asan\|ubsan\|tsan\|gcov' | sort -u; }
"$nm" -D --defined-only "$shared" | ours >"$dir/shared"
"$nm" --extern-only --defined-only "$static" | ours >"$dir/static"
for library in shared static; do
    diff "$dir/header" "$dir/$library" || { echo "above: < in mesh.h, > exported by the $library library"; exit 1; }
done
