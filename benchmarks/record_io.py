# SPDX-License-Identifier: MIT
"""What all records have in common."""

import csv
import json
import os
import sys
from pathlib import Path

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


def rounded(value):
    return float(f"{value:.6g}") if isinstance(value, float) else value


def run_record(run, keys, first=lambda line, summary: {}):
    """What a run folder of cifar10 says, as text: its setting, and of each evaluation `first` and
    the values of `keys`."""
    summary = json.loads((Path(run) / "summary.json").read_text())
    for key in ("error", "signal"):
        if key in summary:
            sys.exit(f"{run} was ended by {key} {summary[key]}; run it to its end")
    points = []
    for line in map(json.loads, (Path(run) / "metrics.jsonl").read_text().splitlines()):
        point = first(line, summary)
        point.update({key: line[key] for key in keys if key in line})
        points.append({key: rounded(value) for key, value in point.items()})
    result = {key: summary[key] for key in SETTING if key in summary}
    text = json.dumps(result, indent=1)[:-2] + ',\n "points": [\n'
    return text + ",\n".join("  " + json.dumps(point) for point in points) + "\n ]\n}\n"


def write_table(path, header, rows):
    """A CSV file, whole or not at all."""
    part = Path(f"{path}.part")
    with part.open("w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    os.replace(part, path)


def save_figure(figure, path):
    """A PNG, whole or not at all."""
    figure.tight_layout()
    figure.savefig(f"{path}.part", dpi=110, format="png")
    os.replace(f"{path}.part", path)
