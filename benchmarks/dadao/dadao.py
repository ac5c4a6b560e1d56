# SPDX-License-Identifier: MIT
"""Records of DADAO's runs, their table beside theory, and the figure; see run.sh and ../records.py."""

import json
import math
from pathlib import Path

from record_io import rounded, table

GRAPHS = ("two_way_ring", "complete", "random_regular:3", "walk:3")
SHOWN = ("ridge", 1000, 1)  # whose curves are kept and drawn


def kappa_of(run):
    return round(run["kappa"])


def record(name, file):
    run = json.loads(Path(file).read_text())
    del run["name"]
    if (run["problem"], kappa_of(run), run["seed"]) != SHOWN:
        del run["times"]
        for method in run["methods"].values():
            del method["errors"]
    run["methods"] = {name: {key: rounded(value) for key, value in method.items()}
                      for name, method in run["methods"].items()}
    return {key: rounded(value) for key, value in run.items()}


def span(values, text="{:.2g}"):
    low, high = text.format(min(values)), text.format(max(values))
    return low if low == high else f"{low} to {high}"


def groups(runs):
    """{(problem, kappa, graph): its runs}, in the order of the table."""
    found = {}
    for run in runs.values():
        found.setdefault((run["problem"], kappa_of(run), run["graph"]), []).append(run)
    return dict(sorted(found.items(), key=lambda item: (item[0][0] != "ridge", item[0][1],
                                                        GRAPHS.index(item[0][2]))))


def texts(runs):
    rows = []
    for (problem, kappa, graph), some in groups(runs).items():
        rates = {name: [run["methods"][name]["rate"] for run in some]
                 for name in ("dadao", "tracking")}
        gradients, messages = (sum(run[key] / run["nodes"] for run in some) / len(some)
                               for key in ("gradients", "messages"))
        rows.append([problem, f"{kappa:,}", f"`{graph}`", f"{some[0]['guaranteed_rate']:.2g}",
                     span(rates["dadao"]), span(rates["tracking"]), f"{gradients:,.0f}",
                     f"{messages:,.0f}",
                     span([run["methods"]["tracking"]["error"] for run in some], "{:.0e}"),
                     span([run["methods"]["gossip"]["error"] for run in some], "{:.0e}")])
    first = next(iter(runs.values()))
    seeds = len({run["seed"] for run in runs.values()})
    head = ("problem", "kappa", "graph", "rate by theory, at least", "DADAO's rate",
            "tracking's rate", "gradients a node", "messages a node", "tracking's error then",
            "gossip's error then")
    return {"records/dadao.md":
            f"{first['nodes']} nodes, {first['dimensions']} unknowns, {first['samples']} samples a "
            f"node, {seeds} seeds of events and graphs: the squared error\nfalls as exp(-rate t), "
            "and in one unit of t a node takes one gradient. Gradients and messages are\nthose "
            f"until DADAO's squared error has fallen to {first['tolerance']:g} of what it was; "
            "errors are to the first, too.\nThe rivals have the best of 14 step sizes in each "
            f"run.\n\n{table(head, rows)}"}


def draw(runs):
    import matplotlib.pyplot as plt

    colours = dict(zip(GRAPHS, ("#08519c", "#238b45", "#d94801", "#6a51a3")))
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5))
    for graph in GRAPHS:
        run = runs[f"{SHOWN[0]}/{graph}/{SHOWN[1]}/{SHOWN[2]}"]
        left.semilogy(run["times"], run["methods"]["dadao"]["errors"], color=colours[graph],
                      label=f"DADAO, {graph}")
    run = runs[f"{SHOWN[0]}/{GRAPHS[0]}/{SHOWN[1]}/{SHOWN[2]}"]
    for name, style in (("tracking", "-."), ("gossip", ":")):
        left.semilogy(run["times"], run["methods"][name]["errors"], color="#636363",
                      linestyle=style, label=f"{name}, {GRAPHS[0]}")
    left.semilogy(run["times"], [math.exp(-run["guaranteed_rate"] * t) for t in run["times"]],
                  color="black", linestyle="--", label="theory: at least as steep")
    left.set_xlabel("gradients a node")
    left.set_ylabel("mean of |x - x*|², to the first")
    left.set_title(f"{SHOWN[0]} regression, kappa {SHOWN[1]:,}")
    ridge = {key[1:]: some for key, some in groups(runs).items() if key[0] == "ridge"}
    kappas = sorted({kappa for kappa, _ in ridge})
    for graph in GRAPHS:
        right.loglog(kappas, [median([run["methods"]["dadao"]["rate"]
                                      for run in ridge[kappa, graph]]) for kappa in kappas],
                     color=colours[graph], marker="o", label=f"DADAO, {graph}")
    right.loglog(kappas, [median([run["methods"]["tracking"]["rate"]
                                  for run in ridge[kappa, GRAPHS[0]]]) for kappa in kappas],
                 color="#636363", marker="s", linestyle="-.", label=f"tracking, {GRAPHS[0]}")
    right.loglog(kappas, [1 / math.sqrt(kappa) / (8 * math.sqrt(2)) for kappa in kappas],
                 color="black", linestyle="--", label="theory: at least so much")
    right.set_xlabel("kappa = L / mu")
    right.set_ylabel("rate of the squared error, per gradient a node")
    right.set_title("ridge regression, median of the seeds")
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    return figure


def median(values):
    return sorted(values)[len(values) // 2]
