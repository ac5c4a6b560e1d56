# SPDX-License-Identifier: MIT
"""Records of the comparison of all rules, and what is made of them; see run.sh and ../records.py."""

import statistics

from record_io import csv_text, run_record, table

POINT = ("images", "wall_seconds", "virtual_seconds", "train_loss", "test_loss", "test_accuracy",
         "weighted_test_accuracy", "worst_node_accuracy", "consensus_error", "effective_nodes",
         "messages_sent", "bytes_sent")
# Of the main rules: name, colour, line.
MAIN = {"gosgd": ("GoSGD", "#2171b5", "-"), "gosgd(two_choices)": ("GoSGD, two choices", "#08306b", "-"),
        "persyn": ("PerSyn", "#d94801", "--"), "slowmo": ("SlowMo", "#e6ab02", "--"),
        "sgp": ("SGP", "#6a51a3", "-."), "sync": ("synchronous", "#238b45", "-.")}
LOWEST = 35  # percent: what ends below (downpour) is in the table alone
CROWD = 1500  # megabytes: rules that send less have their names on the left


def record(name, folder):
    return run_record(folder, POINT)


def by_place(runs):
    """{(where, name, seed): run}"""
    return {(where, name, int(seed)): run for (where, name, seed), run in
            ((key.split("/"), run) for key, run in runs.items())}


def texts(runs):
    runs = by_place(runs)
    points = csv_text(("where", "name", "seed", *POINT),
                      ((*key, *(point.get(column, "") for column in POINT))
                       for key, run in runs.items() for point in run["points"]))
    return {"records/methods.md": f"{table_of_rules(runs)}\n{table_of_bytes(runs)}",
            "methods/methods.csv": points}


def rule_of(name):
    return name.partition("@")[0]


def last(runs, where, name):
    """The last points of all seeds."""
    return [run["points"][-1] for (place, other, _), run in sorted(runs.items())
            if (place, other) == (where, name)]


def mean(points, key):
    return statistics.fmean(point[key] for point in points)


def percent(points):
    """With several seeds the mean, and half of the distance between the worst and the best."""
    if not points:
        return ""
    values = [100 * point["test_accuracy"] for point in points]
    text = f"{statistics.fmean(values):.1f}"
    if len(values) > 1:
        text += f" ± {(max(values) - min(values)) / 2:.1f}"
    return text


def number(points, key, form, scale=1.0):
    return form.format(mean(points, key) * scale) if points else ""


def names_in_order(runs):
    """The main ones first, others by accuracy."""
    names = {name for _, name, _ in runs if "@" not in name}
    best = {name: mean(last(runs, where, name), "test_accuracy")
            for where in ("slow", "threads", "equal") for name in names if last(runs, where, name)}
    rest = sorted((name for name in names if name not in MAIN), key=lambda name: -best[name])
    return [name for name in MAIN if name in names] + rest


def table_of_rules(runs):
    rows = []
    for name in names_in_order(runs):
        equal, slow = last(runs, "equal", name), last(runs, "slow", name)
        rows.append([f"`{name}`", percent(last(runs, "threads", name)), percent(equal),
                     number(equal, "bytes_sent", "{:,.0f}", 1e-6),
                     number(equal, "consensus_error", "{:.3g}"),
                     number(equal, "effective_nodes", "{:.1f}"),
                     number(equal, "virtual_seconds", "{:.1f}"),
                     percent(slow), number(slow, "virtual_seconds", "{:.0f}")])
    return table(("rule", "threads, %", "simulated, %", "megabytes sent", "consensus error",
                  "effective nodes", "virtual s", "one slow machine, %", "virtual s"), rows)


def table_of_bytes(runs):
    names = sorted({name for where, name, _ in runs if where == "equal" and rule_of(name) in MAIN},
                   key=lambda name: mean(last(runs, "equal", name), "bytes_sent"))
    rows = []
    for name in names:
        points = last(runs, "equal", name)
        rule, _, rate = name.partition("@")
        rows.append([f"`{rule}`, p = {rate}" if rate else f"`{rule}`",
                     number(points, "bytes_sent", "{:,.0f}", 1e-6), percent(points),
                     str(len(points))])
    return table(("run", "megabytes sent", "accuracy, %", "seeds"), rows)


