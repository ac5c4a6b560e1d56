# SPDX-License-Identifier: MIT
"""What gossip over TCP costs four processes that train, beside four that never gossip:
processes.py PROGRAM FILE. In turn, so that a disturbance meets both; the ratio is the median of the
rounds'. On synthetic images."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PROCESSES = 4
ROUNDS = 5
SECONDS = 15
LAUNCH = Path(__file__).resolve().parents[2] / "examples/launch.sh"


def images_per_second(program, *args):
    """Of all four together."""
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ, GOSSAMER_EXAMPLES=str(program.parent), TMPDIR=folder)
        environment.pop("GOSSAMER_DATA", None)
        subprocess.run([LAUNCH, "-n", str(PROCESSES), program.name, "--seconds", str(SECONDS),
                        "--momentum", "0.9", "--no-evaluation", "--quiet", "--out", folder, *args],
                       env=environment, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True)
        return sum(json.loads(path.read_text())["images_per_second"] for path in
                   Path(folder).glob("node-*/summary.json")) / PROCESSES


program, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
contenders = {"gosgd p = 0.02": ("--rule", "gosgd", "--probability", "0.02"),
              "gosgd p = 1": ("--rule", "gosgd", "--probability", "1")}
speeds = {name: [] for name in contenders}
rival = []
for number in range(ROUNDS):
    rival.append(images_per_second(program, "--rule", "none"))
    for name, args in contenders.items():
        speeds[name].append(images_per_second(program, *args))
    print(f"round {number + 1} of {ROUNDS}: " + ", ".join(
        f"{name} {values[-1] / rival[-1]:.3f}" for name, values in speeds.items()), flush=True)
result = {name: {"images_per_second": statistics.median(values),
                 "rival_images_per_second": statistics.median(rival),
                 "ratio": statistics.median(a / b for a, b in zip(values, rival))}
          for name, values in speeds.items()}
part = Path(f"{out}.part")
part.write_text(json.dumps(result, indent=1) + "\n")
part.replace(out)
