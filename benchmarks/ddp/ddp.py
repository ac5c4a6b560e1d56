# SPDX-License-Identifier: MIT
"""Records of synchronous training beside Gloo, and their table; see run.sh and ../records.py."""

import json
from pathlib import Path

from record_io import machine, table

NAMES = {"sync": "`rule::Sync`", "parts": "`rule::Sync` in as many parts as processes",
         "overlap": "`rule::Sync`, overlapped by buckets", "gloo": "Gloo all-reduce by hand, C++",
         "python": "Python's DistributedDataParallel",
         "none": "gradients that nobody averages"}


def record(name, file):
    return {"machine": machine(), **json.loads(Path(file).read_text())}


def texts(runs):
    head = ("processes", "who averages", "images/s", "CPU us per image", "`Sync` to it: images/s",
            "`Sync` to it: CPU", "model (SHA-256)")
    rows = []
    for run in sorted(runs.values(), key=lambda run: run["nodes"]):
        for name, text in NAMES.items():
            if name not in run:
                continue
            one = run[name]
            ratios = ["", ""] if name == "sync" else [
                f"{one['sync_images_per_second']:.2f}", f"{one['sync_cpu']:.2f}"]
            rows.append([str(run["nodes"]), text, f"{one['images_per_second']:,.0f}",
                         f"{one['cpu_us_per_image']:.0f}", *ratios, one.get("digest", "")[:12]])
    first = next(iter(runs.values()))
    where = " and ".join(sorted({run["machine"] for run in runs.values()}))
    return {"records/ddp.md":
            f"MNIST, batches of {first['batch']}, medians of {first['rounds']} rounds of "
            f"{first['steps']} steps; measured on {where}. Ratios are above 1 where `rule::Sync` is "
            f"better.\n\n{table(head, rows)}"}
