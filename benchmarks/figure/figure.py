# SPDX-License-Identifier: MIT
"""Records of the figure's runs, and what is made of them; see run.sh and ../records.py."""

import json
import statistics
from pathlib import Path

from record_io import csv_text, machine, rounded, run_record, table

POINT = ("images", "train_loss", "test_loss", "test_accuracy", "weighted_test_accuracy",
         "worst_node_accuracy", "best_node_accuracy", "consensus_error", "effective_nodes",
         "total_weight", "messages_sent", "bytes_sent", "wall_seconds")


def record(name, folder):
    """Of a run folder of cifar10; of the name `speeds`: of a folder with such folders, NAME.ROUND."""
    if name == "speeds":
        return speeds(folder)
    return run_record(folder, POINT, lambda line, summary: {
        "steps_per_node": line["steps"] / summary["nodes"]})


def speeds(folder):
    """Images per second of each contender."""
    rates = {}
    for run in sorted(Path(folder).iterdir()):
        summary = json.loads((run / "summary.json").read_text())
        rates.setdefault(run.stem, []).append(round(summary["images_per_second"], 1))
    return {"machine": machine(), "images_per_second": rates,
            "median": {name: statistics.median(values) for name, values in rates.items()}}


def apart(runs):
    """The runs, and their speeds or None."""
    runs = dict(runs)
    speed = runs.pop("speeds", None)
    return runs, speed


def texts(runs):
    runs, speed = apart(runs)
    keys = ("steps_per_node", *POINT)
    points = csv_text(("contender", "seconds", *keys), (
        (name, rounded(point["images"] / speed["median"][name] if speed else None),
         *(point.get(key, "") for key in keys))
        for name, run in runs.items() for point in run["points"]))
    rows = []
    for name, run in sorted(runs.items(), key=lambda one: -one[1]["points"][-1]["bytes_sent"]):
        rule, _, probability = name.partition("-")
        end = run["points"][-1]
        alone = run["nodes"] == 1
        text = f"`{rule}`, {end['steps_per_node']:,.0f} steps" if alone else (
            f"`{rule}`, p = {probability}" if probability else f"`{rule}`")
        rows.append([text, f"{100 * end['test_accuracy']:.1f} %", f"{end['train_loss']:.3f}",
                     "" if alone else f"{end['consensus_error']:.2g}",
                     "" if alone else f"{end['bytes_sent'] / 1e6:,.0f}"])
    head = ("rule", "accuracy, mean model", "training loss of the nodes", "consensus error",
            "megabytes sent")
    return {"records/figure.md": table(head, rows), "figure/figure.csv": points}


def label(name):
    rule, _, probability = name.partition("-")
    text = {"gosgd": "GoSGD", "persyn": "PerSyn", "sync": "synchronous", "single": "single thread"}
    return f"{text[rule]}, p = {probability}" if probability else text[rule]


def draw(runs):
    import matplotlib.pyplot as plt

    runs, speed = apart(runs)
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
    return figure
