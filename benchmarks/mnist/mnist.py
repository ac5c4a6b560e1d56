# SPDX-License-Identifier: MIT
"""The table of the MNIST runs, beside the published figures: mnist.py RECORDS."""

import json
import sys
from pathlib import Path

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


def main(folder):
    runs = {}
    for path in Path(folder).glob("*.json"):
        run = json.loads(path.read_text())
        p = run["probability"]
        rule = run["rule"] + (", own images" if run.get("own_images") else "")
        runs[rule, round(1 / p).bit_length() - 1 if p > 0 else None] = run
    if not runs:
        sys.exit(f"mnist.py: {folder} holds no record; run benchmarks/mnist/run.sh first")
    first = next(iter(runs.values()))
    epochs = sorted({run["epochs"] for run in runs.values()})
    print(f"MNIST, W = {first['nodes']}, seed {first['seed']}, {' or '.join(map(str, epochs))} "
          "epochs (the thesis: 100): test accuracy in percent.\n")
    print("| rule | p | node 0 | mean model | thesis: node 0 | thesis: mean model | "
          "difference of node 0 | megabytes sent |\n|---|---|---|---|---|---|---|---|")
    for key in sorted(runs, key=lambda key: (RULES.index(key[0]), key[1] or 0)):
        run = runs[key]
        own = 100 * run["test_accuracy_node_0"]
        theirs = PUBLISHED.get(key, (None, None))
        apart = "" if theirs[0] is None else f"{own - theirs[0]:+.2f}"
        rate = "" if key[1] is None else f"1/{2 ** key[1]}"
        print(f"| `{key[0]}` | {rate} | {own:.2f} | {100 * run['test_accuracy_mean']:.2f} | "
              f"{cell(theirs[0])} | {cell(theirs[1])} | {apart} | {run['bytes_sent'] / 1e6:,.0f} |")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
