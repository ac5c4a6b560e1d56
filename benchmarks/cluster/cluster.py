# SPDX-License-Identifier: MIT
"""Records of the simulated clusters' runs, and what is made of them; see run.sh and ../records.py."""

from record_io import csv_text, run_record, table

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


def record(name, folder):
    return run_record(folder, POINT)


def by_cluster(runs):
    """{cluster: {rule: run}}"""
    result = {}
    for name, run in runs.items():
        cluster, _, rule = name.partition("/")
        result.setdefault(cluster, {})[rule] = run
    for cluster in ("straggler", "membership"):  # one alone waits for nobody, and does not die
        if cluster in result and "single" in result.get("equal", {}):
            result[cluster].setdefault("single", result["equal"]["single"])
    return result


def texts(runs):
    keys = POINT[:-2]  # but for the lists
    points = csv_text(("cluster", "rule", *keys),
                      ((*name.split("/"), *(point.get(key, "") for key in keys))
                       for name, run in runs.items() for point in run["points"]))
    clusters = by_cluster(runs)
    rows = []
    for cluster, title in CLUSTERS.items():
        times = {rule: time_to(TARGET, clusters[cluster][rule]["points"]) for rule in RULES
                 if rule in clusters.get(cluster, {})}
        rows.append([title, *(time_text(times.get(rule), times.get("sync"), rule)
                              for rule in ("gosgd", "sync", "persyn", "single"))])
    head = (f"virtual seconds to {100 * TARGET:.0f} % (and to `sync`'s)", "`gosgd`", "`sync`", "`persyn`",
            "one node alone")
    return {"records/cluster.md": table(head, rows), "cluster/cluster.csv": points}


def time_text(time, of_sync, rule):
    if time is None:
        return ""
    return f"{time:.1f}" if rule == "sync" or not of_sync else f"{time:.1f} ({time / of_sync:.2f})"


def draw(runs):
    import matplotlib.pyplot as plt

    clusters = by_cluster(runs)
    figure, axes = plt.subplots(2, 2, figsize=(12, 8), sharey=True)
    for axis, (cluster, title) in zip(axes.flat, CLUSTERS.items()):
        by_rule = clusters.get(cluster, {})
        for rule, (label, colour, style) in RULES.items():
            if rule not in by_rule:
                continue
            points = by_rule[rule]["points"]
            axis.plot([point["virtual_seconds"] for point in points],
                      [100 * point["test_accuracy"] for point in points],
                      color=colour, linestyle=style, marker=".", linewidth=1.8, label=label)
        axis.set_title(title)
        axis.axhline(100 * TARGET, color="#999999", linewidth=0.8)
        axis.set_xscale("log")
        axis.grid(alpha=0.3, which="both")
    axes[0][0].legend(loc="upper left")
    for axis in axes[1]:
        axis.set_xlabel("virtual seconds")
    for axis in axes[:, 0]:
        axis.set_ylabel("test accuracy of the mean model, %")
    first = next(iter(runs.values()))
    figure.suptitle(f"CIFAR-10 on a simulated cluster: 8 machines of one core, 1 Gbit/s; batch "
                    f"{first['batch']}, momentum {first['momentum']}, p = {first['probability']}")
    return figure
