# SPDX-License-Identifier: MIT
"""Records of the simulated clusters' runs, and the figure made of them; see run.sh.

    cluster.py record RUN FILE          what a run folder of cifar10 says, in one small file
    cluster.py plot RECORDS CSV PNG     the figure, and the times to the target on standard output
"""

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))
from record_io import run_record, save_figure, write, write_table  # beside the other benchmarks

TARGET = 0.6
POINT = ("images", "virtual_seconds", "train_loss", "test_loss", "test_accuracy",
         "weighted_test_accuracy", "worst_node_accuracy", "best_node_accuracy", "consensus_error",
         "effective_nodes", "total_weight", "messages_sent", "messages_returned", "bytes_sent",
         "node_ids", "steps_per_node")
CLUSTERS = {"equal": "(a) equal machines", "straggler": "(b) one machine four times slower",
            "lognormal": "(c) log-normal steps", "membership": "(d) one dies, another one comes"}
RULES = {"gosgd": ("GoSGD", "#2171b5", "-"), "persyn": ("PerSyn", "#d94801", "--"),
         "sync": ("synchronous", "#238b45", "-."), "single": ("one node alone", "#252525", ":")}


def time_to(target, points):
    """Virtual seconds at which the line through the points reaches the target, or None."""
    for before, after in zip(points, points[1:]):
        low, high = before["test_accuracy"], after["test_accuracy"]
        if low < target <= high:
            share = (target - low) / (high - low)
            start = before["virtual_seconds"]
            return start + share * (after["virtual_seconds"] - start)
    return None


def plot(records, table, picture):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    runs = {}
    for path in sorted(Path(records).glob("*.json")):
        cluster, _, rule = path.stem.partition("-")
        runs.setdefault(cluster, {})[rule] = json.loads(path.read_text())
    if not runs:
        sys.exit(f"cluster.py: {records} holds no record; run benchmarks/cluster/run.sh first")

    keys = POINT[:-2]  # but for the lists
    write_table(table, ("cluster", "rule", *keys),
                ((cluster, rule, *(point.get(key, "") for key in keys))
                 for cluster, by_rule in runs.items() for rule, run in by_rule.items()
                 for point in run["points"]))

    figure, axes = plt.subplots(2, 2, figsize=(12, 8), sharey=True)
    for axis, (cluster, title) in zip(axes.flat, CLUSTERS.items()):
        by_rule = dict(runs.get(cluster, {}))
        if "single" not in by_rule and cluster != "lognormal" and "equal" in runs:
            alone = runs["equal"].get("single")  # it has nobody to wait for, and does not die
            if alone:
                by_rule["single"] = alone
        for rule, (label, colour, style) in RULES.items():
            if rule not in by_rule:
                continue
            points = by_rule[rule]["points"]
            axis.plot([point["virtual_seconds"] for point in points],
                      [100 * point["test_accuracy"] for point in points],
                      color=colour, linestyle=style, marker=".", linewidth=1.8, label=label)
            reached = time_to(TARGET, points)
            print(f"{cluster:12} {rule:8} {reached:8.1f} s to {TARGET:.0%}" if reached else
                  f"{cluster:12} {rule:8}        - s to {TARGET:.0%}; "
                  f"{points[-1]['test_accuracy']:.1%} after {points[-1]['images']} images")
        axis.set_title(title)
        axis.axhline(100 * TARGET, color="#999999", linewidth=0.8)
        axis.set_xscale("log")
        axis.grid(alpha=0.3, which="both")
    axes[0][0].legend(loc="upper left")
    for axis in axes[1]:
        axis.set_xlabel("virtual seconds")
    for axis in axes[:, 0]:
        axis.set_ylabel("test accuracy of the mean model, %")
    first = next(iter(next(iter(runs.values())).values()))
    figure.suptitle(f"CIFAR-10 on a simulated cluster: 8 machines of one core, 1 Gbit/s; batch "
                    f"{first['batch']}, momentum {first['momentum']}, p = {first['probability']}")
    save_figure(figure, picture)


def record(run, file):
    write(file, run_record(run, POINT))


if __name__ == "__main__":
    commands = {"record": record, "plot": plot}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
