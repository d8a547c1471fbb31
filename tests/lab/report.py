#!/usr/bin/env python3
"""Makes one page and one JSON file of what the lab's scenarios wrote down.

    report.py FOLDER     FOLDER/1, FOLDER/2, ...: a folder for each round

In a round's folder lie for each scenario NAME.json (tests/lab/scenario_report.c says what is in it;
of one that was skipped there is none) and NAME.log, and `results`, a line `pass NAME`, `fail NAME`
or `skip NAME REASON` for each. FOLDER/facts.json is what facts.py said. Writes FOLDER/report.json
and FOLDER/report.html, which needs nothing from elsewhere but the logs that it points at. Prints a
line for each promise that is not kept, and exits 1 if there is one; scenarios that failed are in
the page, and whoever played them knows.
"""

import html
import json
import pathlib
import statistics
import sys

LANE_PX = 9
LABEL_PX = 60
WIDTH_PX = 900
MEDIAN_OF_MIN = 3  # of fewer rounds it says nothing
HEAD_PX = 18
COLOURS = {"first": "#4c956c", "again": "#2c6e9b", "lost": "#d8572a"}

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 72em; color: #222; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 3px 10px 3px 0; vertical-align: top;
         border-bottom: 1px solid #ddd; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.good { color: #2b7a4b; } .bad { color: #c0392b; font-weight: bold; } .none { color: #888; }
