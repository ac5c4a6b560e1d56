# SPDX-License-Identifier: MIT
"""The record of what it costs to look on, and its table; see run.sh and ../records.py."""

import json
from pathlib import Path

from record_io import machine, table


def record(name, file):
    return {"machine": machine(), **json.loads(Path(file).read_text())}


def spread(ratio):
    low, middle, high = ratio
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def texts(runs):
    head = ("transport", "nodes", "images/s, off", "images/s, on", "on to off",
            "CPU us per image, off", "on", "off to on")
    rows = []
    for run in runs.values():
        for transport in ("threads", "tcp"):
            one = run[transport]
            rows.append([transport, str(one["nodes"]),
                         *(f"{x:,.0f}" for x in one["images_per_second"]), spread(one["ratio"]),
                         *(f"{x:,.0f}" for x in one["cpu_us_per_image"]), spread(one["cpu_ratio"])])
    first = next(iter(runs.values()))
    where = " and ".join(sorted({run["machine"] for run in runs.values()}))
    return {"records/observe.md":
            f"{first['rule']}, p = {first['probability']}; medians of {first['rounds']} rounds of "
            f"{first['seconds']:g} s each, ratios with their quartiles, above 1 where to look on "
            f"costs nothing; measured on {where}.\n\n{table(head, rows)}"}
