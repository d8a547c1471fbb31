# Two daemons on loopback for the scripts here: `owner` takes jobs and runs nothing, `executor` runs
# them, with $cores cores (2), and lets tasks write into $dir/runs. Sourced with $build, $seed, $is_torn
# and $is_tap set; whoever sources it starts the owner. Nothing is left on the machine.
#
# shellcheck shell=bash
for number in "$@"; do
    [[ $number == "$build" || $number =~ ^[1-9][0-9]*$ ]] || {
        sed -n 's/^#   \(tests[^ ]*\)/usage: \1/p' "$0" >&2
        exit 2
    }
done
mesh=$build/cli/mesh
meshd=$build/mesh/meshd
torn=$build/tests/durable/meshd-torn
for program in "$meshd" "$mesh" "$torn"; do
    [ -x "$program" ] || { echo "$(basename "$0"): $program is not there: build it first" >&2; exit 2; }
done

dir=$(mktemp -d /tmp/mesh-kills-XXXXXX)
chmod 755 "$dir"
mkdir -m 777 "$dir/runs" # written to by tasks, under another user
mkfifo "$dir/never"
exec 9<> "$dir/never" # nothing ever comes: `read -t` is a pause
export MESH_SOCKET=$dir/owner.sock
pids=() # of what was started here
owner=
end() {
    rm -f "$dir/go"
    for pid in "${pids[@]}" $owner; do
        kill -9 "$pid" 2> /dev/null
    done
    wait 2> /dev/null
    rm -rf "$dir"
}
trap end EXIT
trap 'exit 1' INT TERM
fail() {
    echo "$(basename "$0"): $*, with seed $seed" >&2
    tail -n 5 "$dir/owner.log" "$dir/executor.log" >&2
    $is_tap && { echo "1..1"; echo "not ok 1 - $*"; }
    exit 1
}
await() { # COMMAND...; not for ever, but as long as a machine may be busy with other things
    local deadline=$((SECONDS + 100))
    until "$@" 2> /dev/null; do
        [ $SECONDS -lt $deadline ] || return 1
        read -rt 0.02 -u 9 _
    done
    return 0
}

if $is_torn; then # its cells' program has to be beside it
    mkdir "$dir/torn"
    cp "$torn" "$build/mesh/mesh-cell" "$dir/torn/" || exit 2
    torn=$dir/torn/meshd-torn
fi
was_torn=$is_torn
RANDOM=$seed

# --- the two daemons -------------------------------------------------------------------------------

"$meshd" --state "$dir/executor" --socket "$dir/executor.sock" --interface lo --discovery off \
    --listen 127.0.0.1:0 --cores "${cores:-2}" --name executor --bind-rw "$dir/runs" --dead-after 1 \
    --peer 127.0.0.1:1 2> "$dir/executor.log" &
pids+=($!)
await grep -q 'listening on port' "$dir/executor.log" || fail "the executor does not start"
if grep -q 'no sandbox\|want of a sandbox' "$dir/executor.log"; then
    $is_tap && { echo "1..0 # SKIP no sandbox here"; exit 0; }
    echo "$(basename "$0"): no sandbox here" >&2
    exit 77
fi
port=$(sed -n 's/.*listening on port \([0-9]*\).*/\1/p' "$dir/executor.log")
start_owner() { # [SEED OF THE DISK]
    local program=$meshd
    local -a environment=()
    if [ $# -gt 0 ]; then
        program=$torn
        environment=("MESH_TORN_SEED=$1")
    fi
    env "${environment[@]}" "$program" --state "$dir/owner" --socket "$MESH_SOCKET" --interface lo \
        --discovery off --listen 127.0.0.1:0 --cores 0 --name owner --dead-after 1 \
        --peer "127.0.0.1:$port" 2>> "$dir/owner.log" &
    owner=$!
    disown "$owner" # its death is no news
}
kill_owner() {
    kill -9 "$owner" 2> /dev/null || return
    await bash -c "! kill -0 $owner" || fail "the daemon does not die" # its lock is free then
}
n_starts=0
start_again() {
    n_starts=$((n_starts + 1))
    if $is_torn; then start_owner $((seed * 100000 + n_starts)); else start_owner; fi
}
is_up() {
    # A disk that fails while the journal is opened ends the daemon, as it should.
    $is_torn && ! kill -0 "$owner" && start_again
    "$mesh" peers > /dev/null
}
