# SPDX-License-Identifier: MIT
"""Synchronous training by several processes of this machine: measure.py BENCH_DDP DATA FILE. All
contenders are there from the beginning to the end; in each round each trains for a moment while the
others rest, so that a disturbance meets all. Ratios are medians of the rounds'."""

import argparse
import hashlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
BATCH, WARM_UP = 50, 40
CONTENDERS = ("sync", "parts", "overlap", "gloo", "python", "none")
DISTRIBUTED = ("sync", "parts", "overlap", "gloo", "python")  # end in equal models
LAUNCHERS = ("RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "OMPI_", "PMI", "SLURM_", "GOSSAMER_")
# Else glibc may, as chance has it, give a process's memory back to the kernel in every step, and get it
# anew: that alone makes one process three times slower than its like.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "1073741824"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Contender:
    """Its processes, and what they said of each round."""

    def __init__(self, args, name, folder):
        self.name, self.args, self.runs = name, args, []
        self.models = [folder / f"{name}-{rank}" for rank in range(args.nodes)]
        start = ["/usr/bin/python3", HERE / "ddp_python.py"] if name == "python" \
            else [args.program, name]
        base = {key: value for key, value in os.environ.items() if not key.startswith(LAUNCHERS)}
        place = {"WORLD_SIZE": str(args.nodes), "LOCAL_WORLD_SIZE": str(args.nodes),
                 "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
                 "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
                 **KEEP_MEMORY}
        self.processes = [subprocess.Popen(
            [*start, args.data, f"{folder}/{name}-store", model], env={
                **base, **place, "RANK": str(rank)}, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            for rank, model in enumerate(self.models)]

    def train(self, steps):
        """Seconds of the slowest process, and CPU seconds of all."""
        for one in self.processes:
            one.stdin.write(f"{steps}\n")
            one.stdin.flush()
        lines = [one.stdout.readline() for one in self.processes]
        if not all(lines):
            sys.exit(f"measure.py: {self.name} ended with an error")
        said = [json.loads(line) for line in lines]
        return {"seconds": max(one["seconds"] for one in said),
                "cpu_seconds": sum(one["cpu_seconds"] for one in said)}

    def end(self):
        """The digests of the models, one if all are equal."""
        for one in self.processes:
            one.stdin.close()
        if any(one.wait() for one in self.processes):
            sys.exit(f"measure.py: {self.name} ended with an error")
        return {hashlib.sha256(model.read_bytes()).hexdigest() for model in self.models}

    def kill(self):
        for one in self.processes:
            one.kill()


def summary(args, contenders, digests):
    """Of all rounds of each contender; ratios are above 1 where `sync` is better."""
    images = args.nodes * BATCH * args.steps
    result = {"nodes": args.nodes, "batch": BATCH, "steps": args.steps, "rounds": args.rounds}
    ours = contenders[0].runs
    for one in contenders:
        ratio = {key: statistics.median(b[key] / a[key] for a, b in zip(ours, one.runs))
                 for key in ("seconds", "cpu_seconds")}
        result[one.name] = {
            "images_per_second": statistics.median(images / run["seconds"] for run in one.runs),
            "cpu_us_per_image": statistics.median(1e6 * run["cpu_seconds"] / images
                                                  for run in one.runs),
            "sync_images_per_second": ratio["seconds"], "sync_cpu": ratio["cpu_seconds"]}
        if one.name in DISTRIBUTED:
            result[one.name]["digest"], = digests[one.name]
    return result


def measure(args, contenders):
    for one in contenders:
        one.train(WARM_UP)
    for number in range(args.rounds):
        turn = number % len(contenders)
        for one in contenders[turn:] + contenders[:turn]:
            one.runs.append(one.train(args.steps))
    digests = {one.name: one.end() for one in contenders}
    for name in DISTRIBUTED:
        if len(digests[name]) > 1:
            sys.exit(f"measure.py: the models of {name} differ: {', '.join(digests[name])}")
    return summary(args, contenders, digests)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", metavar="BENCH_DDP")
    parser.add_argument("data")
    parser.add_argument("out", metavar="FILE")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--steps", type=int, default=50, help="of a round")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        contenders = [Contender(args, name, Path(folder)) for name in CONTENDERS]
        try:
            result = measure(args, contenders)
        finally:
            for one in contenders:
                one.kill()
    part = Path(f"{args.out}.part")
    part.write_text(json.dumps(result, indent=1) + "\n")
    part.replace(args.out)


if __name__ == "__main__":
    main()
