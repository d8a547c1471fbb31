#!/usr/bin/env python3
"""Makes one page and one JSON file of what the lab's scenarios wrote down.

    report.py FOLDER     FOLDER/1, FOLDER/2, ...: a folder for each round

In a round's folder lies a file for each scenario (tests/lab/scenario_report.c says what is in it)
and `results`, a line `pass NAME` or `fail NAME` for each. Writes FOLDER/report.json and
FOLDER/report.html, which needs nothing from elsewhere. Exits 1 if any scenario failed in any round,
or if what was measured is beyond what is promised.
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
.good { color: #2b7a4b; } .bad { color: #c0392b; font-weight: bold; }
summary { cursor: pointer; }
svg { background: #fafafa; margin: 6px 0 12px; max-width: 100%; height: auto; }
ol { margin: 0 0 1em; padding-left: 2em; columns: 2; font-size: 13px; }
"""


def read_rounds(folder):
    """{scenario: [what each round wrote, with `passed` as the test itself ended]}, in order."""
    scenarios = {}
    for round_folder in sorted(folder.glob("[0-9]*"), key=lambda path: int(path.name)):
        for line in (round_folder / "results").read_text().splitlines():
            verdict, name = line.split()
            path = round_folder / (name + ".json")
            data = {"name": name, "title": name, "figures": [], "marks": [], "runs": [], "hosts": [],
                    "ms": 0, "seed": None}
            if path.exists():
                data = json.loads(path.read_text())
            data["passed"] = verdict == "pass"
            scenarios.setdefault(name, []).append(data)
    return scenarios


def summarise(rounds):
    """A scenario's figures over its rounds: median, worst (the largest), and what is promised of
    each round and of the median."""
    values = {}
    for data in rounds:
        for figure in data["figures"]:
            key = (figure["name"], figure["unit"])
            entry = values.setdefault(key, {"values": [], "limit": None, "median_limit": None})
            entry["values"].append(figure["value"])
            for limit in ("limit", "median_limit"):
                if figure.get(limit) is not None:
                    entry[limit] = figure[limit]
    figures = [{"name": name, "unit": unit, "median": statistics.median(entry["values"]),
                "worst": max(entry["values"]), "n": len(entry["values"]), "limit": entry["limit"],
                "median_limit": entry["median_limit"]}
               for (name, unit), entry in values.items()]
    return {"name": rounds[0]["name"], "title": rounds[0]["title"], "rounds": len(rounds),
            "passed": sum(data["passed"] for data in rounds),
            "seeds": sorted({data["seed"] for data in rounds if data["seed"] is not None}),
            "median_ms": statistics.median(data["ms"] for data in rounds), "figures": figures}


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


def show_scenario(summary, rounds):
    verdict = "good" if summary["passed"] == summary["rounds"] else "bad"
    rows = "".join(
        f'<tr><td>{html.escape(figure["name"])}</td>'
        f'<td class="number{" bad" if has_bad_median(figure) else ""}">'
        f'{show_number(figure["median"], figure["unit"])}</td>'
        f'<td class="number">{show_number(figure["worst"], figure["unit"])}</td>'
        f'<td class="number">{show_promise(figure)}</td></tr>' for figure in summary["figures"])
    failed = [data for data in rounds if not data["passed"]]
    shown = failed[0] if failed else rounds[0]
    return (f'<h3 id="{summary["name"]}">{html.escape(summary["title"])} '
            f'<span class="{verdict}">{summary["passed"]} of {summary["rounds"]}</span></h3>'
            f'<table><tr><th>figure</th><th>median</th><th>worst</th><th>promise</th></tr>{rows}'
            f'</table><details open><summary>who ran what when ({html.escape(summary["name"])})'
            f'</summary>{draw(shown)}</details>')


# The columns of the overview: what is asked of every scenario, and the figures that say it. Of
# several the first that a scenario has.
COLUMNS = {
    "noticed": ["noticed after", "killed after", "ended after its time was over"],
    "lost tasks run again": ["all run again after"],
    "all well again": ["whole again after", "job over after", "over after there was room",
                       "who waited is served after", "one that restarts is found by all after",
                       "over after all had begun", "whole after"],
    "done twice": ["of these to their end"],
    "right results": ["results, each right and once"],
    "on the wire": ["on the wire"],
}


