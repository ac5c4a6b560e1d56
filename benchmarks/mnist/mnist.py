# SPDX-License-Identifier: MIT
"""Records of the MNIST runs, and their table beside the published figures; see run.sh and
../records.py."""

import json
from pathlib import Path

from record_io import table

# Test accuracy of node 0 and of the mean model after 100 epochs, W = 4: S. Pramod, "Elastic gossip",
# arXiv:1812.02407, and the author's notebooks. The rates there are 0.125, 0.031, 0.0078 and 0.002.
PUBLISHED = {
    ("elastic_gossip", 3): (98.62, 98.61), ("elastic_gossip", 5): (98.61, 98.62),
    ("elastic_gossip", 7): (98.38, 98.53), ("elastic_gossip", 9): (98.47, 98.44),
    ("gossiping_pull", 3): (98.55, 98.5), ("gossiping_pull", 5): (98.49, 98.5),
    ("gossiping_pull", 7): (98.3, 98.47), ("gossiping_pull", 9): (98.23, 98.29),
    ("sync", None): (98.61, None), ("none", None): (97.23, None),
    ("none, own images", None): (97.23, None),
}
RULES = ("elastic_gossip", "gossiping_pull", "gosgd", "sync", "none", "none, own images")


def cell(value):
    return "" if value is None else f"{value:.2f}"


def record(name, file):
    return json.loads(Path(file).read_text())


def texts(runs):
    by_rate = {}
    for run in runs.values():
        p = run["probability"]
        rule = run["rule"] + (", own images" if run.get("own_images") else "")
        by_rate[rule, round(1 / p).bit_length() - 1 if p > 0 else None] = run
    rows = []
    for key in sorted(by_rate, key=lambda key: (RULES.index(key[0]), key[1] or 0)):
        run = by_rate[key]
        own = 100 * run["test_accuracy_node_0"]
        theirs = PUBLISHED.get(key, (None, None))
        rows.append([f"`{key[0]}`", "" if key[1] is None else f"1/{2 ** key[1]}", f"{own:.2f}",
                     f"{100 * run['test_accuracy_mean']:.2f}", cell(theirs[0]), cell(theirs[1]),
                     "" if theirs[0] is None else f"{own - theirs[0]:+.2f}",
                     f"{run['bytes_sent'] / 1e6:,.0f}"])
    first = next(iter(runs.values()))
    epochs = " or ".join(map(str, sorted({run["epochs"] for run in runs.values()})))
    head = ("rule", "p", "node 0", "mean model", "thesis: node 0", "thesis: mean model",
            "difference of node 0", "megabytes sent")
    return {"records/mnist.md":
            f"MNIST, W = {first['nodes']}, seed {first['seed']}, {epochs} epochs (the thesis: 100): "
            f"test accuracy in percent.\n\n{table(head, rows)}"}
