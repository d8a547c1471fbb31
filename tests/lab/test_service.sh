#!/bin/bash
# meshd.service: read by systemd's own tools, and run by a real systemd, which is process 1 of a
# machine made of namespaces. Prints TAP.
#
#   test_service.sh BUILD SOURCE
#
# The last part needs root, systemd and a control group tree of version 2; it skips aloud where one
# of them is missing. Nothing is left behind: all of it dies with the namespaces.
set -u
build=$1
source=$2
user_patience=60 # seconds for whatever has to happen, on a loaded machine
exposure_max=35  # tenths, by systemd-analyze security

if ! command -v systemd-analyze >/dev/null; then
    echo "# skipped: no systemd on this machine"
    echo "1..0 # SKIP no systemd on this machine"
    exit 0
fi
dir=$(mktemp -d) || exit 1
group=
outer=
clean_up() {
    [ -z "$outer" ] || { kill -9 "$outer" && wait "$outer"; } 2>/dev/null
    rm -rf "$dir"
    # It is empty once its last process is reaped.
    [ -z "$group" ] || for _ in $(seq 50); do
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
        [ -d "$group" ] || break
        sleep 0.1
    done
}
trap clean_up EXIT

n=0
report() { # report STATUS NAME: what was said meanwhile is in $dir/said
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $n - $2"
    else
        echo "not ok $n - $2"
        sed 's/^/# /' "$dir/said"
    fi
}
skip() { # skip NAME WHY
    n=$((n + 1))
    echo "# skipped: $1: $2"
    echo "ok $n - $1 # SKIP $2"
}

# --- what systemd reads in it ----------------------------------------------------------------------

echo 1..4
# The programs stand where another user reaches them, and where ProtectHome= does not hide them.
unit() { # unit MESHD
    sed "s,^ExecStart=.*,ExecStart=$1," "$build/mesh/meshd.service"
}
mkdir "$dir/verify"
unit "$build/mesh/meshd" >"$dir/verify/meshd.service"

the_unit_is_well_formed() {
    systemd-analyze verify --man=no "$dir/verify/meshd.service" && [ ! -s "$dir/said" ]
}
the_unit_is_well_formed >"$dir/said" 2>&1
report $? the_unit_is_well_formed

the_unit_exposes_little() {
    systemd-analyze security --no-pager --offline=true --threshold=$exposure_max \
        "$dir/verify/meshd.service"
}
the_unit_exposes_little >"$dir/said" 2>&1
report $? the_unit_exposes_little
sed -n 's/^.*Overall exposure level for meshd.service: \([0-9.]*\).*/# figure: exposure of meshd.service by systemd-analyze security: \1/p' \
    "$dir/said"

the_user_is_made_from_its_definition() {
    mkdir -p "$dir/root/etc" && systemd-sysusers --root="$dir/root" "$source/mesh/mesh-sysusers.conf" &&
        grep -q '^mesh:x:[0-9]*:[0-9]*:.*:/usr/sbin/nologin$' "$dir/root/etc/passwd" &&
        grep -q '^mesh:' "$dir/root/etc/group"
}
the_user_is_made_from_its_definition >"$dir/said" 2>&1
report $? the_user_is_made_from_its_definition

# --- and what it does ------------------------------------------------------------------------------

name=the_service_runs_tasks_under_its_own_hardening
systemd=$(pkg-config --variable=systemdutildir systemd 2>/dev/null || echo /lib/systemd)/systemd
tree=$(findmnt -n -o TARGET -t cgroup2 | head -n 1)
if [ "$(id -u)" -ne 0 ] || ! grep -q ' 4294967295$' /proc/self/uid_map; then
    skip $name "not root of this machine"
    exit 0
elif [ ! -x "$systemd" ] || [ -z "$tree" ] || ! mkdir "$tree/mesh-test-$$" 2>/dev/null; then
    skip $name "no systemd, or no control groups of version 2"
    exit 0
fi
group=$tree/mesh-test-$$

