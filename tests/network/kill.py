#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Processes train CIFAR-10 over TCP, and some are killed (kill -9), each at a random moment of its
own. The others must go on as if nothing had happened, end with status 0, and account for all weight
by their ledgers alone (see books.py).

A gap is the time from the begin of a node's step to that of its next; an ordinary step is the
median gap of that node in that run. Each gap of a survivor that ends after the first kill must be
shorter than --gap-limit ordinary steps. Where processes outnumber cores the scheduler makes gaps of
its own, so the same figure is given of the time before the kill, and of --control trials in which
nobody is killed; and "net" gaps are those without the time for which the node was ready to run and
had no core (the kernel's schedstat), in ordinary steps without it: what is long there is the
doing of the library, or of a machine whose cores are not its own. --net limits these instead.

    GOSSAMER_DATA=DIR tests/network/kill.py --kill 3 --trials 20 --out kill-3.json
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path

from books import Audit, Books
from many_nodes import Process, conclude, free_ports, program, say, wait_for_ends

WARM_UP = 3  # steps of a node that are not counted: they allocate


class Trainer(Process):
    """A founder that runs the example cifar10."""

    def __init__(self, rank, args, folder, port, seed):
        self.rank, self.out = rank, folder
        self.step_log = folder / f"steps-{rank}"
        command = [program("cifar10"), "--transport", "tcp", "--nodes", args.nodes, "--rank", rank,
                   "--images", args.images, "--probability", args.probability, "--seed", seed,
                   "--no-evaluation", "--quiet", "--step-log", self.step_log, "--out", folder,
                   "--drain-seconds", 60, "--gather-seconds", 120]
        command += ["--contact", f"127.0.0.1:{port}"] if rank else ["--listen", f"127.0.0.1:{port}"]
        super().__init__(f"process {rank}", list(map(str, command)), folder / f"log-{rank}",
                         1 / args.nodes)

    def step_log_lines(self):
        """(when it began, seconds that the node had waited for a core until then) per step."""
        if not self.step_log.exists():
            return []
        lines = self.step_log.read_text().split("\n")[:-1]
        return [tuple(map(float, line.split())) for line in lines]

    def step_times(self):
        return [when for when, _ in self.step_log_lines()]

    def gaps(self, net=False):
        """(end, length) of each."""
        steps = self.step_log_lines()[WARM_UP:]
        return [(b, b - a - (d - c if net else 0)) for (a, c), (b, d) in zip(steps, steps[1:])]

    def books(self):
        summary = json.loads((self.out / f"node-{self.rank}" / "summary.json").read_text())
        return Books(self.rank, self.begin, summary["weight"], summary["peers"])


def kill_at(victims, moments, others, pace):
    """Kills each victim at its step, and a random part of a step later. The time of the first."""
    first = None
    waiting = dict(zip(victims, moments))
    while waiting:
        for victim, (step, part) in list(waiting.items()):
            if not victim.running():
                return first, [f"{victim.name} ended before it could be killed: {victim.tail()}"]
            times = victim.step_times()
            if len(times) < step:
                continue
            time.sleep(part * (times[-1] - times[0]) / max(1, len(times) - 1))
            first = first or time.monotonic()
            victim.kill()
            del waiting[victim]
        if time.monotonic() > pace:
            return first, ["the victims did not come to their step in time"]
        time.sleep(0.002)
    return first, [f"{one.name} was not running when the last was killed: {one.tail()}"
                   for one in others if not one.running()]


def longest(survivors, since, until, net=False):
    """The longest gap that ends between two times, in ordinary steps of its node."""
    worst = 0.0
    for one in survivors:
        gaps = one.gaps(net)
        if len(gaps) < 5:
            continue
        ordinary = statistics.median(length for _, length in gaps)
        worst = max([worst, *(length / ordinary for end, length in gaps if since < end <= until)])
    return worst


def trial(number, kill, args, rng):
    with tempfile.TemporaryDirectory(prefix="gossamer-kill-") as name:
        folder = Path(name)
        port = free_ports(1)[0]
        nodes = [Trainer(rank, args, folder, port, args.seed) for rank in range(args.nodes)]
        try:
            return run_trial(number, kill, args, rng, nodes)
        finally:
            for one in nodes:
                one.kill()


def run_trial(number, kill, args, rng, nodes):
    share = args.images // args.batch // args.nodes  # steps per node
    victims = rng.sample(nodes, kill)
    moments = [(max(WARM_UP, int(rng.uniform(0.2, 0.8) * share)), rng.random()) for _ in victims]
    survivors = [one for one in nodes if one not in victims]
    deadline = time.monotonic() + args.timeout
    killed_at, errors = kill_at(victims, moments, survivors, deadline)
    errors += wait_for_ends(survivors, max(1.0, deadline - time.monotonic()))
    row = {"trial": number, "killed": [one.rank for one in victims],
           "at_step": [step for step, _ in moments]}
    if not errors:
        audit = Audit([one.books() for one in survivors], {one.rank: one.begin for one in victims})
        errors += audit.errors
        row.update(audit.result())
        end = time.monotonic()
        cut = killed_at or end
        row["steps_of_survivors"] = [len(one.step_times()) for one in survivors]
        row["ordinary_step_seconds"] = statistics.median(
            length for one in survivors for _, length in one.gaps())
        row["longest_gap_before"] = longest(survivors, 0, cut)
        row["longest_gap_after"] = longest(survivors, cut, end)
        row["longest_net_gap_before"] = longest(survivors, 0, cut, net=True)
        row["longest_net_gap_after"] = longest(survivors, cut, end, net=True)
        limited = row["longest_net_gap_after" if args.net else "longest_gap_after"]
        if kill and min(sum(t > cut for t in one.step_times()) for one in survivors) < 2:
            errors.append("a survivor took no two steps after the kill")
        if kill and args.gap_limit and limited >= args.gap_limit:
            errors.append(f"a gap of {limited:.1f} ordinary steps")
    row["errors"] = errors
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--kill", type=int, default=1, help="how many (default 1)")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--control", type=int, default=3, help="trials with nobody killed")
    parser.add_argument("--images", type=int, default=12000, help="over all nodes")
    parser.add_argument("--probability", type=float, default=0.2, help="of a push after a step")
    parser.add_argument("--gap-limit", type=float, default=5, help="in ordinary steps; 0: no limit")
    parser.add_argument("--net", action="store_true", help="limit net gaps instead")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one trial")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", help="file for the result, in JSON")
    args = parser.parse_args()
    args.batch = 20
    if not 0 <= args.kill < args.nodes:
        parser.error("--kill must leave one")
    rng = random.Random(args.seed)
    rows, controls, errors = [], [], []
    for number in range(args.control + args.trials):
        kill = args.kill if number >= args.control else 0
        row = trial(number, kill, args, rng)
        (rows if kill else controls).append(row)
        errors += [f"trial {number}: {error}" for error in row["errors"]]
        say(f"trial {number}: killed {row['killed']} at {row['at_step']}, total weight - 1 = "
            f"{row.get('total_less_one', float('nan')):.1e}, longest gap before "
            f"{row.get('longest_gap_before', 0):.2f}, after {row.get('longest_gap_after', 0):.2f}, "
            f"net {row.get('longest_net_gap_before', 0):.2f} and "
            f"{row.get('longest_net_gap_after', 0):.2f}"
            + "".join(f"; FAILED: {error}" for error in row["errors"]))
    worst = lambda rows, key: max((abs(row[key]) for row in rows if key in row), default=None)
    conclude({"trial": "kill", "nodes": args.nodes, "kill": args.kill, "images": args.images,
              "seed": args.seed,
              "trials": len(rows), "survived": sum(not row["errors"] for row in rows),
              "largest_weight_error": worst(rows + controls, "total_less_one"),
              "longest_gap_after_kill": worst(rows, "longest_gap_after"),
              "longest_gap_before_kill": worst(rows, "longest_gap_before"),
              "longest_gap_in_control": worst(controls, "longest_gap_before"),
              "longest_net_gap_after_kill": worst(rows, "longest_net_gap_after"),
              "longest_net_gap_before_kill": worst(rows, "longest_net_gap_before"),
              "longest_net_gap_in_control": worst(controls, "longest_net_gap_before"),
              "rows": rows, "controls": controls}, errors, args.out)


if __name__ == "__main__":
    main()