def find(summary, names):
    for name in names:
        for figure in summary["figures"]:
            if figure["name"] == name:
                return show_number(figure["median"], figure["unit"])
    return "&ndash;"


def show_overview(summaries):
    rows = "".join(
        f'<tr><td><a href="#{summary["name"]}">{html.escape(summary["title"])}</a></td>'
        f'<td class="{"good" if summary["passed"] == summary["rounds"] else "bad"}">'
        f'{summary["passed"]} of {summary["rounds"]}</td>'
        + "".join(f'<td class="number">{find(summary, names)}</td>' for names in COLUMNS.values())
        + "</tr>" for summary in summaries)
    heads = "".join(f"<th>{name}</th>" for name in COLUMNS)
    return f"<table><tr><th>scenario</th><th>passed</th>{heads}</tr>{rows}</table>"


# What is promised of several scenarios together: the figure, which of its limits, and the words.
PROMISES = [
    ("all run again after", "median_limit",
     "An executor's daemon is killed: all that it was at runs elsewhere (median)"),
    ("noticed after", "limit", "Silence is noticed: --dead-after (1 s) and 0.3 s (worst)"),
    ("whole again after", "limit", "A partition, or a cable, is mended: everybody sees everybody (worst)"),
]


def judge_promises(summaries):
    """A row for each promise: the words, how many values, what was measured, what is promised."""
    rows = []
    for name, limit, text in PROMISES:
        figures = [figure for summary in summaries for figure in summary["figures"]
                   if figure["name"] == name and figure[limit] is not None]
        if figures:
            part = "median" if limit == "median_limit" else "worst"
            worst = max(figures, key=lambda figure: figure[part] / figure[limit])
            n = sum(figure["n"] for figure in figures)
            is_enough = part == "worst" or n >= MEDIAN_OF_MIN
            rows.append({"promise": text, "n": n, "measured": worst[part], "limit": worst[limit],
                         "unit": worst["unit"],
                         "kept": worst[part] <= worst[limit] if is_enough else None})
    return rows


VERDICTS = {True: "good", False: "bad", None: ""}


def show_promises(promises):
    rows = "".join(
        f'<tr><td>{html.escape(row["promise"])}</td><td class="number">{row["n"]}</td>'
        f'<td class="number {VERDICTS[row["kept"]]}">'
        f'{show_number(row["measured"], row["unit"])}</td>'
        f'<td class="number">{show_number(row["limit"], row["unit"])}</td></tr>'
        for row in promises)
    return (f'<table><tr><th>promise</th><th>measured so often</th><th>measured</th>'
            f'<th>at most</th></tr>{rows}</table>' if rows else "")


def show_page(summaries, promises, scenarios):
    n_bad = sum(summary["passed"] != summary["rounds"] for summary in summaries)
    said = (f'<p class="bad">{n_bad} of {len(summaries)} scenarios failed.</p>' if n_bad else
            f'<p class="good">All {len(summaries)} scenarios passed, each '
            f'{max(summary["rounds"] for summary in summaries)} times.</p>')
    details = "".join(show_scenario(summary, scenarios[summary["name"]]) for summary in summaries)
    return (f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>mesh: faults</title>'
            f'<style>{STYLE}</style><h1>mesh under faults</h1>{said}'
            f'<p>Real daemons on hosts made of namespaces, on a switch in user space. Each job\'s '
            f'results are checked, one by one; times are medians over the rounds, from when the '
            f'fault struck or, for all being well again, from when it was over. Bars: '
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
    summaries = [summarise(rounds) for rounds in scenarios.values()]
    promises = judge_promises(summaries)
    (folder / "report.json").write_text(
        json.dumps({"promises": promises, "scenarios": summaries}, indent=1) + "\n")
    (folder / "report.html").write_text(show_page(summaries, promises, scenarios))
    return (any(summary["passed"] != summary["rounds"] for summary in summaries)
            or any(row["kept"] is False for row in promises))


if __name__ == "__main__":
    sys.exit(main())
