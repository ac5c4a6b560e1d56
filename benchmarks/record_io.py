# SPDX-License-Identifier: MIT
"""What all records have in common: their files, and what is made of them.

records/QUESTION.jsonl has a line for each run, sorted by name: a JSON object, its "name" first, its
other keys sorted. To measure a run again, delete its line.
"""

import csv
import fcntl
import io
import json
import os
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "records"
# What the records keep of a run's summary.
SETTING = ("dataset", "parameters", "rule", "base", "transport", "nodes", "topology", "schedule",
           "probability", "tau", "alpha", "beta", "slow_rate", "graph", "staleness", "sync_steps",
           "batch", "learning_rate", "optimizer", "momentum", "dropout", "channels_last", "seed",
           "cluster", "version", "libtorch", "digest")


def machine():
    """The processor and how many of it."""
    model = next((line.split(":")[1].strip() for line in
                  Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
                 "unknown processor")
    return f"{model}, {os.cpu_count()} cores"


def write(path, text):
    """Whole or not at all."""
    part = Path(f"{path}.part")
    part.write_text(text)
    os.replace(part, path)


def read(path):
    """{name: run}, sorted by name; nothing where there is no file."""
    runs = {}
    lines = Path(path).read_text().splitlines() if Path(path).exists() else []
    for number, line in enumerate(lines, 1):
        try:
            run = json.loads(line)
            name = run.pop("name")
        except (ValueError, TypeError, AttributeError, KeyError):
            sys.exit(f"{path}:{number}: a line must be a JSON object with a name, got {line[:60]}")
        if name in runs:
            sys.exit(f"{path}:{number}: there are two runs of the name {name}")
        runs[name] = run
    return dict(sorted(runs.items()))


def add(path, new):
    """Adds the runs of `new` ({name: run}), or replaces those of the same names. Writers wait for each
    other; who is cut off leaves the file as it was."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        runs = {**read(path), **new}
        write(path, "".join(json.dumps({"name": key, **sorted_keys(runs[key])}) + "\n"
                            for key in sorted(runs)))
    finally:
        os.close(lock)


def sorted_keys(value):
    if isinstance(value, dict):
        return {key: sorted_keys(value[key]) for key in sorted(value)}
    return [sorted_keys(one) for one in value] if isinstance(value, list) else value


def rounded(value):
    return float(f"{value:.6g}") if isinstance(value, float) else value


def run_record(folder, keys, first=lambda line, summary: {}):
    """What a run folder of cifar10 says: its setting, and of each evaluation `first` and the values
    of `keys`."""
    summary = json.loads((Path(folder) / "summary.json").read_text())
    for key in ("error", "signal"):
        if key in summary:
            sys.exit(f"{folder} was ended by {key} {summary[key]}; run it to its end")
    points = []
    for line in map(json.loads, (Path(folder) / "metrics.jsonl").read_text().splitlines()):
        point = first(line, summary)
        point.update({key: line[key] for key in keys if key in line})
        points.append({key: rounded(value) for key, value in point.items()})
    return {**{key: summary[key] for key in SETTING if key in summary}, "points": points}


def table(head, rows):
    """As Markdown."""
    head, *lines = (f"| {' | '.join(cells)} |\n" for cells in (head, *rows))
    return "".join([head, "|" + "---|" * (head.count(" | ") + 1) + "\n", *lines])


def csv_text(header, rows):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def save_figure(figure, path):
    """A PNG, whole or not at all."""
    figure.tight_layout()
    figure.savefig(f"{path}.part", dpi=110, format="png")
    os.replace(f"{path}.part", path)
