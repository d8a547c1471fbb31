#!/bin/sh
# Every test that SECURITY.md names is there.
#
#   mesh_security.sh SOURCE
set -u
cd "$1" || exit 1
status=0
n=0
# A name of a test is words joined by underscores, between backquotes; of a file it has a dot.
for name in $(grep -o '`[a-z0-9]*_[a-z0-9_]*_[a-z0-9_]*`' SECURITY.md | tr -d '`' | sort -u); do
    [ "$name" = no_new_privs ] && continue
    n=$((n + 1))
    if ! grep -rqwE --include='*.c' --include='*.sh' "(START_TEST\(|name=)$name" tests; then
        echo "SECURITY.md names the test $name, which is nowhere below tests/"
        status=1
    fi
done
[ "$n" -ge 30 ] || { echo "only $n names were found in SECURITY.md"; status=1; }
exit $status
