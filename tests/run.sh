# Sourced by tests/run, tests/matrix, tests/lab/run and tests/lab/soak: building, running and
# counting. No fixed path outside the tree, no port: two runs of one clone do not meet.

passed=0 failed=0 skipped=0

# What goes when we do, however we end. The one trap for that: whoever sets another replaces it.
removals=()
trap 'rm -rf "${removals[@]}"' EXIT

# remove_at_end PATH: wherever we are by then.
remove_at_end() {
    case $1 in
    /*) removals+=("$1") ;;
    *) removals+=("$PWD/$1") ;;
    esac
}

say() {
    printf '== %s\n' "$*"
}

# The comment at the head of the script: how it is called and what it does.
show_help() {
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
}

# refuse WHAT: what was wrong with how we were called, and the end.
refuse() {
    echo "$(basename "$0"): $1 (see $(basename "$0") --help)" >&2
    exit 2
}

# path_of FLAG PATH: what the user means where he is ($here), as an absolute path.
path_of() {
    case $2 in
    '') refuse "$1 needs a folder" ;;
    /*) echo "$2" ;;
    *) echo "$here/$2" ;;
    esac
}

# The last line and the exit status of the whole run.
finish() {
    [ "$failed" -eq 0 ]
    local status=$?
    echo "$passed passed, $failed failed, $skipped skipped"
    exit $status
}

# Nothing more can be run: that is one failure.
finish_broken() {
    echo "== stopped: $*"
    failed=$((failed + 1))
    finish
}

# run_one NAME COMMAND...: one test, passed if the command ends with 0; its output is shown if not.
run_one() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        echo "ok   $name"
        passed=$((passed + 1))
    else
        printf '%s\n' "$output"
        echo "FAIL $name"
        failed=$((failed + 1))
    fi
}

# Sets $build: the folder NAME, or, where another run of this clone holds that, one of our own that
# goes when we do.
take_build() {
    mkdir -p "$1"
    exec 8>"$1/.in-use"
    if flock -n 8; then
        build=$1
    else
        build=$1-$$
        remove_at_end "$build"
    fi
}

# configure_and_build FOLDER MESON-OPTION...: prints nothing but what went wrong.
configure_and_build() {
    local folder=$1 log
    shift
    mkdir -p "$folder"
    log=$folder/build.log
    if [ -f "$folder/build.ninja" ]; then
        meson configure "$folder" "$@" >"$log" 2>&1
    else
        meson setup "$folder" "$root" "$@" >"$log" 2>&1
    fi || {
        cat "$log"
        return 1
    }
    ninja -C "$folder" >"$log" 2>&1 || {
        grep -v '^\[' "$log" | tail -60
        return 1
    }
}

# run_suites FOLDER "SUITE..." [MESON-TEST-OPTION...]: all of them at once; adds their test cases to
# the counts.
run_suites() {
    local folder=$1 suites=$2 name suite log found status counts p f s
    shift 2
    name=${suites// /-}
    for suite in $suites; do
        set -- --suite "$suite" "$@"
    done
    log=$folder/meson-logs/$name.txt
    mkdir -p "$folder/meson-logs"
    rm -f "$folder"/meson-logs/testlog*.junit.xml
    meson test -C "$folder" --no-rebuild --print-errorlogs "$@" 2>&1 | tee "$log" | grep --line-buffered \
        -vE '^(ninja: |Full log|Ok:|Expected Fail:|Fail:|Unexpected Pass:|Skipped:|Timeout:|$)'
    status=${PIPESTATUS[0]}
    # With --wrap PROGRAM meson puts the program's name behind `testlog`.
    found=$(ls "$folder"/meson-logs/testlog*.junit.xml 2>/dev/null)
    if [ -z "$found" ]; then
        grep -q 'No suitable tests\|No tests defined' "$log" && return
        failed=$((failed + 1))
        return
    fi
    cp "$found" "$folder/meson-logs/$name.junit.xml"
    show_figures "${found%.junit.xml}.txt"
    counts=$(count_cases "$folder/meson-logs/$name.junit.xml")
    read -r p f s <<<"$counts"
    # A binary that died before it could report has a status, if no case.
    [ "$status" -eq 0 ] || [ "$f" -gt 0 ] || f=1
    echo "$suites: $p passed, $f failed, $s skipped"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# report_folder FOLDER: makes it, empty. One that is there is replaced only if an earlier report made
# it.
report_folder() {
    if [ -e "$1" ] && [ ! -e "$1/.mesh-report" ] && [ -n "$(ls -A "$1" 2>&1)" ]; then
        echo "$(basename "$0"): $1 is there and is no report: name another folder, or remove it" >&2
        exit 2
    fi
    rm -rf "${1:?}"
    mkdir -p "$1" && touch "$1/.mesh-report" || exit 1
}

# Lines that tests print as `# figure: ...` are meant for the reader.
show_figures() {
    awk '/figure: / { sub(/^.*figure: /, ""); print "  " $0 }
         /^# skipped: / { sub(/^# /, ""); print "  " $0 }' "$1" | awk '!seen[$0]++'
}

# "PASSED FAILED SKIPPED", summed over the <testsuite> lines of a JUnit file.
count_cases() {
    awk '
    function attribute(name,    v) {
        if (!match($0, " " name "=\"[0-9]+\"")) return 0
        v = substr($0, RSTART, RLENGTH); gsub(/[^0-9]/, "", v); return v + 0
    }
    { gsub(/></, ">\n<") }
    { n = split($0, part, "\n"); for (i = 1; i <= n; i++) { $0 = part[i]
        if ($0 ~ /^ *<testsuite /) {
            t += attribute("tests"); f += attribute("failures") + attribute("errors"); s += attribute("skipped")
        } } }
    END { printf "%d %d %d\n", t - f - s, f, s }' "$1"
}
