# SPDX-License-Identifier: MIT
"""Records of EASGD with and without dynamic weights, and the table of them; see run.sh.

    dynamic_weighting.py record RUN FILE      what a run folder of cifar10 says, in one small file
    dynamic_weighting.py table RECORDS FILE   the table
"""

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))
from record_io import run_record, write  # beside the other benchmarks

POINT = ("images", "virtual_seconds", "train_loss", "test_loss", "test_accuracy",
         "worst_node_accuracy", "best_node_accuracy", "consensus_error", "messages_sent",
         "bytes_sent")


def record(run, file):
    write(file, run_record(run, POINT))


def table(records, file):
    runs = {}
    for path in Path(records).glob("*.json"):
        rule, optimizer, workers, tau, drop = path.stem.split("-")
        key = (optimizer, drop, int(workers), int(tau))
        runs.setdefault(key, {})[rule] = json.loads(path.read_text())["points"][-1]
    if not runs:
        sys.exit(f"dynamic_weighting.py: {records} holds no record; run run.sh beside me first")
    lines = ["| optimizer | exchanges dropped | workers | tau | `easgd`, % | `dynamic_easgd`, % | "
             "difference | consensus error | with dynamic weights |",
             "|---|---|---|---|---|---|---|---|---|"]
    for key in sorted(runs, key=lambda key: (key[0] != "sgd", key[1] != "drop", *key[2:])):
        pair = [runs[key].get(rule) for rule in ("easgd", "dynamic_easgd")]
        values = [100 * one["test_accuracy"] if one else None for one in pair]
        apart = f"{values[1] - values[0]:+.1f}" if None not in values else ""
        cells = [key[0], "1/3" if key[1] == "drop" else "none", str(key[2]), str(key[3]),
                 *("" if value is None else f"{value:.1f}" for value in values), apart,
                 *(f"{one['consensus_error']:.3g}" if one else "" for one in pair)]
        lines.append("| " + " | ".join(cells) + " |")
    write(file, "\n".join(lines) + "\n")


if __name__ == "__main__":
    commands = {"record": record, "table": table}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
