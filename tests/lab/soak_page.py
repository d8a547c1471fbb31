#!/usr/bin/env python3
"""Makes a page of what a soak wrote down.

    soak_page.py FOLDER     reads FOLDER/soak.json (soak_report.c) and FOLDER/facts.json (facts.py),
                            writes FOLDER/soak.html

The page needs nothing from elsewhere: the verdict, the counts, which fault struck which host when,
and what memory and descriptors each daemon had over the time.
"""

import html
import json
import pathlib
import sys

import report

LABEL_PX = 60
LANE_PX = 10
CURVE_PX = 90
COLOURS = {"ended": "#d8572a", "frozen": "#7b4ea3", "cell": "#c9962c", "network": "#2c6e9b"}
LEGEND = {"ended": "its daemon or the host ended", "frozen": "frozen",
          "cell": "a cell, a worker or a command killed", "network": "its network"}
WORDS = {"rss_kib": "meshd, KiB", "others_kib": "other processes, KiB", "disk_kib": "disk, KiB",
         "unfinished": "unfinished blobs", "files": "files, /tmp and /run"}
CURVES = {"rss_kib": "memory of meshd, KiB", "descriptors": "descriptors of meshd",
          "processes": "processes of the host"}
LINES = ["#4c956c", "#2c6e9b", "#d8572a", "#7b4ea3", "#c9962c", "#555555", "#b0487a", "#2a9d8f"]


def group_of(kind):
    """What a fault is drawn as, by the words that soak_plan.h has for it."""
    if "frozen" in kind:
        return "frozen"
    if "of meshd" in kind or "power" in kind:
        return "ended"
    return "cell" if kind.startswith("kill") else "network"


class Scale:
    """Minutes to pixels."""

    def __init__(self, data):
        self.per_minute = (report.WIDTH_PX - LABEL_PX) / max(data["minutes"], 0.01)

    def x(self, minute):
        return LABEL_PX + minute * self.per_minute


def draw_rests(data, scale, height):
    """Where no fault was in force and no job began: between a round's last fault and the next's."""
    spans = {}
    for row in data["schedule"]:
        first, last = spans.get(row["round"], (row["minute"], 0))
        spans[row["round"]] = (min(first, row["minute"]),
                               max(last, row.get("over_minute", row["minute"])))
    edges = [spans[number] for number in sorted(spans)] + [(data["minutes"], 0)]
    return "".join(
        f'<rect x="{scale.x(over):.1f}" width="{max(0, scale.x(begun) - scale.x(over)):.1f}" y="0" '
        f'height="{height}" fill="#d9ead9"/>'
        for (_, over), (begun, _) in zip(edges, edges[1:]))


def draw_faults(data, hosts, scale):
    height = len(hosts) * (2 * LANE_PX + 6)
    parts = [draw_rests(data, scale, height)]
    for i, host in enumerate(hosts):
        y = i * (2 * LANE_PX + 6)
        parts.append(f'<text x="2" y="{y + 14}" font-size="11">{html.escape(host)}</text>'
                     f'<line x1="0" x2="{report.WIDTH_PX}" y1="{y}" y2="{y}" stroke="#ddd"/>')
        for row in data["schedule"]:
            if host not in row["hosts"] or row["found_nothing"]:
                continue
            group = group_of(row["kind"])
            until = row.get("over_minute", row["minute"])
            lane = y + 3 + (LANE_PX if group == "network" else 0)
            width = max(1.2, scale.x(until) - scale.x(row["minute"]))
            parts.append(f'<rect x="{scale.x(row["minute"]):.1f}" y="{lane}" width="{width:.1f}" '
                         f'height="{LANE_PX - 2}" fill="{COLOURS[group]}"><title>'
                         f'{html.escape(row["kind"])}, minute {row["minute"]:.2f} to {until:.2f}'
                         f'</title></rect>')
    return svg(height, parts)


def draw_curve(data, hosts, gauge, scale):
    """At the rests, when nothing runs. A daemon that was started again begins a line of its own."""
    rests = [sample for sample in data["samples"] if sample["rest"]]
    values = [sample["hosts"][host][gauge] for sample in rests for host in hosts]
    top = max(values, default=0) * 1.1 or 1
    parts = [f'<text x="2" y="12" font-size="10">{report.show_number(top, "")}</text>'
             f'<text x="2" y="{CURVE_PX - 3}" font-size="10">0</text>']
    for i, host in enumerate(hosts):
        lives = {}
        for sample in rests:
            at = sample["hosts"][host]
            y = CURVE_PX * (1 - at[gauge] / top)
            lives.setdefault(at["life"], []).append(f'{scale.x(sample["minute"]):.1f},{y:.1f}')
        for points in lives.values():
            if len(points) == 1:
                x, y = points[0].split(",")
                parts.append(f'<circle cx="{x}" cy="{y}" r="1.5" fill="{LINES[i % len(LINES)]}"/>')
            else:
                parts.append(f'<polyline points="{" ".join(points)}" fill="none" '
                             f'stroke="{LINES[i % len(LINES)]}"><title>{html.escape(host)}</title>'
                             f'</polyline>')
    return svg(CURVE_PX, parts)


