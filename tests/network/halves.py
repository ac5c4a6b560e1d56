#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Six hosts (network_emulator.py: a network namespace each; needs root and /dev/net/tun) take the mean
of their models every few steps, and wait for each other. The network parts, four and two, for long
enough that each half gives the other up, and heals.

Checked: all take steps before, while it is parted, and after; each drifts by a number of its own every
step, and yet they end as close as steps between two means can leave them; all end with status 0;
the weights add up to 1.

    tests/network/halves.py --out halves.json    # as root; a minute, next to no work
"""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from cut import HostsOnCables, missing
from many_nodes import conclude, say, wait_for, wait_for_ends
from network_emulator import Cables

HOSTS = 6
TAU = 5


class Trial(HostsOnCables):
    def __init__(self, args, cables, folder):
        super().__init__(args, cables, folder, HOSTS - args.newcomers, "--tau", TAU, "--drift", 1)

    def phase(self, name, seconds, idle=0.0):
        """Lets them train; each must take steps in all of that time but `idle` seconds."""
        say(f"{name}, {seconds:.0f} s")
        before = [one.steps() for one in self.nodes]
        wait_for(lambda: not all(one.running() for one in self.nodes), seconds, 0.1)
        steps = [one.steps() - begin for one, begin in zip(self.nodes, before)]
        self.phases.append({"phase": name, "seconds": seconds, "steps": steps})
        say(f"   steps {steps}")
        for one, count in zip(self.nodes, steps):
            if count < (seconds - idle) / 0.05 / 4:
                self.errors.append(f"{one.name} took {count} steps in {seconds:.0f} s: {name}")

    def run(self):
        args = self.args
        if not self.have_met():
            return
        for host in range(HOSTS - args.newcomers, HOSTS):
            self.nodes.append(self.start(host))
        if not self.have_met():
            return
        self.phase("whole", args.whole)
        self.cables.part(args.part)
        # Until the silence is noticed, all wait for all.
        self.phase("parted", args.parted, idle=2 * args.dead_after + 2)
        self.cables.heal()
        self.phase("healed", args.whole, idle=args.dead_after)
        for one in self.nodes:
            one.send(signal.SIGUSR1)
        self.errors += wait_for_ends(self.nodes, args.patience)
        ends = [one.last() for one in self.nodes]
        if self.errors or not all(ends):
            return
        numbers = [end["number"] for end in ends]
        weight = sum(end["weight"] for end in ends)
        say(f"numbers {[round(one, 2) for one in numbers]}, weight {weight}")
        # Between two means a node goes at most TAU steps of its drift, 9 and a half; those who
        # finish last go on alone for as long as the news takes, a second at most.
        bound = (TAU + 20) * 10
        if max(numbers) - min(numbers) > bound:
            self.errors.append(f"the numbers are {numbers}, further apart than {bound}")
        if abs(weight - 1) > 1e-9:
            self.errors.append(f"the weights add up to {weight!r}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=0.005, help="one way, in seconds")
    parser.add_argument("--bits-per-second", type=float, default=100e6)
    parser.add_argument("--parameters", type=int, default=5000, help="floats of the model")
    parser.add_argument("--dead-after", type=float, default=3, help="seconds of silence")
    parser.add_argument("--whole", type=float, default=15, help="seconds before, and after")
    parser.add_argument("--parted", type=float, default=20, help="seconds")
    parser.add_argument("--part", type=int, nargs="+", default=[4, 5], help="hosts of one half")
    parser.add_argument("--newcomers", type=int, default=0, help="hosts that come later")
    parser.add_argument("--patience", type=float, default=60, help="seconds for the end")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", help="folder for logs and reports (default: a temporary one)")
    parser.add_argument("--out", help="file for the result, in JSON")
    args = parser.parse_args()
    lack = missing()
    if lack:
        print(f"SKIPPED: halves.py cannot make cables here: {lack}")
        sys.exit(0)
    with tempfile.TemporaryDirectory(prefix="gossamer-halves-") as name, \
            Cables(HOSTS, args.latency, 0, args.bits_per_second, args.seed) as cables:
        begin = time.monotonic()
        trial = Trial(args, cables, Path(args.keep or name))
        trial.run()
        conclude({"trial": "halves", "seed": args.seed, "seconds": time.monotonic() - begin,
                  "phases": trial.phases}, trial.errors, args.out)


if __name__ == "__main__":
    main()
