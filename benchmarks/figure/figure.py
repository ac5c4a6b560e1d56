# SPDX-License-Identifier: MIT
"""Records of the figure's runs, and the figure made of them; see run.sh.

    figure.py record RUN FILE          what a run folder of cifar10 says, in one small file
    figure.py speeds RUNS FILE         images per second of each contender, from folders NAME.ROUND
    figure.py plot RECORDS CSV PNG     the figure
"""

import json
import statistics
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))
from record_io import (machine, rounded, run_record, save_figure, write,
                       write_table)  # beside the other benchmarks

POINT = ("images", "train_loss", "test_loss", "test_accuracy", "weighted_test_accuracy",
         "worst_node_accuracy", "best_node_accuracy", "consensus_error", "effective_nodes",
         "total_weight", "messages_sent", "bytes_sent", "wall_seconds")


def record(run, file):
    write(file, run_record(run, POINT, lambda line, summary: {
        "steps_per_node": line["steps"] / summary["nodes"]}))


def speeds(runs, file):
    rates = {}
    for folder in sorted(Path(runs).iterdir()):
        summary = json.loads((folder / "summary.json").read_text())
        rates.setdefault(folder.stem, []).append(round(summary["images_per_second"], 1))
    result = {"machine": machine(), "images_per_second": rates,
              "median": {name: statistics.median(values) for name, values in rates.items()}}
    write(file, json.dumps(result, indent=1) + "\n")


def label(name):
    rule, _, probability = name.partition("-")
    text = {"gosgd": "GoSGD", "persyn": "PerSyn", "sync": "synchronous", "single": "single thread"}
    return f"{text[rule]}, p = {probability}" if probability else text[rule]


def plot(records, table, picture):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    runs = {path.stem: json.loads(path.read_text()) for path in sorted(Path(records).glob("*.json"))}
    speed = runs.pop("speeds", None)
    if not runs:
        sys.exit(f"figure.py: {records} holds no record; run benchmarks/figure/run.sh first")
    rows = []
    for name, run in runs.items():
        for point in run["points"]:
            seconds = point["images"] / speed["median"][name] if speed else None
            rows.append({"contender": name, "seconds": rounded(seconds), **point})
    write_table(table, rows[0], (row.values() for row in rows))

    colour = {"0.01": "#9ecae1", "0.02": "#4292c6", "0.4": "#08519c"}
    warm = {"0.01": "#fdbe85", "0.02": "#fd8d3c", "0.4": "#a63603"}
    figure, axes = plt.subplots(2, 2 if speed else 1, figsize=(12, 8), sharey="row", squeeze=False)
    for name, run in runs.items():
        rule, _, probability = name.partition("-")
        style = {"gosgd": {"color": colour.get(probability), "linestyle": "-"},
                 "persyn": {"color": warm.get(probability), "linestyle": "--"},
                 "sync": {"color": "#238b45", "linestyle": "-."},
                 "single": {"color": "#252525", "linestyle": ":"}}[rule]
        points = run["points"]
        steps = [point["steps_per_node"] for point in points]
        columns = [steps]
        if speed:
            columns.append([point["images"] / speed["median"][name] for point in points])
        for column, xs in enumerate(columns):
            for row, key in enumerate(("train_loss", "test_accuracy")):
                ys = [point[key] * (100 if row else 1) for point in points]
                axes[row][column].plot(xs, ys, label=label(name), linewidth=1.8, marker=".",
                                       **style)
    nodes = max(run["nodes"] for run in runs.values())
    limit = max(run["points"][-1]["steps_per_node"] for run in runs.values() if run["nodes"] > 1)
    for row, text in enumerate(("training loss", "test accuracy of the mean model, %")):
        axes[row][0].set_ylabel(text)
        axes[row][0].set_xlim(0, limit * 1.02)
        for axis in axes[row]:
            axis.grid(alpha=0.3)
    axes[1][0].set_xlabel("steps per node")
    if speed:
        axes[1][1].set_xlabel(f"seconds of training ({speed['machine']})")
    axes[1][-1].legend(fontsize=8, loc="lower right")
    first = next(iter(runs.values()))
    figure.suptitle(f"CIFAR-10, {nodes} nodes, batch {first['batch']}, learning rate "
                    f"{first['learning_rate']}, momentum {first['momentum']}")
    save_figure(figure, picture)


if __name__ == "__main__":
    commands = {"record": record, "speeds": speeds, "plot": plot}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
