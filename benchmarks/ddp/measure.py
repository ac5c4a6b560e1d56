# SPDX-License-Identifier: MIT
"""Synchronous training by several processes of this machine, each contender in turn, so that a
disturbance meets all: measure.py BENCH_DDP DATA FILE [--nodes N] [--rounds R] [--steps S].
Ratios are medians of the rounds'."""

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
BATCH, WARM_UP = 50, 20
CONTENDERS = ("sync", "parts", "gloo", "python", "none")
DISTRIBUTED = ("sync", "parts", "gloo", "python")  # end in equal models
LAUNCHERS = ("RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "OMPI_", "PMI", "SLURM_", "GOSSAMER_")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def train(args, contender):
    """Seconds of the slowest process, CPU seconds of all, and the digests of the models."""
    with tempfile.TemporaryDirectory() as folder:
        models = [Path(folder) / f"model-{rank}" for rank in range(args.nodes)]
        port = free_port()
        base = {name: value for name, value in os.environ.items() if not name.startswith(LAUNCHERS)}
        processes = []
        for rank, model in enumerate(models):
            start = ["/usr/bin/python3", HERE / "ddp_python.py"] if contender == "python" \
                else [args.program, contender]
            processes.append(subprocess.Popen(
                [*start, args.data, str(WARM_UP), str(args.steps), f"{folder}/store", model],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                env={**base, "RANK": str(rank), "WORLD_SIZE": str(args.nodes),
                     "LOCAL_WORLD_SIZE": str(args.nodes), "MASTER_ADDR": "127.0.0.1",
                     "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1",
                     "OPENBLAS_NUM_THREADS": "1"}))
        texts = [one.communicate()[0] for one in processes]
        if any(one.returncode for one in processes):
            sys.exit(f"measure.py: {contender} ended with an error")
        said = [json.loads(text.splitlines()[-1]) for text in texts]
        digests = {hashlib.sha256(model.read_bytes()).hexdigest() for model in models}
    return {"seconds": max(one["seconds"] for one in said),
            "cpu_seconds": sum(one["cpu_seconds"] for one in said), "digests": sorted(digests)}


def summary(args, found):
    """Of all rounds of each contender; ratios are above 1 where `sync` is better."""
    images = args.nodes * BATCH * args.steps
    result = {"nodes": args.nodes, "batch": BATCH, "steps": args.steps, "rounds": args.rounds}
    for name, runs in found.items():
        ours = zip(found["sync"], runs)
        speed, cpu = zip(*((b["seconds"] / a["seconds"], b["cpu_seconds"] / a["cpu_seconds"])
                           for a, b in ours))
        result[name] = {
            "images_per_second": statistics.median(images / one["seconds"] for one in runs),
            "cpu_us_per_image": statistics.median(1e6 * one["cpu_seconds"] / images
                                                  for one in runs),
            "sync_images_per_second": statistics.median(speed), "sync_cpu": statistics.median(cpu)}
        if name in DISTRIBUTED:
            digests = {digest for one in runs for digest in one["digests"]}
            result[name]["digest"] = ", ".join(sorted(digests))
            if len(digests) > 1:
                sys.exit(f"measure.py: the models of {name} differ: {result[name]['digest']}")
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", metavar="BENCH_DDP")
    parser.add_argument("data")
    parser.add_argument("out", metavar="FILE")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=300)
    args = parser.parse_args()
    found = {name: [] for name in CONTENDERS}
    for number in range(args.rounds):
        turn = number % len(CONTENDERS)
        for name in CONTENDERS[turn:] + CONTENDERS[:turn]:
            found[name].append(train(args, name))
        last = {name: runs[-1] for name, runs in found.items()}
        print(f"{args.nodes} processes, round {number + 1} of {args.rounds}, to sync: " + ", ".join(
            f"{name} {one['seconds'] / last['sync']['seconds']:.3f} (CPU "
            f"{one['cpu_seconds'] / last['sync']['cpu_seconds']:.3f})"
            for name, one in last.items()), flush=True)
    part = Path(f"{args.out}.part")
    part.write_text(json.dumps(summary(args, found), indent=1) + "\n")
    part.replace(args.out)


if __name__ == "__main__":
    main()