# Process 1 and its world: own /etc, /run, /tmp, /var/lib, /var/log, control groups and network.
cat >"$dir/boot" <<'BOOT'
set -e
mount --make-rprivate /
mkdir "$dir/mnt"
mount -t tmpfs tmpfs "$dir/mnt"
mkdir -p "$dir/mnt/bin" "$dir/mnt/up" "$dir/mnt/work"
cp "$build/mesh/meshd" "$build/mesh/mesh-cell" "$build/cli/mesh" "$dir/mnt/bin"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$dir/mnt/up,workdir=$dir/mnt/work" /etc
rm -rf /etc/systemd/system
mkdir -p /etc/systemd/system
cp "$dir/meshd.service" /etc/systemd/system/
printf '[Unit]\nDefaultDependencies=no\nAllowIsolate=yes\n' >/etc/systemd/system/lab.target
sed -i /^mesh:/d /etc/passwd /etc/group /etc/shadow /etc/gshadow
systemd-sysusers "$source/mesh/mesh-sysusers.conf"
mount --move "$dir/mnt" /mnt
for folder in /run /tmp /var/lib /var/log; do
    mount -t tmpfs -o mode=755 tmpfs $folder
done
chmod 1777 /tmp
umount -R -l /sys
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
while umount -l /proc 2>/dev/null; do :; done
mount -t proc proc /proc
ip link set lo up
exec "$systemd" --unit=lab.target --log-target=console --show-status=no
BOOT
# What a sanitizer does at its end, the unit's filter forbids.
unit /mnt/bin/meshd | sed '/^ExecStart=/a Environment=ASAN_OPTIONS=detect_leaks=0' \
    >"$dir/meshd.service"
(
    echo $BASHPID >"$group/cgroup.procs"
    export container=lab dir build source systemd
    exec unshare --cgroup --mount --uts --ipc --net --pid --fork --kill-child \
        bash "$dir/boot" >"$dir/console" 2>&1
) &
outer=$!

inside() { # a line of the shell, as root of that machine
    nsenter -t "$inner" --all bash -ec "$1" 2>&1
}
until_true() {
    local end=$((SECONDS + user_patience))
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] && kill -0 "$outer" 2>/dev/null || return 1
        sleep 0.1
    done
}
find_inner() {
    inner=$(pgrep -P "$outer") && [ "$(readlink "/proc/$inner/exe")" = "$(readlink -f "$systemd")" ]
}
is_booted() {
    find_inner && inside 'systemctl is-system-running' | grep -q 'running\|degraded'
}
if ! until_true is_booted; then
    sed 's/^/# /' "$dir/console"
    skip $name "systemd does not start in namespaces here"
    exit 0
fi

check_status() { # check_status NAME VALUE
    grep -q "^$1:[[:space:]]*$2\$" "/proc/$daemon/status" || {
        grep "^$1:" "/proc/$daemon/status"
        return 1
    }
}
the_service_runs() {
    inside 'systemctl start meshd'
    until_true inside 'test -S /run/mesh/mesh.sock && /mnt/bin/mesh peers' || return 1
    daemon=$(pgrep -n -x meshd --nslist pid --ns "$inner") || return 1
    uid=$(inside 'id -u mesh') gid=$(inside 'id -g mesh')
    for set in CapInh CapPrm CapEff CapBnd CapAmb; do
        check_status $set 0000000000000000 || return 1
    done
    check_status Uid "$uid\s*$uid\s*$uid\s*$uid" && check_status NoNewPrivs 1 &&
        check_status Seccomp 2 || return 1
    # Tasks, in a sandbox, as root of the machine and as a member of the group.
    [ "$(inside '/mnt/bin/mesh submit sh -c "test ! -e /var && echo ran" 2>/dev/null')" = ran ] ||
        return 1
    inside 'setpriv --reuid 1234 --regid 1234 --groups $(id -g mesh) \
        /mnt/bin/mesh --socket /run/mesh/mesh.sock peers' || return 1
    inside 'setpriv --reuid 1234 --regid 1234 --clear-groups \
        /mnt/bin/mesh --socket /run/mesh/mesh.sock peers' | grep "join group mesh" || return 1
    ! inside 'journalctl -u meshd -o cat | grep "no sandbox"' || return 1
    # Its own control group, below the unit's.
    inside 'grep -q "^0::/system.slice/meshd.service/daemon$" /proc/$(systemctl show -p MainPID --value meshd)/cgroup' ||
        return 1
    [ "$(inside 'find /var/lib/mesh/ /run/mesh/ ! -user mesh')" = "" ] || return 1
    inside 'systemctl restart meshd && systemctl is-active meshd && systemctl stop meshd &&
        test "$(systemctl show -p Result --value meshd)" = success'
}
the_service_runs >"$dir/said" 2>&1
status=$?
[ $status -eq 0 ] || inside 'systemctl status --no-pager -l meshd; journalctl -u meshd --no-pager' >>"$dir/said" 2>&1
report $status $name
