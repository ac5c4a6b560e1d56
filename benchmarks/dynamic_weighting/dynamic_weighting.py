# SPDX-License-Identifier: MIT
"""Records of EASGD with and without dynamic weights, and the table of them; see run.sh and
../records.py."""

from record_io import run_record, table

POINT = ("images", "virtual_seconds", "train_loss", "test_loss", "test_accuracy",
         "worst_node_accuracy", "best_node_accuracy", "consensus_error", "messages_sent",
         "bytes_sent")


def record(name, folder):
    return run_record(folder, POINT)


def texts(runs):
    pairs = {}
    for name, run in runs.items():
        rule, optimizer, workers, tau, drop = name.split("-")
        key = (optimizer, drop, int(workers), int(tau))
        pairs.setdefault(key, {})[rule] = run["points"][-1]
    rows = []
    for key in sorted(pairs, key=lambda key: (key[0] != "sgd", key[1] != "drop", *key[2:])):
        pair = [pairs[key].get(rule) for rule in ("easgd", "dynamic_easgd")]
        values = [100 * one["test_accuracy"] if one else None for one in pair]
        apart = f"{values[1] - values[0]:+.1f}" if None not in values else ""
        rows.append([key[0], "1/3" if key[1] == "drop" else "none", str(key[2]), str(key[3]),
                     *("" if value is None else f"{value:.1f}" for value in values), apart,
                     *(f"{one['consensus_error']:.3g}" if one else "" for one in pair)])
    return {"records/dynamic_weighting.md": table(
        ("optimizer", "exchanges dropped", "workers", "tau", "`easgd`, %", "`dynamic_easgd`, %",
         "difference", "consensus error", "with dynamic weights"), rows)}
