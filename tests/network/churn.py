#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random churn: nodes join, leave (SIGTERM), are killed (kill -9), and are cut off from the rest for
longer than it takes to be believed dead. A node that is cut off here is one that is stopped
(SIGSTOP) and goes on later, so that both sides have given each other up; tests/network/cut.py cuts
cables. There are about --nodes at a time, on the same few addresses again and again, as on machines
that are restarted.

Checked: who leaves or stays ends with status 0, nobody hangs (each node's steps grow whenever it is
not stopped), the memory of those who were there all the time is flat after a warm-up, and all weight
is found (see books.py). Nodes 0 and 1 are stopped at times, but never killed, for their memory.

    tests/network/churn.py --seconds 3600 --out churn.json
"""

import argparse
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

from books import Audit
from many_nodes import Wanderer, conclude, free_ports, say, wait_for, wait_for_ends

LASTING = 2  # nodes that are neither killed nor told to leave


class Churn:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.rng = random.Random(args.seed)
        self.ports = free_ports(args.nodes + 2)
        self.started = 0
        self.here = []  # Wanderers that take part
        self.stopped = {}  # Wanderer: when it goes on
        self.leaving = {}  # Wanderer: since when
        self.begin_of_gone = {}  # founders, by number
        self.counts = Counter()
        self.errors = []
        self.moved = {}  # Wanderer: (steps, when they last grew)
        self.memory = {}  # lasting Wanderer: [(time, bytes)]
        self.finish_seconds = []

    def free(self):
        """Addresses where nobody listens."""
        taken = [one.listen for one in [*self.here, *self.leaving]]
        return [at for at in (f"127.0.0.1:{port}" for port in self.ports) if at not in taken]

    def start(self, rank=None):
        listen = self.free()[0] if rank is not None else self.rng.choice(self.free())
        if rank is None:
            contacts = [self.rng.choice(self.awake()).listen]
        else:
            contacts = [self.here[0].listen] if rank else []
        one = Wanderer(f"node {self.started}", self.folder / str(self.started), listen, contacts,
                       rank, self.args.nodes,
                       ("--step-seconds", self.args.step_seconds, "--probability",
                        self.args.probability, "--dead-after", self.args.dead_after,
                        "--seed", self.args.seed, "--drain-seconds", self.args.patience))
        self.started += 1
        self.here.append(one)
        self.moved[one] = (0, time.monotonic())
        if rank is not None and rank < LASTING:
            self.memory[one] = []
        return one

    def awake(self):
        return [one for one in self.here if one not in self.stopped and one.steps() > 0]

    def act(self):
        """One random change. What cannot be now is left out."""
        lasting = list(self.memory)
        mortal = [one for one in self.here if one not in lasting]
        awake = self.awake()
        may_go = len(self.here) > max(3, self.args.nodes - 2) and mortal and len(awake) > 2
        kinds = []
        if len(self.here) < self.args.nodes + 1 and awake and self.free():
            kinds += ["join"] * 3
        if may_go:
            kinds += ["kill"] * 2
            if any(one in awake for one in mortal):
                kinds += ["leave"] * 2
        if len(self.stopped) < 2 and len(awake) > 2:
            kinds += ["cut"] * 2
        if not kinds:
            return
        kind = self.rng.choice(kinds)
        self.counts[kind] += 1
        if kind == "join":
            one = self.start()
        elif kind == "kill":
            one = self.rng.choice(mortal)  # one that is stopped, or joining, may be killed, too
            one.kill()
            self.stopped.pop(one, None)
            self.gone(one)
        elif kind == "leave":
            one = self.rng.choice([each for each in mortal if each in awake])
            one.send(signal.SIGTERM)
            self.leaving[one] = time.monotonic()
            self.here.remove(one)
        else:
            one = self.rng.choice(awake)
            one.send(signal.SIGSTOP)
            # Some are back before anybody has missed them.
            self.stopped[one] = time.monotonic() + self.args.dead_after * self.rng.uniform(0.5, 2.5)
        say(f"{kind}: {one.name}; {len(self.here)} nodes, {len(self.stopped)} of them stopped")

    def gone(self, one):
        if one in self.here:
            self.here.remove(one)
        if one.rank is not None:
            self.begin_of_gone[one.rank] = one.begin
        shutil.rmtree(one.folder, ignore_errors=True)

    def look(self):
        now = time.monotonic()
        for one, until in list(self.stopped.items()):
            if now >= until:
                one.send(signal.SIGCONT)
                del self.stopped[one]
                self.moved[one] = (one.steps(), now)
        for one, since in list(self.leaving.items()):
            if not one.running():
                if one.status() != 0:
                    self.fail(one, f"left with status {one.status()}: {one.tail()}")
                elif one.last()["weight"] != 0:
                    self.counts["leavers that kept weight"] += 1
                self.finish_seconds.append(now - since)
                del self.leaving[one]
                self.gone(one)
            elif now - since > self.args.patience:
                self.fail(one, f"was told to leave {now - since:.0f} s ago and is still there")
                one.kill()
        for one in list(self.here):
            if not one.running():
                self.fail(one, f"ended with status {one.status()}: {one.tail()}")
                self.gone(one)
                continue
            if one in self.stopped:
                continue
            steps, when = self.moved[one]
            if one.steps() > steps:
                self.moved[one] = (one.steps(), now)
            elif now - when > self.args.patience + (0 if steps else 60):  # it may be coming up
                self.fail(one, f"has taken no step for {now - when:.0f} s: {one.tail()}")
                self.moved[one] = (steps, now)

    def fail(self, one, what):
        self.errors.append(f"{one.name} {what}")
        say(f"FAILED: {self.errors[-1]}")

    def sample_memory(self, at):
        for one, samples in self.memory.items():
            if one not in self.stopped and one.running():
                samples.append((at, one.resident()))

    def run(self):
        args = self.args
        for rank in range(args.nodes):
            self.start(rank)
        ended = lambda: [one for one in self.here if not one.running()]
        wait_for(lambda: ended() or all(one.steps() > 0 for one in self.here), 120)
        for one in ended():
            self.fail(one, f"ended with status {one.status()}: {one.tail()}")
        if self.errors or not all(one.steps() > 0 for one in self.here):
            return self.errors.append("the founders have not met")
        say(f"{args.nodes} nodes have met")
        begin = time.monotonic()
        next_act, next_sample = begin + 2, begin
        # The last changes have time to be noticed before all finish.
        while time.monotonic() - begin < args.seconds:
            now = time.monotonic()
            self.look()
            if now >= next_act:
                self.act()
                next_act = now + self.rng.expovariate(1 / args.every)
            if now >= next_sample:
                self.sample_memory(now - begin)
                next_sample = now + max(0.5, args.seconds / 720)
            time.sleep(0.1)
        for one in self.stopped:
            one.send(signal.SIGCONT)
            self.moved[one] = (one.steps(), time.monotonic())
        self.stopped.clear()
        say("no more changes; all find each other again")
        quiet = time.monotonic() + 2.5 * args.dead_after
        while time.monotonic() < quiet or self.leaving:
            self.look()
            time.sleep(0.1)
        self.sample_memory(time.monotonic() - begin)
        self.end()

    def end(self):
        say(f"{len(self.here)} nodes are told to finish")
        for one in self.here:
            one.send(signal.SIGUSR1)
        self.errors += wait_for_ends(self.here, self.args.patience + 20)

    def growth(self):
        """Per lasting node: how much of its memory after the warm-up (a quarter of the time) it has
        gained since, by the line that fits best (least squares)."""
        all_growth = {}
        for one, samples in self.memory.items():
            late = [(t, b) for t, b in samples if t >= self.args.seconds / 4 and b]
            if len(late) < 10:
                continue
            mean_t = sum(t for t, _ in late) / len(late)
            mean_b = sum(b for _, b in late) / len(late)
            slope = (sum((t - mean_t) * (b - mean_b) for t, b in late) /
                     sum((t - mean_t) ** 2 for t, _ in late))
            all_growth[one.name] = {"resident_bytes": mean_b, "samples": len(late),
                                    "bytes_per_hour": slope * 3600,
                                    "share_gained": slope * (late[-1][0] - late[0][0]) / mean_b}
        return all_growth


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--nodes", type=int, default=6)
    parser.add_argument("--every", type=float, default=None,
                        help="seconds between two changes, on average (default 8, and 2 in a short "
                             "run)")
    parser.add_argument("--dead-after", type=float, default=3,
                        help="seconds of silence after which a peer is taken for dead")
    parser.add_argument("--step-seconds", type=float, default=0.05)
    parser.add_argument("--probability", type=float, default=0.2, help="of a push after a step")
    parser.add_argument("--patience", type=float, default=40,
                        help="seconds after which a node that does nothing hangs")
    parser.add_argument("--growth-limit", type=float, default=0.02,
                        help="share of its memory that a node may gain after the warm-up")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", help="folder for logs and reports (default: a temporary one)")
    parser.add_argument("--out", help="file for the result, in JSON")
    args = parser.parse_args()
    if args.every is None:
        args.every = 8 if args.seconds > 300 else 2
    with tempfile.TemporaryDirectory(prefix="gossamer-churn-") as name:
        churn = Churn(args, Path(args.keep or name))
        try:
            churn.run()
            audit = None
            if not churn.errors:
                audit = Audit([one.books() for one in churn.here], churn.begin_of_gone)
                churn.errors += audit.errors
            growth = churn.growth()
            for who, row in growth.items():
                if row["share_gained"] > args.growth_limit:
                    churn.errors.append(f"{who} gained {100 * row['share_gained']:.1f} % memory")
            ends = [one.last() for one in churn.here]
            total = lambda key: sum(end[key] for end in ends if end)
            result = {"trial": "churn", "seconds": args.seconds, "nodes": args.nodes,
                      "seed": args.seed, "changes": dict(churn.counts),
                      "processes": churn.started, "survivors": len(churn.here),
                      "steps_of_survivors": total("steps"),
                      "suspicions_of_survivors": total("suspicions"),
                      "longest_leave_seconds": max(churn.finish_seconds, default=None),
                      "longest_finish_seconds": max((end["finish_seconds"] for end in ends if end),
                                                    default=None),
                      **(audit.result() if audit else {}), "memory": growth}
        finally:
            for one in [*churn.here, *churn.leaving]:
                one.kill()
    conclude(result, churn.errors, args.out)


if __name__ == "__main__":
    main()
