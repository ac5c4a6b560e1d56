# SPDX-License-Identifier: MIT
"""Processor seconds to compile a file without the library, with all of it, and with
distributed.hpp whose network is compiled apart, in turn; the least of each.

    includes.py FLAGS OUT [ROUNDS]     FLAGS: a file with the compiler and one argument a line
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

here = Path(__file__).parent
command = Path(sys.argv[1]).read_text().split("\n")[:-1]
rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
seconds = {"torch_only": [], "with_gossamer": [], "with_distributed": []}
for number in range(rounds):
    for name, taken in seconds.items():
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run([*command, "-c", str(here / f"{name}.cpp"), "-o", os.devnull], check=True)
        taken.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
    print(f"round {number + 1} of {rounds}", file=sys.stderr)
least = {name: min(taken) for name, taken in seconds.items()}
result = {**{f"{name}_seconds": round(value, 2) for name, value in least.items()},
          **{f"added_{name[5:]}": round(least[name] / least["torch_only"] - 1, 4)
             for name in ("with_gossamer", "with_distributed")}}
Path(sys.argv[2]).write_text(json.dumps(result, indent=1) + "\n")
