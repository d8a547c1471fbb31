#!/usr/bin/env python3
"""Prints as JSON what a report's reader asks first: when, of which commit, built how, on what.

    facts.py BUILD SEED     BUILD: a build folder of meson's

Nothing of it names the machine or whose it is.
"""

import datetime
import json
import os
import pathlib
import subprocess
import sys


def ask(*words):
    """What the command prints; nothing, if it is not there or fails."""
    try:
        return subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def commit_of(source):
    name = ask("git", "-C", source, "rev-parse", "--short=12", "HEAD")
    is_changed = ask("git", "-C", source, "status", "--porcelain", "--untracked-files=no")
    return (name + (", with changes" if is_changed else "")) if name else None


def build_of(build):
    options = {option["name"]: option["value"] for option in
               json.loads(ask("meson", "introspect", build, "--buildoptions") or "[]")}
    sanitizers = options.get("b_sanitize") or "none"
    if not isinstance(sanitizers, str):
        sanitizers = ",".join(sanitizers) or "none"
    return {"type": options.get("buildtype", "unknown"), "sanitizers": sanitizers}


def memory_mib():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1 << 20)


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: facts.py BUILD SEED")
    kernel = os.uname()
    source = str(pathlib.Path(__file__).resolve().parent)
    print(json.dumps({
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit_of(source), "build": build_of(sys.argv[1]),
        "kernel": f"{kernel.sysname} {kernel.release} {kernel.machine}",
        "processors": len(os.sched_getaffinity(0)), "memory_mib": memory_mib(),
        "seed": int(sys.argv[2])}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
