#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes one HTML file of finished runs: what they were, curves, who met whom, and faults.

    ./examples/run.sh report RUN... [--out FILE]

RUN is a run's folder, with metrics.jsonl and summary.json; or, of a run in many processes, the
folder in which each node has its own, node-0, node-1, ...; or FILE.jsonl:NAME, a line of
benchmarks/records. The file (default: report.html in the first RUN) needs nothing beside it, and no
network.
"""
import argparse
import json
import math
import pathlib
import re
import sys
from html import escape

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
INKS = ["compute", "exchange", "peer", "chosen", "bad", "good"]  # colours of the live page
DASHES = ["", "6 3", "2 3"]
TIMES = ("virtual_seconds", "wall_seconds")
CURVES = ["test_accuracy", "test_loss", "train_loss", "consensus_error"]
# Of a line and of the summary, what is of interest in a table of runs; the unit comes first.
RESULTS = ["test_accuracy", "test_loss", "train_loss", "consensus_error", "steps", "messages_sent",
           "messages_returned", "bytes_sent", "age_mean", "virtual_seconds", "wall_seconds"]
NOT_OPTIONS = {"digest", "version", "libtorch", "weights", "steps_per_node", "node_ids", "peers",
               "connections", "address", "error", "signal"}
FAULT_COUNTS = {"refused": "connections refused", "malformed": "malformed frames",
                "bad_offers": "offers that break the rules", "suspicions": "peers suspected",
                "breaks": "connections broken", "reconnects": "connections made again"}


class Problem(Exception):
    """What a user is told, in one sentence."""


# Reading.

def read_lines(path):
    """The whole lines of metrics.jsonl; a killed run may have left half of one."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return lines


def read_summary(folder):
    path = folder / "summary.json"
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Problem(f"{path}: no JSON: {error}") from error


class Process:
    """A folder of one process: its lines and its summary, which is empty if it was killed."""

    def __init__(self, folder, lines=None, summary=None):
        self.folder = folder
        self.lines = read_lines(folder / "metrics.jsonl") if lines is None else lines
        self.summary = read_summary(folder) if summary is None else summary
        self.last = self.summary or (self.lines[-1] if self.lines else {})


def recorded(file, name):
    """A line of benchmarks/records, as the process that it was: its points and, behind the options,
    the last of them."""
    for line in read_lines(file):
        points = line.get("points")
        if line.get("name") == name and points:
            options = {key: line[key] for key in line if key not in ("name", "points")}
            times = {key: points[-1][key] for key in TIMES if key in points[-1]}
            return Process(pathlib.Path(name), points, {**options, **times, **points[-1]})
    raise Problem(f"{file}: has no record of a run of the name {name}")


class Run:
    """All processes of a run; its curves are those of the one that saw most."""

    def __init__(self, place):
        file, is_record, name = place.partition(".jsonl:")
        if is_record:
            self.processes, self.name = [recorded(pathlib.Path(f"{file}.jsonl"), name)], name
        else:
            self.read_folder(pathlib.Path(place))
        self.main = max(self.processes, key=lambda one: (bool(one.summary), len(one.lines)))
        self.last = self.main.last
        keys = list((self.main.lines or [self.last])[0])
        # The recorder writes the samples under their own name, right before the steps.
        self.unit = keys[keys.index("steps") - 1] if "steps" in keys[1:] else \
            "images" if "images" in keys else "steps"
        self.time = TIMES[0] if TIMES[0] in self.last else TIMES[1]

    def read_folder(self, folder):
        folders = [folder]
        if not (folder / "metrics.jsonl").is_file():
            folders = [path for path in folder.glob("node-*") if path.name[5:].isdigit()]
            folders.sort(key=lambda path: int(path.name[5:]))
        self.processes = [Process(one) for one in folders]
        self.processes = [one for one in self.processes if one.last]
        if not self.processes:
            raise Problem(f"{folder}: holds no run: neither metrics.jsonl nor node-*/metrics.jsonl")
        self.name = folder.resolve().name

    def options(self):
        """What was set: all that stands before the results."""
        chosen = {}
        for key, value in self.main.summary.items():
            if key in TIMES:
                break
            if key not in NOT_OPTIONS and not isinstance(value, (list, dict)):
                chosen[key] = value
        built = {key: self.last[key] for key in ("version", "libtorch") if key in self.last}
        return {**chosen, **built}

    def points(self, x, y):
        pairs = [(line.get(x), line.get(y)) for line in self.main.lines]
        return [(a, b) for a, b in pairs if is_number(a) and is_number(b)]

    def meetings(self):
        """(from, to) -> messages, as the senders' books have it."""
        met = {}
        for process in self.processes:
            ids = process.last.get("node_ids", [])
            named = re.fullmatch(r"node-(\d+)", process.folder.name)
            own = ids[0] if ids else int(named[1] if named else 0)
            for peer in process.last.get("peers", []):
                met[own, peer["peer"]] = peer.get("messages_sent", 0)
                met.setdefault((peer["peer"], own), peer.get("messages_received", 0))
        return met

    def faults(self):
        """Sentences."""
        found = []
        for process in self.processes:
            who = f"{process.folder.name}: " if len(self.processes) > 1 else ""
            last = process.last
            if not process.summary:
                found.append(f"{who}no summary: the process was killed, or still runs")
            if "error" in last:
                found.append(f"{who}{last['error']}")
            if "signal" in last:
                found.append(f"{who}ended by signal {last['signal']}")
            for key, phrase in FAULT_COUNTS.items():
                if last.get("connections", {}).get(key):
                    found.append(f"{who}{phrase}: {last['connections'][key]}")
            for peer in last.get("peers", []):
                if peer.get("state") == "lost":
                    found.append(f"{who}peer {peer['peer']} was lost")
        if self.last.get("messages_returned"):
            found.append(f"messages that came back: {short(self.last['messages_returned'])}")
        live, nodes = self.last.get("live_nodes"), self.last.get("nodes")
        if live is not None and nodes is not None and live < nodes and len(self.processes) == 1:
            found.append(f"{live} of {nodes} nodes were left at the end")
        return found


