#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Four hosts on bad cables (network_emulator.py: a network namespace each; needs root and /dev/net/tun): 100 ms
of latency, 5 % loss, 10 Mbit/s. While a small model trains there,

    1. one cable is cut for ten seconds and restored,
    2. the network parts, two and two, for long enough that each half gives the other up, and heals,
    3. one cable is cut for good a little before the end, so that two nodes part in doubt, and
       restored.

Checked: all nodes end with status 0, each took steps all the time, in both halves of the parted
network messages were merged, nothing is lost, and nothing merged twice (books.py). Loss alone holds
TCP at some 300 kbit/s on such a cable, hence the small model.

    tests/network/cut.py --out cut.json          # as root; some two minutes, next to no work
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from books import Audit
from network_emulator import Cables
from many_nodes import Wanderer, conclude, say, wait_for, wait_for_ends

HOSTS = 4
HALVES = ([0, 1], [2, 3])
PORT = 7000


def missing():
    """What this machine lacks, or None."""
    if os.geteuid() != 0:
        return "it needs root"
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        return f"/dev/net/tun: {error.strerror}"
    if not any(os.access(Path(folder) / "ip", os.X_OK)
               for folder in os.environ["PATH"].split(":") + ["/sbin", "/usr/sbin"]):
        return "it needs the command ip (Debian's package iproute2)"
    return None


class HostsOnCables:
    """One node a host."""

    def __init__(self, args, cables, folder, hosts, *rule):
        self.args, self.cables, self.errors, self.phases = args, cables, [], []
        self.folder = folder
        self.options = (*rule, "--insecure", "--parameters", args.parameters, "--step-seconds", 0.05,
                        "--dead-after", args.dead_after, "--seed", args.seed,
                        "--drain-seconds", args.patience, "--gather-seconds", args.patience)
        self.nodes = [self.start(host, host, hosts) for host in range(hosts)]

    def start(self, host, rank=None, founders=0):
        """A founder, or, without rank, a newcomer."""
        spawn = lambda command, **popen: self.cables.start(host, command, **popen)
        contacts = [f"{self.cables.address(0)}:{PORT}"] if host else []
        return Wanderer(f"node {host}", self.folder / str(host),
                        f"0.0.0.0:{PORT}", contacts, rank, founders,
                        self.options, spawn=spawn)

    def have_met(self):
        wait_for(lambda: all(one.steps() > 0 for one in self.nodes) or
                 not all(one.running() for one in self.nodes), self.args.patience)
        for one in self.nodes:
            if not one.steps():
                self.errors.append(f"{one.name} has met nobody: {one.tail()}")
        return not self.errors


class Trial(HostsOnCables):
    def __init__(self, args, cables, folder):
        super().__init__(args, cables, folder, HOSTS, "--probability", args.probability)

    def seen(self):
        """Per node: steps and merged messages."""
        result = []
        for one in self.nodes:
            lines = one.reports.read()
            result.append((lines[-1].get("steps", 0), lines[-1].get("merged", 0)) if lines
                          else (0, 0))
        return result

    def phase(self, name, seconds, merges=True):
        """Lets them train; each must take steps, and, with `merges`, merge."""
        say(f"{name}, {seconds:.0f} s")
        before, begin = self.seen(), time.monotonic()
        wait_for(lambda: not all(one.running() for one in self.nodes), seconds, 0.1)
        after = self.seen()
        steps = [b[0] - a[0] for a, b in zip(before, after)]
        merged = [b[1] - a[1] for a, b in zip(before, after)]
        self.phases.append({"phase": name, "seconds": time.monotonic() - begin, "steps": steps,
                            "merged": merged})
        say(f"   steps {steps}, merged {merged}")
        for one, count in zip(self.nodes, steps):
            if count < seconds / 0.05 / 4:
                self.errors.append(f"{one.name} took {count} steps in {seconds:.0f} s: {name}")
        if merges:
            for half in HALVES:
                if not sum(merged[host] for host in half):
                    self.errors.append(f"nodes {half} merged nothing: {name}")

    def run(self):
        args = self.args
        if not self.have_met():
            return
        say("all have met")
        self.phase("bad cables", args.whole)
        self.cables.cut(0, 2)
        self.phase("cable 0 - 2 is cut", args.cut)
        self.cables.restore(0, 2)
        self.phase("cable 0 - 2 is restored", args.whole)
        self.cables.part(HALVES[0])
        self.phase("parted, two and two", args.parted)
        self.cables.heal()
        self.phase("healed", args.whole)
        self.cables.cut(1, 3)
        self.phase("cable 1 - 3 is cut", args.dead_after + 3)
        for one in self.nodes:
            one.send(signal.SIGUSR1)
        self.cables.restore(1, 3)
        say("cable 1 - 3 is restored, and all are told to finish")
        self.errors += wait_for_ends(self.nodes, args.patience + 20)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency", type=float, default=0.1, help="one way, in seconds")
    parser.add_argument("--loss", type=float, default=0.05, help="share of packets")
    parser.add_argument("--bits-per-second", type=float, default=10e6)
    parser.add_argument("--parameters", type=int, default=5000, help="floats of the model")
    parser.add_argument("--probability", type=float, default=0.05, help="of a push after a step")
    parser.add_argument("--dead-after", type=float, default=8,
                        help="seconds of silence after which a peer is taken for dead")
    parser.add_argument("--whole", type=float, default=15, help="seconds without a cut, thrice")
    parser.add_argument("--cut", type=float, default=10, help="seconds that one cable is cut")
    parser.add_argument("--parted", type=float, default=20, help="seconds that the network is parted")
    parser.add_argument("--patience", type=float, default=120, help="seconds for the end")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", help="folder for logs and reports (default: a temporary one)")
    parser.add_argument("--out", help="file for the result, in JSON")
    args = parser.parse_args()
    lack = missing()
    if lack:
        print(f"SKIPPED: cut.py cannot make cables here: {lack}")
        sys.exit(0)
    with tempfile.TemporaryDirectory(prefix="gossamer-cut-") as name, \
            Cables(HOSTS, args.latency, args.loss, args.bits_per_second, args.seed) as cables:
        trial = Trial(args, cables, Path(args.keep or name))
        trial.run()
        ends = [one.last() for one in trial.nodes]
        result = {}
        if all(ends):
            audit = Audit([one.books() for one in trial.nodes], {})
            trial.errors += audit.errors
            result = audit.result()
        elif not trial.errors:
            trial.errors.append("not all nodes have written their books")
        total = lambda key: sum(end[key] for end in ends if end)
        conclude({"trial": "cut", "seed": args.seed, "latency": args.latency, "loss": args.loss,
                  "bits_per_second": args.bits_per_second, "parameters": args.parameters,
                  "packets": cables.sent, "packets_lost": cables.lost, "phases": trial.phases,
                  "messages_sent": total("messages_sent"),
                  "messages_returned": total("messages_returned"),
                  "suspicions": total("suspicions"), "reconnects": total("reconnects"),
                  "finish_seconds": [end and end["finish_seconds"] for end in ends],
                  **result}, trial.errors, args.out)


if __name__ == "__main__":
    main()