def svg(height, parts):
    return (f'<svg viewBox="0 0 {report.WIDTH_PX} {height}" width="{report.WIDTH_PX}" '
            f'height="{height}" role="img">{"".join(parts)}</svg>')


def table(heads, rows):
    """Rows of cells that are HTML already; all but the first are numbers."""
    head = "".join(f'<th{" style=text-align:right" if i else ""}>{html.escape(text)}</th>'
                   for i, text in enumerate(heads))
    body = "".join("<tr><td>" + row[0] + "</td>"
                   + "".join(f'<td class="number">{cell}</td>' for cell in row[1:]) + "</tr>"
                   for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def show_growth(data, hosts):
    if not data["growth"]:
        return "<p>Nothing is said of growth: the run was too short.</p>"
    gauges = [name for name in data["growth"][hosts[0]]
              if name not in ("lives", "kib_by_1000_tasks")]

    def pair(cell):
        text = f'{cell["first"]:,} &rarr; {cell["last"]:,}'
        return f'<span class="bad">{text}</span>' if cell["too_much"] else text

    def by_task(host):
        kib = data["growth"][host]["kib_by_1000_tasks"]
        return "&ndash;" if kib is None else f"{kib:+.1f}"

    rows = [[html.escape(host), f'{data["growth"][host]["lives"]:,}']
            + [pair(data["growth"][host][name]) for name in gauges] + [by_task(host)]
            for host in hosts]
    return table(["host", "starts of meshd", *(WORDS.get(name, name) for name in gauges),
                  "meshd, KiB for 1,000 tasks of the mesh"], rows)


def show_page(data, facts):
    hosts = list(data["samples"][0]["hosts"]) if data["samples"] else []
    scale = Scale(data)
    failures = ", ".join(f"{n:,} {html.escape(text)}" for text, n in data["failures"].items())
    blames = "".join(f"<li>{html.escape(text)}</li>" for text in data["blames"])
    counts = data["counts"]
    legend = ", ".join(f'<span style="color:{COLOURS[name]}">{text}</span>'
                       for name, text in LEGEND.items())
    curves = "".join(f"<h3>{title}</h3>{draw_curve(data, hosts, gauge, scale)}"
                     for gauge, title in CURVES.items())
    names = ", ".join(f'<span style="color:{LINES[i % len(LINES)]}">{html.escape(host)}</span>'
                      for i, host in enumerate(hosts))
    verdict = "good" if data["passed"] else "bad"
    jobs = [[html.escape(kind), f"{n:,}"] for kind, n in counts["jobs"].items()]
    faults = [[html.escape(kind), f"{n:,}"] for kind, n in data["faults"].items()]
    return (
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>mesh: soak</title>'
        f'<style>{report.STYLE}</style><h1>mesh under random faults</h1>'
        f'<p class="{verdict}">{"Passed" if data["passed"] else "Failed"}: {failures}.</p>'
        f'<p>{data["minutes"]:.1f} minutes, {data["rounds"]} rounds, seed {data["seed"]}: '
        f'{counts["tasks"]:,} tasks in {sum(counts["jobs"].values()):,} jobs, '
        f'{counts["bytes_checked"] / 1048576:,.1f} MiB of output and files checked, under '
        f'{sum(data["faults"].values()):,} faults.</p>'
        f'{report.show_facts(facts)}{f"<ul>{blames}</ul>" if blames else ""}'
        f'<h2>What struck whom when</h2><p>{legend}; a rest after each round, in green.</p>'
        f'{draw_faults(data, hosts, scale)}'
        f'<h2>Growth</h2>{show_growth(data, hosts)}<p>At the rests: {names}</p>{curves}'
        f'<h2>Jobs</h2>'
        f'{table(["kind", "ended as they must"], jobs)}'
        f'<p>{counts["ended_with_125"]:,} more ended with 125, as their daemon was killed or '
        f'stopped, {counts["unanswered"]:,} as it was frozen for as long as a command waits for it, '
        f'and {counts["abandoned"]:,} were abandoned: kill -9 of mesh submit, or no power. '
        f'{counts["detached_that_outlived_their_daemon"]:,} detached jobs outlived their daemon. '
        f'{counts["lost_of_once"]:,} tasks of --once were lost with their peer, as was said.</p>'
        f'<h2>Faults</h2>'
        f'{table(["kind", "times"], faults)}'
        f'</html>')


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: soak_page.py FOLDER")
    folder = pathlib.Path(sys.argv[1])
    try:
        data = json.loads((folder / "soak.json").read_text())
    except (OSError, ValueError) as error:
        sys.exit(f"soak_page.py: {error}: run tests/lab/soak with --report first")
    (folder / "soak.html").write_text(show_page(data, report.read_facts(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