# Text.

def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def short(value):
    """A number in few characters; other values as they are."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not is_number(value):
        return "–" if value is None else str(value)
    for unit, word in ((1e12, " T"), (1e9, " G"), (1e6, " M")):
        if abs(value) >= unit:
            return f"{value / unit:.4g}{word}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def words(key):
    return key.replace("_", " ")


def table(head, rows):
    def line(cells, tag):
        return "<tr>" + "".join(f"<{tag}>{escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"
    return (f'<div class="scroll"><table><thead>{line(head, "th")}</thead><tbody>'
            + "".join(line(row, "td") for row in rows) + "</tbody></table></div>")


# Pictures.

def ticks(low, high, count):
    """Round numbers that cover the range."""
    step = (high - low) / count or 1
    size = 10 ** math.floor(math.log10(step))
    step = next(size * m for m in (1, 2, 5, 10) if size * m >= step * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def chart(title, series, x_word, width=560, height=240, bands=()):
    """Lines over a common axis. `series`: (name, number of the run, points); `bands`, beneath them:
    (number of the run, [(x, low, high)])."""
    series = [one for one in series if one[2]]
    if not series:
        return ""
    xs = [x for _, _, points in series for x, _ in points]
    ys = [y for _, _, points in series for _, y in points]
    ys += [y for _, band in bands for _, *ends in band for y in ends]
    x0, x1, y0, y1 = min(xs), max(xs), min(ys), max(ys)
    if x0 == x1:
        x0, x1 = x0 - 1, x1 + 1
    pad = (y1 - y0) * 0.06 or abs(y0) * 0.1 or 1
    y0, y1 = y0 - pad, y1 + pad
    left, right, top, low = 52, width - 24, 8, height - 34

    def sx(x):
        return left + (right - left) * (x - x0) / (x1 - x0)

    def sy(y):
        return low - (low - top) * (y - y0) / (y1 - y0)

    parts = []
    for y in ticks(y0, y1, 6):
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" '
                     f'y1="{sy(y):.1f}" y2="{sy(y):.1f}"/>'
                     f'<text x="{left - 6}" y="{sy(y) + 4:.1f}" text-anchor="end">{y:.4g}</text>')
    for x in ticks(x0, x1, 4):
        parts.append(f'<text x="{sx(x):.1f}" y="{low + 15}" text-anchor="middle">{short(x)}</text>')
    parts.append(f'<text x="{(left + right) / 2}" y="{height - 3}" text-anchor="middle">'
                 f'{escape(x_word)}</text>')
    for number, band in bands:
        edge = [(x, high) for x, _, high in band] + [(x, low) for x, low, _ in reversed(band)]
        corners = " ".join(f"{sx(x):.1f},{sy(y):.1f}" for x, y in edge)
        parts.append(f'<polyline points="{corners}" stroke="none" fill-opacity=".15" '
                     f'fill="var(--{INKS[number % len(INKS)]})"/>')
    for name, number, points in series:
        ink, dash = INKS[number % len(INKS)], DASHES[number // len(INKS) % len(DASHES)]
        path = " ".join(f"{sx(x):.1f},{sy(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="var(--{ink})" '
                     f'stroke-width="2" stroke-dasharray="{dash}"/>')
        for x, y in points:
            parts.append(f'<circle cx="{sx(x):.1f}" cy="{sy(y):.1f}" r="3" fill="var(--{ink})">'
                         f"<title>{escape(name)}: {y:.6g} at {short(x)} {escape(x_word)}</title>"
                         "</circle>")
    return (f'<figure><figcaption><b>{escape(title)}</b></figcaption><svg class="chart" role="img" '
            f'aria-label="{escape(title)} by {escape(x_word)}" viewBox="0 0 {width} {height}">'
            + "".join(parts) + "</svg></figure>")


def legend(names):
    if len(names) < 2:
        return ""
    keys = []
    for number, name in enumerate(names):
        ink, dash = INKS[number % len(INKS)], DASHES[number // len(INKS) % len(DASHES)]
        keys.append(f'<span class="key"><svg width="28" height="8" aria-hidden="true"><line x1="0" '
                    f'x2="28" y1="4" y2="4" stroke="var(--{ink})" stroke-width="3" '
                    f'stroke-dasharray="{dash}"/></svg> {escape(name)}</span>')
    return '<p class="keys">' + "".join(keys) + "</p>"


def matrix(met):
    """Senders in rows, receivers in columns; the more messages, the fuller."""
    ids = sorted({node for pair in met for node in pair})
    size, left, top = max(6, min(34, 640 // len(ids))), 44, 30
    most = max(met.values(), default=0) or 1
    parts = [f'<text x="{left}" y="12">to</text><text x="4" y="{top - 6}">from</text>']
    for i, one in enumerate(ids):
        if size >= 14 or i % 10 == 0:
            parts.append(f'<text x="{left + (i + 0.5) * size}" y="{top - 4}" text-anchor="middle">'
                         f'{one}</text><text x="{left - 6}" y="{top + (i + 0.5) * size + 4}" '
                         f'text-anchor="end">{one}</text>')
    for (a, b), count in sorted(met.items()):
        x, y = left + ids.index(b) * size, top + ids.index(a) * size
        parts.append(f'<rect x="{x}" y="{y}" width="{size - 1}" height="{size - 1}" '
                     f'fill="var(--compute)" fill-opacity="{0.06 + 0.8 * count / most:.3f}">'
                     f"<title>{a} to {b}: {count} messages</title></rect>")
        if size >= 28:
            parts.append(f'<text x="{x + size / 2}" y="{y + size / 2 + 4}" text-anchor="middle" '
                         f'class="on">{short(count)}</text>')
    wide, high = left + len(ids) * size + 4, top + len(ids) * size + 4
    return (f'<div class="scroll"><svg role="img" aria-label="Messages by sender and receiver" '
            f'width="{wide}" height="{high}">' + "".join(parts) + "</svg></div>")


def bars(run):
    """Steps and final weight of each node."""
    nodes = []
    for process in run.processes:
        last = process.last
        nodes += zip(last.get("node_ids", []), last.get("steps_per_node", []),
                     last.get("weights", []))
    if not nodes:
        return ""
    parts = []
    for title, place in (("steps", 1), ("weight", 2)):
        most = max(node[place] for node in nodes) or 1
        rows = "".join(
            f'<li><span>{node[0]}</span><i style="width:{70 * node[place] / most:.1f}%"></i>'
            f"{short(node[place])}</li>" for node in sorted(nodes))
        parts.append(f'<div><h4>{title.capitalize()} of each node</h4>'
                     f'<ol class="bars scroll">{rows}</ol></div>')
    return '<div class="two">' + "".join(parts) + "</div>"


# The page.

def section_runs(runs):
    unit = runs[0].unit
    keys = [key for key in [unit, *RESULTS] if any(key in run.last for run in runs)]
    rows = [[words(key), *(short(run.last.get(key)) for run in runs)]
            for key in ["rule", "transport", "nodes", *keys]]
    return ("<section><h2>Results</h2>" + table(["run", *(run.name for run in runs)], rows)
            + "</section>")


def section_options(runs):
    if len(runs) == 1:
        return ""
    options = [run.options() for run in runs]
    names = dict.fromkeys(name for one in options for name in one)
    differ = [name for name in names if len({json.dumps(one.get(name)) for one in options}) > 1]
    same = {name: options[0][name] for name in names if name not in differ}
    return "<section><h2>Options that differ</h2>" + (
        table(["option", *(run.name for run in runs)],
              [[words(name), *(short(one.get(name)) for one in options)] for name in differ])
        if differ else '<p class="note">None.</p>') + definitions("Options of all", same) + \
        "</section>"


def definitions(title, pairs):
    return f'<h3>{title}</h3><dl id="about">' + "".join(
        f"<div><dt>{escape(words(name))}</dt><dd>{escape(short(value))}</dd></div>"
        for name, value in pairs.items()) + "</dl>"


def section_curves(runs):
    figures = []
    for y in CURVES:
        for x in ("unit", "time"):
            axis = [run.unit if x == "unit" else run.time for run in runs]
            series = [(run.name, k, run.points(axis[k], y)) for k, run in enumerate(runs)]
            figures.append(chart(words(y), series, " or ".join(map(words, dict.fromkeys(axis)))))
    figures = [one for one in figures if one]
    if not figures:
        return ""
    return (f'<section><h2>Curves</h2>{legend([run.name for run in runs])}<div class="charts">{"".join(figures)}</div>'
            "</section>")


def section_run(run, is_alone):
    met, faults, steps = run.meetings(), run.faults(), bars(run)
    text = (f"<section><h2>{escape(run.name)}</h2>"
            + ("<h3>Faults</h3><ul>" + "".join(f"<li>{escape(one)}</li>" for one in faults)
               + "</ul>" if faults else '<p class="note">No fault was recorded.</p>'))
    if "digest" in run.last:
        text += f'<p class="note">Digest of the models: {escape(str(run.last["digest"]))}</p>'
    if met:
        text += "<h3>Who met whom</h3>" + matrix(met)
    elif is_alone:
        text += ('<p class="note">Records say who met whom of runs in many processes (TCP, MPI) '
                 "only.</p>")
    return text + steps + (definitions("Options", run.options()) if is_alone else "") + "</section>"


STYLE = """
main { grid-template-columns: minmax(0, 1fr); }
.scroll { max-height: none; }
h3 { font-size: .95rem; margin: 1rem 0 .3rem; } h4 { font-size: .85rem; margin: .8rem 0 .2rem; }
.charts { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
@media (max-width: 44rem) { .charts { grid-template-columns: minmax(0, 1fr); } }
figure svg.chart { height: auto; }
svg text { fill: var(--soft); font-size: 11px; } svg text.on { fill: var(--ink); }
.grid { stroke: var(--line); }
.keys { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 0 2rem; }
.bars { list-style: none; padding: 0; max-height: 16rem; }
.bars li { display: flex; align-items: center; gap: .5rem; font-variant-numeric: tabular-nums; }
.bars span { width: 2.5em; text-align: right; color: var(--soft); }
.bars i { height: .7em; background: var(--compute); border-radius: 2px; min-width: 1px; }
tbody tr { cursor: auto; } thead th { color: var(--soft); font-size: .85rem; font-weight: 400; }
th, td { text-align: left; white-space: pre-wrap; vertical-align: top; }
td:first-child { color: var(--soft); white-space: nowrap; }
"""


def document(title, line, main, style=""):
    """A whole page that needs nothing beside it. `main` is markup, the others are text."""
    css = re.search(r'R"CSS\((.*?)\)CSS"',
                    (ROOT / "include/gossamer/observe/watch_page.hpp").read_text(), re.DOTALL)[1]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Gossamer: {escape(title)}</title>
<style>{css}{STYLE}{style}</style>
</head>
<body>
<header><h1>Gossamer</h1><p>{escape(line)}</p></header>
<main>
{main}
</main>
</body>
</html>
"""


def page(runs):
    sections = [section_runs(runs), section_curves(runs), section_options(runs),
                *(section_run(run, len(runs) == 1) for run in runs)]
    return document(", ".join(run.name for run in runs),
                    f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}", "\n".join(sections))


def main(arguments):
    parser = argparse.ArgumentParser(prog="report", description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, or FILE.jsonl:NAME")
    parser.add_argument("--out", type=pathlib.Path, help="default: report.html in the first RUN")
    options = parser.parse_args(arguments)
    out = options.out or pathlib.Path(options.runs[0]) / "report.html"
    try:
        out.write_text(page([Run(folder) for folder in options.runs]), encoding="utf-8")
    except (Problem, OSError) as problem:
        print(f"report: {problem}", file=sys.stderr)
        return 1
    print(out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