tr.none a { color: #888; } .facts { color: #555; font-size: 13px; }
td small { display: block; }
pre { white-space: pre-wrap; background: #fdf3f2; padding: 6px 10px; margin: 4px 0; }
summary { cursor: pointer; }
svg { background: #fafafa; margin: 6px 0 12px; max-width: 100%; height: auto; }
ol { margin: 0 0 1em; padding-left: 2em; columns: 2; font-size: 13px; }
"""


# Figures of which the smallest is the worst. Of all others it is the largest.
MORE_IS_BETTER = {"results, each right and once"}
SAID_MAX = 12  # lines of what a test that failed said


def read_facts(folder):
    """What facts.py said; nothing, where it could not."""
    try:
        return json.loads((folder / "facts.json").read_text())
    except (OSError, ValueError):
        return {}


def read_failure(log):
    """What the test said as it failed, from `not ok` on; or the end of what it printed."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return "there is no log"
    for number, line in enumerate(lines):
        if line.startswith("not ok"):
            said = [line.removeprefix("not ok").lstrip(" 0123456789-")]
            for more in lines[number + 1:number + SAID_MAX]:
                if more.startswith(("ok ", "not ok ", "# ", "1..", "---")):
                    break
                said.append(more)
            return "\n".join(said).rstrip()
    return "\n".join(["it ended without a result:"] + lines[1 - SAID_MAX:])


def read_rounds(folder):
    """{scenario: [what each round wrote, and its `verdict` as the test itself ended]}, in order."""
    scenarios = {}
    for round_folder in sorted(folder.glob("[0-9]*"), key=lambda path: int(path.name)):
        for line in (round_folder / "results").read_text().splitlines():
            verdict, name, reason = (line.split(" ", 2) + [""])[:3]
            path = round_folder / (name + ".json")
            data = {"name": name, "title": name, "figures": [], "marks": [], "runs": [],
                    "hosts": [], "ms": 0, "seed": None}
            if path.exists():
                data = json.loads(path.read_text())
                data["seed"] = int(data["seed"])
            log = f"{round_folder.name}/{name}.log"
            data.update(verdict=verdict, reason=reason, round=int(round_folder.name), log=log)
            if verdict == "fail":
                data["reason"] = read_failure(folder / log)
            scenarios.setdefault(name, []).append(data)
    return scenarios


def gather(rounds):
    """{(figure, unit): all its values and what is promised}. A time may be taken more than once in
    a round; what is counted (of several jobs, say) is one sum."""
    figures = {}
    for data in rounds:
        sums = {}
        for figure in data["figures"]:
            key = (figure["name"], figure["unit"])
            entry = figures.setdefault(key, {"values": [], "limit": None, "median_limit": None})
            for limit in ("limit", "median_limit"):
                if figure.get(limit) is not None:
                    entry[limit] = figure[limit]
            if figure["unit"] == "ms":
                entry["values"].append(figure["value"])
            else:
                sums[key] = sums.get(key, 0) + figure["value"]
        for key, value in sums.items():
            figures[key]["values"].append(value)
    return figures


def summarise(rounds):
    """A scenario over its rounds: how often it passed, why it did not, and its figures: median,
    worst, and what is promised of each round and of the median."""
    figures = [{"name": name, "unit": unit, "median": statistics.median(entry["values"]),
                "worst": (min if name in MORE_IS_BETTER else max)(entry["values"]),
                "n": len(entry["values"]), "limit": entry["limit"],
                "median_limit": entry["median_limit"]}
               for (name, unit), entry in gather(rounds).items()]
    count = {verdict: sum(data["verdict"] == verdict for data in rounds)
             for verdict in ("pass", "fail", "skip")}
    verdict = "fail" if count["fail"] else "pass" if count["pass"] else "skip"
    played = [data for data in rounds if data["verdict"] != "skip"] or rounds
    return {"name": rounds[0]["name"], "title": played[0]["title"], "verdict": verdict,
            "rounds": len(rounds), "passed": count["pass"], "failed": count["fail"],
            "skipped": count["skip"],
            "failures": [{"round": data["round"], "seed": data["seed"], "log": data["log"],
                          "said": data["reason"]} for data in rounds if data["verdict"] == "fail"],
            "why_skipped": next((data["reason"] for data in rounds if data["verdict"] == "skip"),
                                None),
            "seeds": sorted({data["seed"] for data in rounds if data["seed"] is not None}),
            "median_ms": statistics.median(data["ms"] for data in played), "figures": figures}


def assign_lanes(runs):
    """Gives each run of one host the first lane that is free when it begins; the number of lanes."""
    free_at = []
    for run in sorted(runs, key=lambda run: run["start"]):
        for lane, at in enumerate(free_at):
            if at <= run["start"]:
                break
        else:
            lane = len(free_at)
            free_at.append(0)
        free_at[lane] = run["until"]
        run["lane"] = lane
    return max(1, len(free_at))


def end_of(run, data):
    """When the run was over, as far as is known: one that never ended was cut off by the first
    thing that happened to its host after it began."""
    if run["end"] is not None:
        return run["end"]
    later = [mark["at"] for mark in data["marks"]
             if mark["host"] == run["host"] and mark["at"] >= run["start"]]
    return min(later) if later else data["ms"]


def draw(data):
    """The timeline: a band for each host, a bar for each run, a line where something happened."""
    scale = (WIDTH_PX - LABEL_PX) / max(data["ms"], 1)
    parts, y = [], HEAD_PX
    for number, host in enumerate(data["hosts"]):
        runs = [dict(run, until=end_of(run, data)) for run in data["runs"] if run["host"] == number]
        n_lanes = assign_lanes(runs)
        parts.append(f'<text x="2" y="{y + 10}" font-size="11">{html.escape(host)}</text>'
                     f'<line x1="0" x2="{WIDTH_PX}" y1="{y - 2}" y2="{y - 2}" stroke="#ddd"/>')
        for run in runs:
            kind = "lost" if run["end"] is None else "again" if run["attempt"] > 1 else "first"
            width = max(1, (run["until"] - run["start"]) * scale - 0.5)
            parts.append(
                f'<rect x="{LABEL_PX + run["start"] * scale:.1f}" '
                f'y="{y + run["lane"] * LANE_PX}" width="{width:.1f}" height="{LANE_PX - 2}" '
                f'fill="{COLOURS[kind]}"><title>task {run["input"]}, attempt {run["attempt"]}, '
                f'{run["start"]:.0f} to {run["until"]:.0f} ms</title></rect>')
        y += n_lanes * LANE_PX + 6
    for number, mark in enumerate(data["marks"], 1):
        x = LABEL_PX + mark["at"] * scale
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{HEAD_PX - 4}" y2="{y}" stroke="#c0392b" '
                     f'stroke-dasharray="3 3"/><text x="{x + 2:.1f}" y="11" font-size="10" '
                     f'fill="#c0392b">{number}</text>')
    marks = "".join(
        f'<li>{mark["at"] / 1000:.2f} s: '
        + (f'{html.escape(data["hosts"][mark["host"]])}: ' if mark["host"] >= 0 else "")
        + f'{html.escape(mark["text"])}</li>' for mark in data["marks"])
    return (f'<svg viewBox="0 0 {WIDTH_PX} {y}" width="{WIDTH_PX}" height="{y}" role="img">'
            f'{"".join(parts)}</svg><ol>{marks}</ol>')


def show_number(value, unit):
    return f"{value:,.0f} {html.escape(unit)}" if abs(value) >= 10 or value == int(value) \
        else f"{value:.2f} {html.escape(unit)}"


def show_promise(figure):
    said = []
    if figure["limit"] is not None:
        said.append(show_number(figure["limit"], figure["unit"]))
    if figure["median_limit"] is not None:
        said.append("median " + show_number(figure["median_limit"], figure["unit"]))
    return "; ".join(said)


def has_bad_median(figure):
    return (figure["median_limit"] is not None and figure["n"] >= MEDIAN_OF_MIN
            and figure["median"] > figure["median_limit"])


def show_verdict(summary):
    words = {"pass": "good", "fail": "bad", "skip": "none"}
    said = ("skipped" if summary["verdict"] == "skip" else
            f'{summary["passed"]} of {summary["rounds"] - summary["skipped"]}')
    return words[summary["verdict"]], said


def show_failures(summary):
    return "".join(
        f'<p class="bad">Round {failure["round"]}'
        + (f', seed {failure["seed"]}' if failure["seed"] is not None else "")
        + f', failed: <a href="{failure["log"]}">all that it printed</a></p>'
          f'<pre>{html.escape(failure["said"])}</pre>' for failure in summary["failures"])


def show_scenario(summary, rounds):
    verdict, said = show_verdict(summary)
    rows = "".join(
        f'<tr><td>{html.escape(figure["name"])}</td>'
        f'<td class="number{" bad" if has_bad_median(figure) else ""}">'
        f'{show_number(figure["median"], figure["unit"])}</td>'
        f'<td class="number">{show_number(figure["worst"], figure["unit"])}</td>'
        f'<td class="number">{show_promise(figure)}</td></tr>' for figure in summary["figures"])
    shown = next((data for data in rounds if data["verdict"] == summary["verdict"]), rounds[0])
    table = ('<table><tr><th>figure</th><th>median</th><th>worst</th><th>promise</th></tr>'
             f'{rows}</table>' if rows else "")
    timeline = "" if not shown["hosts"] else (
        f'<details open><summary>who ran what when ({html.escape(summary["name"])}, '
        f'round {shown["round"]})</summary>{draw(shown)}</details>')
    return (f'<h3 id="{summary["name"]}">{html.escape(summary["title"])} '
            f'<span class="{verdict}">{said}</span></h3>{show_failures(summary)}{table}{timeline}')


# The columns of the overview: what is asked of every scenario, and the figures that say it. Of
# several the first that a scenario has.
COLUMNS = {
    "noticed": ["noticed after", "killed after", "ended after its time was over",
                "ended with 125 after", "all ended after",
                "the first of them begun elsewhere after"],
    "lost tasks run again": ["all run again after"],
    "all well again": ["whole again after", "over after there was room",
                       "who waited is served after", "newcomers are found after"],
    "another time": ["job over after", "over after all had begun", "whole after"],
    "done twice": ["of these to their end"],
    "right results": ["results, each right and once"],
    "on the wire": ["on the wire"],
}
# What does not count from where the others of its column do says from where.
SINCE = {"job over after": "job over, from fault",
         "over after all had begun": "job over, from last start",
         "whole after": "mesh whole, from start"}


def find(summary, names):
    for name in names:
        for figure in summary["figures"]:
            if figure["name"] == name:
                since = f'<small>{SINCE[name]}</small>' if name in SINCE else ""
                return show_number(figure["median"], figure["unit"]) + since
    return "&ndash;"


def show_overview(summaries):
    rows = []
    for summary in summaries:
        verdict, said = show_verdict(summary)
        if verdict == "none":
            rows.append(f'<tr class="none"><td>{html.escape(summary["title"])}</td><td>{said}</td>'
                        f'<td colspan="{len(COLUMNS)}">{html.escape(summary["why_skipped"])}</td>'
                        '</tr>')
            continue
        rows.append(
            f'<tr><td><a href="#{summary["name"]}">{html.escape(summary["title"])}</a></td>'
            f'<td class="{verdict}">{said}</td>'
            + "".join(f'<td class="number">{find(summary, names)}</td>'
                      for names in COLUMNS.values()) + "</tr>")
    heads = "".join(f"<th>{name}</th>" for name in COLUMNS)
    return f'<table><tr><th>scenario</th><th>passed</th>{heads}</tr>{"".join(rows)}</table>'


# What is promised of several scenarios together: the figure, which of its limits, and the words.
PROMISES = [
    ("all run again after", "median_limit",
     "An executor's daemon is killed: all that it was at runs elsewhere (median)"),
    ("noticed after", "limit", "Silence is noticed: --dead-after (1 s) and 0.3 s (worst)"),
    ("whole again after", "limit", "A partition, or a cable, is mended: everybody sees everybody (worst)"),
]


def judge_promises(summaries):
    """A row for each promise: the words, how many values, what was measured, what is promised. One
    that nothing was measured of has a row as well: a scenario that fails early, or is not played,
    takes no promise away."""
    rows = []
    for name, limit, text in PROMISES:
        figures = [figure for summary in summaries for figure in summary["figures"]
                   if figure["name"] == name and figure[limit] is not None]
        row = {"promise": text, "n": sum(figure["n"] for figure in figures), "measured": None,
               "limit": None, "unit": None, "kept": None}
        if figures:
            part = "median" if limit == "median_limit" else "worst"
            worst = max(figures, key=lambda figure: figure[part] / figure[limit])
            row.update(measured=worst[part], limit=worst[limit], unit=worst["unit"])
            if part == "worst" or row["n"] >= MEDIAN_OF_MIN:
                row["kept"] = worst[part] <= worst[limit]
        rows.append(row)
    return rows


def say_broken(promises):
    return [f'promise not kept: {row["promise"]}: {row["measured"]:.0f} {row["unit"]}, '
            f'promised {row["limit"]:.0f}' for row in promises if row["kept"] is False]


VERDICTS = {True: "good", False: "bad", None: ""}


def show_promises(promises):
    rows = []
    for row in promises:
        if row["n"] == 0:
            rows.append(f'<tr class="none"><td>{html.escape(row["promise"])}</td>'
                        '<td class="number">0</td><td colspan="2">not measured</td></tr>')
            continue
        said = "" if row["kept"] is not None else f" (of fewer than {MEDIAN_OF_MIN}: not judged)"
        rows.append(f'<tr><td>{html.escape(row["promise"])}</td><td class="number">{row["n"]}</td>'
                    f'<td class="number {VERDICTS[row["kept"]]}">'
                    f'{show_number(row["measured"], row["unit"])}{said}</td>'
                    f'<td class="number">{show_number(row["limit"], row["unit"])}</td></tr>')
    return ('<table><tr><th>promise</th><th>measured so often</th><th>measured</th>'
            f'<th>at most</th></tr>{"".join(rows)}</table>')


def show_facts(facts):
    """One line; empty, where nothing is known."""
    if not facts:
        return ""
    return ('<p class="facts">' + html.escape("; ".join([
        facts["date"], f'commit {facts["commit"] or "unknown"}',
        f'build: {facts["build"]["type"]}, sanitizers: {facts["build"]["sanitizers"]}',
        facts["kernel"], f'{facts["processors"]} processors, {facts["memory_mib"]:,} MiB',
        f'seed {facts["seed"]}'])) + "</p>")


def count_verdicts(summaries):
    return {words: sum(summary["verdict"] == verdict for summary in summaries)
            for words, verdict in (("passed", "pass"), ("failed", "fail"), ("skipped", "skip"))}


def show_headline(summaries, promises):
    count = count_verdicts(summaries)
    broken = say_broken(promises)
    verdict = "bad" if count["failed"] or broken else "good" if count["passed"] else "none"
    times = max(summary["rounds"] for summary in summaries)
    return (f'<p class="{verdict}">{count["passed"]} passed, {count["failed"]} failed, '
            f'{count["skipped"]} skipped{f", each {times} times" if times > 1 else ""}.</p>'
            + "".join(f'<p class="bad">{html.escape(line)}</p>' for line in broken))


def show_page(summaries, promises, scenarios, facts):
    details = "".join(show_scenario(summary, scenarios[summary["name"]]) for summary in summaries
                      if summary["verdict"] != "skip")
    return (f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>mesh: faults</title>'
            f'<style>{STYLE}</style><h1>mesh under faults</h1>'
            f'{show_headline(summaries, promises)}{show_facts(facts)}'
            f'<p>Real daemons on hosts made of namespaces, on a switch in user space. Each job\'s '
            f'results are checked, one by one. Times are medians over the rounds, from when the '
            f'fault struck; <i>all well again</i> counts from when it was over, and <i>another '
            f'time</i> from where it says: from the fault, or from when the last task or the '
            f'daemons started. Bars: '
            f'<span style="color:{COLOURS["first"]}">a first attempt</span>, '
            f'<span style="color:{COLOURS["again"]}">a later one</span>, '
            f'<span style="color:{COLOURS["lost"]}">one that was lost</span>.</p>'
            f'{show_promises(promises)}{show_overview(summaries)}{details}</html>')


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: report.py FOLDER")
    folder = pathlib.Path(sys.argv[1])
    scenarios = read_rounds(folder)
    if not scenarios:
        sys.exit(f"report.py: {folder}: no round has results: run tests/lab/run first")
    facts = read_facts(folder)
    summaries = [summarise(rounds) for rounds in scenarios.values()]
    promises = judge_promises(summaries)
    everything = {"facts": facts, **count_verdicts(summaries), "promises": promises,
                  "scenarios": summaries}
    (folder / "report.json").write_text(json.dumps(everything, indent=1) + "\n")
    (folder / "report.html").write_text(show_page(summaries, promises, scenarios, facts))
    broken = say_broken(promises)
    print("".join(line + "\n" for line in broken), end="")
    return len(broken) > 0


if __name__ == "__main__":
    sys.exit(main())
