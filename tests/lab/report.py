#!/usr/bin/env python3
"""Makes one page and one JSON file of what the lab's scenarios wrote down.

    report.py FOLDER     FOLDER/1, FOLDER/2, ...: a folder for each round

In a round's folder lies a file for each scenario (tests/lab/scenario_report.c says what is in it)
and `results`, a line `pass NAME` or `fail NAME` for each. Writes FOLDER/report.json and
FOLDER/report.html, which needs nothing from elsewhere. Exits 1 if any scenario failed in any round.
"""

import html
import json
import pathlib
import statistics
import sys

LANE_PX = 9
LABEL_PX = 60
WIDTH_PX = 900
HEAD_PX = 18
COLOURS = {"first": "#4c956c", "again": "#2c6e9b", "lost": "#d8572a"}

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 64em; color: #222; }
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
    """A scenario's figures over its rounds: median, worst (the largest), and the promise."""
    values = {}
    for data in rounds:
        for figure in data["figures"]:
            key = (figure["name"], figure["unit"])
            entry = values.setdefault(key, {"values": [], "limit": None})
            entry["values"].append(figure["value"])
            if figure["limit"] is not None:
                entry["limit"] = figure["limit"]
    figures = [{"name": name, "unit": unit, "median": statistics.median(entry["values"]),
                "worst": max(entry["values"]), "n": len(entry["values"]), "limit": entry["limit"]}
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


def show_scenario(summary, rounds):
    verdict = "good" if summary["passed"] == summary["rounds"] else "bad"
    rows = "".join(
        f'<tr><td>{html.escape(figure["name"])}</td>'
        f'<td class="number">{show_number(figure["median"], figure["unit"])}</td>'
        f'<td class="number">{show_number(figure["worst"], figure["unit"])}</td>'
        f'<td class="number">{"" if figure["limit"] is None else show_number(figure["limit"], figure["unit"])}'
        f'</td></tr>' for figure in summary["figures"])
    failed = [data for data in rounds if not data["passed"]]
    shown = failed[0] if failed else rounds[0]
    return (f'<h3 id="{summary["name"]}">{html.escape(summary["title"])} '
            f'<span class="{verdict}">{summary["passed"]} of {summary["rounds"]}</span></h3>'
            f'<table><tr><th>figure</th><th>median</th><th>worst</th><th>promise</th></tr>{rows}'
            f'</table><details open><summary>who ran what when ({html.escape(summary["name"])})'
            f'</summary>{draw(shown)}</details>')


def find(summary, name):
    for figure in summary["figures"]:
        if figure["name"] == name:
            return show_number(figure["median"], figure["unit"])
    return ""


def show_page(summaries, scenarios):
    n_bad = sum(summary["passed"] != summary["rounds"] for summary in summaries)
    said = (f'<p class="bad">{n_bad} of {len(summaries)} scenarios failed.</p>' if n_bad else
            f'<p class="good">All {len(summaries)} scenarios passed, each '
            f'{max(summary["rounds"] for summary in summaries)} times.</p>')
    index = "".join(
        f'<tr><td><a href="#{summary["name"]}">{html.escape(summary["title"])}</a></td>'
        f'<td class="{"good" if summary["passed"] == summary["rounds"] else "bad"}">'
        f'{summary["passed"]} of {summary["rounds"]}</td>'
        f'<td class="number">{find(summary, "noticed after")}</td>'
        f'<td class="number">{find(summary, "all run again after") or find(summary, "whole again after")}</td>'
        f'<td class="number">{find(summary, "of these to their end")}</td></tr>'
        for summary in summaries)
    details = "".join(show_scenario(summary, scenarios[summary["name"]]) for summary in summaries)
    return (f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>mesh: faults</title>'
            f'<style>{STYLE}</style><h1>mesh under faults</h1>{said}'
            f'<p>Real daemons on hosts made of namespaces, on a switch in user space. Each job\'s '
            f'results are checked, one by one; times are medians over the rounds. Bars: '
            f'<span style="color:{COLOURS["first"]}">a first attempt</span>, '
            f'<span style="color:{COLOURS["again"]}">a later one</span>, '
            f'<span style="color:{COLOURS["lost"]}">one that was lost</span>.</p>'
            f'<table><tr><th>scenario</th><th>passed</th><th>noticed</th><th>recovered</th>'
            f'<th>done twice</th></tr>{index}</table>{details}</html>')


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: report.py FOLDER")
    folder = pathlib.Path(sys.argv[1])
    scenarios = read_rounds(folder)
    if not scenarios:
        sys.exit(f"report.py: {folder}: no round has results: run tests/lab/run first")
    summaries = [summarise(rounds) for rounds in scenarios.values()]
    (folder / "report.json").write_text(json.dumps(summaries, indent=1) + "\n")
    (folder / "report.html").write_text(show_page(summaries, scenarios))
    return any(summary["passed"] != summary["rounds"] for summary in summaries)


if __name__ == "__main__":
    sys.exit(main())