def draw_bytes(axis, runs):
    """All rules at the end of their runs; those of one rule at several rates are a curve."""
    curves = {}
    for name in sorted({name for where, name, _ in runs if where == "equal"}):
        points = last(runs, "equal", name)
        if mean(points, "bytes_sent") > 0 and 100 * mean(points, "test_accuracy") > LOWEST:
            curves.setdefault(rule_of(name), []).append(
                (mean(points, "bytes_sent") / 1e6, 100 * mean(points, "test_accuracy"),
                 [100 * point["test_accuracy"] for point in points]))
    others = []
    for rule, curve in curves.items():
        curve.sort()
        xs, ys, values = zip(*curve)
        if rule in MAIN:
            label, colour, line = MAIN[rule]
            spread = [[y - min(v) for y, v in zip(ys, values)],
                      [max(v) - y for y, v in zip(ys, values)]]
            axis.errorbar(xs, ys, yerr=spread, color=colour, linestyle=line, marker="o",
                          markersize=4, capsize=2, linewidth=1.8, label=label)
        else:
            axis.plot(xs, ys, color="#969696", marker="x", linestyle="")
            others.append((ys[0], xs[0], rule))
    # Their names in two columns, one above the other; the lines between leave the middle free.
    for names, side, place in (
            ([other for other in others if other[1] < CROWD], "right", CROWD * 0.52),
            ([other for other in others if other[1] >= CROWD], "left", 1.25)):
        height = -1
        for y, x, rule in sorted(names):
            height = max(y, height + 0.55)
            axis.annotate(rule, (x, y), xytext=(place if side == "right" else x * place, height),
                          fontsize=7.5, color="#636363", ha=side, va="center",
                          bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
                          arrowprops={"arrowstyle": "-", "color": "#bdbdbd", "lw": 0.5})
    axis.set_xscale("log")
    axis.set_xlim(right=1.6 * axis.get_xlim()[1])
    axis.set_ylim(bottom=49)
    axis.set_xlabel("megabytes sent, at the end of the run")


def draw_curves(axis, runs, where, key, scale):
    for name, (_, colour, line) in MAIN.items():
        run = runs.get((where, name, 1))
        if run:
            axis.plot([scale * point[key] for point in run["points"]],
                      [100 * point["test_accuracy"] for point in run["points"]],
                      color=colour, linestyle=line, marker=".", linewidth=1.8)


def draw(runs):
    import matplotlib.pyplot as plt

    runs = by_place(runs)
    figure = plt.figure(figsize=(12, 10))
    rows = figure.add_gridspec(2, 3, height_ratios=(1.25, 1))
    bytes_axis = figure.add_subplot(rows[0, :])
    draw_bytes(bytes_axis, runs)
    bytes_axis.set_title("(a) simulated, equal machines: accuracy against bytes, all rules")
    bytes_axis.legend(fontsize=8, loc="lower right")
    bytes_axis.grid(alpha=0.3, which="both")
    bytes_axis.set_ylabel("test accuracy of the mean model, %")
    first_axis = None
    for i, (where, key, scale, title, label) in enumerate((
            ("threads", "images", 1e-3, "(b) threads", "thousands of images, over all nodes"),
            ("equal", "virtual_seconds", 1, "(c) simulated, equal machines", "virtual seconds"),
            ("slow", "virtual_seconds", 1, "(d) one machine four times slower",
             "virtual seconds"))):
        axis = figure.add_subplot(rows[1, i], sharey=first_axis)
        first_axis = first_axis or axis
        draw_curves(axis, runs, where, key, scale)
        axis.set_title(title)
        axis.set_xlabel(label)
        axis.grid(alpha=0.3)
    first_axis.set_ylabel("test accuracy of the mean model, %")
    first = next(iter(runs.values()))
    figure.suptitle(f"CIFAR-10, 8 nodes, 200,000 images, batch {first['batch']}, learning rate "
                    f"{first['learning_rate']}, momentum {first['momentum']}")
    return figure
