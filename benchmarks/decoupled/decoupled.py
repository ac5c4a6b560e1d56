# SPDX-License-Identifier: MIT
"""Records of decoupled greedy learning, and the tables of them; see run.sh and ../records.py."""

import json
from pathlib import Path

from record_io import rounded, table

POINT = ("images", "turns", "test_accuracy", "module_accuracy", "bytes_sent")
PER_MODULE = ("parameters", "module_accuracy", "module_steps", "module_loss", "bytes_sent",
              "messages_sent", "messages_returned", "messages_refused", "batches_received",
              "batches_unused")


def summary_of(folder):
    return {key: [rounded(one) for one in value] if isinstance(value, list) else rounded(value)
            for key, value in json.loads((folder / "summary.json").read_text()).items()}


def record(name, folder):
    folder = Path(folder)
    parts = sorted(folder.glob("node-*"))
    if parts:  # a process has a folder each
        all_of = [summary_of(part) for part in parts]
        run = all_of[-1]
        run.pop("module")
        for key in PER_MODULE:
            values = [one[key] for one in all_of]
            run[key] = [value[0] if isinstance(value, list) else value for value in values]
        run["bytes_sent"] = sum(run["bytes_sent"])
        return run
    run = summary_of(folder)
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    run["points"] = [{key: [rounded(x) for x in line[key]] if isinstance(line[key], list)
                      else rounded(line[key]) for key in POINT} for line in lines]
    return run


def percents(values):
    return ", ".join(f"{100 * value:.1f}" for value in values)


def texts(runs):
    names = {name: name.split("/") for name in runs}
    in_step = [[network, way, activations, seed, percents(runs[name]["module_accuracy"]),
                f"{runs[name]['bytes_sent'] / 1e6:,.0f}"]
               for name, (network, way, activations, seed, *_) in sorted(
                   names.items(), key=lambda item: (item[1][0] != "three", item[1][3],
                                                    item[1][1] != "backprop",
                                                    -runs[item[0]]["bytes_sent"]))
               if way in ("backprop", "sync")]
    drawn = []
    for name, (network, way, activations, seed, *rest) in names.items():
        if way != "async":
            continue
        run = runs[name]
        slow = float(rest[1]) if len(rest) > 1 else 1
        written, unused = (run.get(key, []) for key in ("batches_written", "batches_unused"))
        drawn.append(((network != "three", activations, int(rest[0]), slow, seed),
                      [network, activations, seed, rest[0], f"{slow:g}",
                       percents(run["module_accuracy"]), f"{run['turns']:,}",
                       ", ".join(f"{100 * b / a:.0f}" for a, b in zip(written, unused))]))
    apart = [[network, "one killed, and back" if way == "tcp_killed" else "all alive", activations,
              percents(runs[name]["module_accuracy"]),
              ", ".join(f"{steps:,}" for steps in runs[name]["module_steps"]),
              f"{runs[name]['bytes_sent'] / 1e6:,.0f}",
              f"{sum(runs[name]['messages_returned']):,}",
              f"{sum(runs[name]['messages_refused']):,}"]
             for name, (network, way, activations, *_) in names.items() if way.startswith("tcp")]
    parts = [table(("network", "how", "activations", "seed", "accuracy of its modules, %",
                    "megabytes sent"), in_step)]
    if drawn:
        parts.append(table(("network", "activations", "seed", "buffer, batches", "module 1 slower",
                            "accuracy of its modules, %", "turns", "batches never used, %"),
                           [row for _, row in sorted(drawn)]))
    if apart:
        parts.append(table(("network", "four processes", "activations",
                            "accuracy of their modules, %", "steps", "megabytes sent",
                            "batches that came back", "that could not be read"), apart))
    return {"records/decoupled.md": "\n".join(parts)}
