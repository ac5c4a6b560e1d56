# SPDX-License-Identifier: MIT
"""Records of the language model under several rules, and the table of them; see run.sh and
../records.py."""

import json
from collections import defaultdict
from pathlib import Path

from record_io import rounded, run_record, table

POINT = ("pieces", "steps", "virtual_seconds", "bytes_sent", "train_loss", "bits_per_byte",
         "mean_node_bits", "worst_node_bits", "best_node_bits", "consensus_error")
OWN = ("text", "width", "layers", "heads", "context", "weight_decay", "held_out_bytes",
       "node_bytes", "unigram_bits", "virtual_seconds", "bytes_sent", "messages_sent")


def record(name, folder):
    run = run_record(folder, POINT)
    summary = json.loads((Path(folder) / "summary.json").read_text())
    run.update({key: rounded(summary[key]) for key in OWN if key in summary})
    return run


def each(values, digits):
    return ", ".join(f"{value:,.{digits}f}" for value in values)


def texts(runs):
    of_rule = defaultdict(list)
    for name, run in runs.items():
        of_rule[name.split("/")[0]].append(run)
    rows = []
    for rule, seeds in of_rule.items():
        last = [run["points"][-1] for run in seeds]
        bits = [point["bits_per_byte"] for point in last]
        rows.append((sum(bits) / len(bits),
                     [f"`{rule}`", each(bits, 3), each((p["worst_node_bits"] for p in last), 3),
                      f"{sum(run['bytes_sent'] for run in seeds) / len(seeds) / 1e6:,.0f}",
                      f"{sum(run['virtual_seconds'] for run in seeds) / len(seeds):,.1f}"]))
    return {"records/language.md": table(
        ("rule", "bits per byte of the mean model, by seed", "of the worst node", "megabytes sent",
         "virtual seconds"), [row for _, row in sorted(rows, key=lambda row: row[0])])}
