#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Four processes of the main example, started as people start them: by launchers that are installed
(torchrun, mpirun of OpenMPI and of MPICH, srun), by the variables of those that are not, killed and
started again by the same command; and starts that must be refused in words.

    tests/network/launchers.py               all cases whose launcher is here
    tests/network/launchers.py --list        their names
    tests/network/launchers.py torchrun wrong_rules ...

The last line is "N passed, N failed".
"""

import argparse
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import slurm
from many_nodes import free_ports, program, say, wait_for

NODES = 4
FOREIGN = ("RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "OMPI_", "PMI", "MPI_", "PALS_", "SLURM_",
           "JOB_COMPLETION_INDEX", "KUBERNETES_", "TORCHELASTIC_", "GOSSAMER_")


class Failure(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise Failure(text)


def environment(**variables):
    """This one without what a launcher may have left in it."""
    base = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return {**base, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
            **{name: str(value) for name, value in variables.items()}}


def example(out, *options, images=1600):
    return [program("cifar10"), "--transport", "tcp", "--no-evaluation", "--quiet",
            "--images", str(images), "--out", out, *map(str, options)]


class Group:
    """Processes side by side, and what they print."""

    def __init__(self, folder):
        self.folder, self.all = folder, []

    def start(self, command, **variables):
        log = self.folder / f"log-{len(self.all)}"
        with open(log, "wb") as file:
            popen = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=self.folder,
                                     stdin=subprocess.DEVNULL, env=environment(**variables))
        self.all.append((popen, log))
        return popen

    def begin(self, is_ready, seconds=60):
        wait_for(lambda: is_ready() or any(one.poll() is not None for one, _ in self.all), seconds)
        said = "".join(log.read_text(errors="replace") for _, log in self.all)
        expect(is_ready(), f"it has not begun: {said[-600:]}")

    def wait(self, seconds=120):
        """Statuses and texts of all."""
        wait_for(lambda: all(one.poll() is not None for one, _ in self.all), seconds, 0.05)
        ended = [(one.poll(), log.read_text(errors="replace")) for one, log in self.all]
        for one, _ in self.all:
            if one.poll() is None:
                one.kill()
        return ended

    def train(self, seconds=120):
        for number, (status, text) in enumerate(self.wait(seconds)):
            expect(status == 0, f"process {number} ended with status {status}: {text[-600:]}")


def summaries(folder, count=NODES):
    found = [json.loads(file.read_text()) for file in sorted(folder.glob("*/summary.json"))]
    expect(len(found) == count, f"{len(found)} of {count} processes have left a summary")
    return found


def check_one_group(folder):
    """They have trained together, and all weight is there."""
    nodes = summaries(folder)
    weight = sum(one["weight"] for one in nodes)
    expect(all(one["nodes"] == NODES for one in nodes), "not all know of four nodes")
    expect(abs(weight - 1) < 1e-12, f"the weights add up to {weight!r}")
    expect(sum(one["messages_merged"] for one in nodes) > 0, "nobody has merged anything")


def digits(folder):
    """MNIST's four files, with bars in place of digits."""
    folder.mkdir()
    bars = [bytes(255 * (28 * label // 10 <= at // 28 < 28 * (label + 1) // 10)
                  for at in range(28 * 28)) for label in range(10)]
    for part, count in (("train", 60_000), ("t10k", 10_000)):
        labels = bytes(range(10)) * (count // 10)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(
            struct.pack(">II", 0x801, count) + labels)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(
            struct.pack(">IIII", 0x803, count, 28, 28) + b"".join(bars[one] for one in labels))


def free_row(count):
    """The first of so many free ports in a row."""
    while True:
        first = free_ports(1)[0]
        try:
            for port in range(first, first + count):
                with socket.socket() as one:
                    one.bind(("127.0.0.1", port))
            return first
        except (OSError, OverflowError):
            pass


def shows_all(port):
    """Whether the live page at that port shows that all nodes train."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/state.json", timeout=5) as answer:
            nodes = json.load(answer).get("nodes", [])
    except OSError:
        return False
    return len(nodes) == NODES and all(node["steps"] > 0 for node in nodes)


# By the launchers themselves.


def launched(folder, command, **variables):
    group = Group(folder)
    group.start([*command, *example("out", "--probability", 0.2)], **variables)
    group.train()
    check_one_group(folder / "out")


def torchrun(folder, *options):
    # Of Debian 12's torchrun, which runs on a later Python than it was written for, only these two
    # values of the two options work.
    launched(folder, ["torchrun", "--no_python", "-r", "1", "-t", "1", "--nproc_per_node",
                      str(NODES), *options])


def case_torchrun(folder):
    torchrun(folder, "--master_port", str(free_ports(1)[0]))


def case_torchrun_standalone(folder):
    torchrun(folder, "--standalone")


def case_openmpi(folder):
    launched(folder, ["mpirun.openmpi", "--oversubscribe", "-np", str(NODES)],
             MASTER_ADDR="127.0.0.1", MASTER_PORT=free_ports(1)[0],
             OMPI_ALLOW_RUN_AS_ROOT=1, OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1)


def case_openmpi_over_mpi(folder):
    """The MNIST program that was adopted, with a live page for each rank."""
    digits(folder / "digits")
    first = free_row(NODES)
    group = Group(folder)
    group.start(["mpirun.openmpi", "--oversubscribe", "-np", str(NODES), program("adopt_mnist"),
                 "digits"], GOSSAMER_TRANSPORT="mpi", GOSSAMER_WATCH=first,
                OMPI_ALLOW_RUN_AS_ROOT=1, OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1)
    for rank in range(NODES):
        group.begin(lambda rank=rank: shows_all(first + rank))
    (status, text), = group.wait()
    expect(status == 0, f"status {status}: {text[-600:]}")
    accuracies = [line for line in text.splitlines() if line.startswith("accuracy ")]
    expect(len(accuracies) == NODES, f"{len(accuracies)} of {NODES} have printed an accuracy")
    expect(len(set(accuracies)) == 1, f"the mean model differs: {accuracies}")


def case_mpich(folder):
    launched(folder, ["mpirun.mpich", "-np", str(NODES)], MASTER_ADDR="127.0.0.1",
             MASTER_PORT=free_ports(1)[0])


SRUN = ["srun", "--ntasks", str(NODES)]


def case_srun(folder):
    with slurm.cluster(NODES) as variables:
        launched(folder, SRUN, **variables)


def has_begun(folder):
    return (folder / "metrics.jsonl").exists()


def has_saved(folder):
    return (folder / "checkpoint").exists()


class Job(Group):
    """The example under srun, with the options of examples/cluster/slurm.sbatch."""

    def __init__(self, folder, images, *options):
        super().__init__(folder)
        self.command = [*SRUN, "--no-kill", "--kill-on-bad-exit=0", "--wait=0", "sh", "-c",
                        'echo $$ >pid-$SLURM_PROCID; '
                        'test -e out/node-$SLURM_PROCID/checkpoint && set -- "$@" --resume; '
                        'exec "$@"', "sh",
                        *example("out", "--probability", 0.2, *options, images=images)]

    def kill(self, variables, is_ready, ranks):
        """Starts it, and kills these ranks when all are ready."""
        self.start(self.command, **variables)
        self.begin(lambda: all(is_ready(self.folder / "out" / f"node-{rank}")
                               for rank in range(NODES)))
        for rank in ranks:
            os.kill(int((self.folder / f"pid-{rank}").read_text()), signal.SIGKILL)
        (status, text), = self.wait()
        expect(status not in (0, None), f"status {status}, though one was killed: {text[-600:]}")

    def again(self, variables):
        self.all = []
        self.start(self.command, **variables)
        self.train()


def case_srun_loses_one(folder):
    with slurm.cluster(NODES) as variables:
        Job(folder, 16_000, "--checkpoint-every", 800).kill(variables, has_saved, [2])
    weight = sum(one["weight"] for one in summaries(folder / "out", NODES - 1))
    expect(0.2 < weight <= 1 + 1e-12, f"the weights add up to {weight!r}")


def case_srun_restarted_before_a_checkpoint(folder):
    job = Job(folder, 8_000)
    with slurm.cluster(NODES) as variables:
        job.kill(variables, has_begun, range(NODES))
        job.again(variables)
    check_one_group(folder / "out")


def case_srun_restarted_after_a_checkpoint(folder):
    job = Job(folder, 8_000, "--checkpoint-every", 800)
    with slurm.cluster(NODES) as variables:
        job.kill(variables, has_saved, range(NODES))
        job.again(variables)
    check_one_group(folder / "out")


def case_launch_script(folder):
    script = Path(__file__).resolve().parents[2] / "examples" / "launch.sh"
    group = Group(folder)
    group.start([str(script), "-n", str(NODES), "cifar10", "--no-evaluation", "--quiet", "--images",
                 "1600", "--probability", "0.2", "--out", "out"],
                GOSSAMER_EXAMPLES=Path(program("cifar10")).parent)
    group.train()
    check_one_group(folder / "out")


# By the variables of those that need more than one machine, or an account.


def by_variables(folder, variables, port=None):
    """`variables(rank)` beside the port at which rank 0 is to be met."""
    port = port or free_ports(1)[0]
    group = Group(folder)
    for rank in reversed(range(NODES)):
        group.start(example("out", "--probability", 0.2), MASTER_PORT=port, **variables(rank))
    group.train()
    check_one_group(folder / "out")


def case_variables_plain(folder):
    by_variables(folder, lambda rank: {
        "RANK": rank, "WORLD_SIZE": NODES, "LOCAL_WORLD_SIZE": NODES, "MASTER_ADDR": "localhost"})


def case_variables_slurm(folder):
    by_variables(folder, lambda rank: {
        "SLURM_PROCID": rank, "SLURM_STEP_NUM_TASKS": NODES, "SLURM_STEP_ID": 0,
        "SLURM_STEP_NUM_NODES": 1, "SLURM_STEP_NODELIST": "localhost", "SLURM_JOB_ID": 77})


def case_variables_pals(folder):
    by_variables(folder, lambda rank: {
        "PALS_RANKID": rank, "PMI_SIZE": NODES, "PMI_LOCAL_SIZE": NODES,
        "MASTER_ADDR": "127.0.0.1"})


def case_variables_kubernetes_job(folder):
    by_variables(folder, lambda rank: {
        "JOB_COMPLETION_INDEX": rank, "WORLD_SIZE": NODES, "MASTER_ADDR": "127.0.0.1"})


def case_agent_has_the_port(folder):
    """What torchrun's agent does: its store listens on MASTER_PORT itself."""
    with socket.socket() as store:
        store.bind(("127.0.0.1", 0))
        store.listen()
        by_variables(folder, lambda rank: {
            "RANK": rank, "WORLD_SIZE": NODES, "LOCAL_WORLD_SIZE": NODES,
            "MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_USE_AGENT_STORE": "True",
            "TORCHELASTIC_RUN_ID": "none"}, store.getsockname()[1])


# Killed, and started again by the same command.


def restarted(folder, is_ready, *options):
    port = free_ports(1)[0]
    group = Group(folder)

    def start(rank):
        # As the pods of examples/cluster/kubernetes.yaml do.
        saved = (folder / "out" / f"node-{rank}" / "checkpoint").exists()
        return group.start(example("out", "--probability", 0.2, *options,
                                   *["--resume"] * saved, images=16_000),
                           RANK=rank, WORLD_SIZE=NODES, LOCAL_WORLD_SIZE=NODES,
                           MASTER_ADDR="127.0.0.1", MASTER_PORT=port)

    nodes = [start(rank) for rank in range(NODES)]
    group.begin(lambda: is_ready(folder / "out" / "node-2"))
    nodes[2].send_signal(signal.SIGKILL)
    nodes[2].wait()
    group.all = [one for one in group.all if one[0] is not nodes[2]]
    start(2)
    group.train()
    nodes = summaries(folder / "out")
    weight = sum(one["weight"] for one in nodes)
    # What the killed one held is gone; nothing comes twice.
    expect(0.2 < weight <= 1 + 1e-12, f"the weights add up to {weight!r}")
    expect(nodes[2]["steps"] > 0 and nodes[2]["weight"] > 0, "who came back has not taken part")


def case_restarted_before_a_checkpoint(folder):
    restarted(folder, has_begun)


def case_restarted_after_a_checkpoint(folder):
    restarted(folder, has_saved, "--checkpoint-every", 800)


def case_restarted_after_a_start_that_met_nobody(folder):
    port = free_ports(1)[0]
    command = example("out", "--nodes", 2, "--rank", 1, "--contact", f"127.0.0.1:{port}",
                      "--checkpoint-every", 400)
    alone = Group(folder)
    alone.start([*command, "--gather-seconds", "1"])
    (status, text), = alone.wait()
    expect(status not in (0, None) and "others within" in text, f"status {status}: {text[-300:]}")
    group = Group(folder)
    group.start(command)
    group.start(example("out", "--nodes", 2, "--rank", 0, "--listen", f"127.0.0.1:{port}"))
    group.train()
    expect(abs(sum(one["weight"] for one in summaries(folder / "out", 2)) - 1) < 1e-12,
           "weight is missing")


# What is wrong is said, with a status.


def refused(folder, commands, *texts, **variables):
    """All end with a status, and among what they print is each of these texts."""
    group = Group(folder)
    for command in commands:
        group.start(command, **variables)
    ended = group.wait(60)
    for number, (status, text) in enumerate(ended):
        expect(status not in (0, None), f"process {number} ended with {status}: {text[-300:]}")
    printed = "".join(text for _, text in ended)
    for text in texts:
        expect(text in printed, f"nobody said \"{text}\": {printed[-900:]}")


def case_wrong_nobody_to_meet(folder):
    refused(folder, [example("out", "--nodes", 4)], "this process would be alone", "RANK")


def case_wrong_no_address(folder):
    refused(folder, [example("out", "--nodes", 2)], "MASTER_ADDR is not set", PMI_RANK=1,
            PMI_SIZE=2)


def founders(port, *options_of_each):
    for rank, options in enumerate(options_of_each):
        place = ("--contact", f"127.0.0.1:{port}") if rank else ("--listen", f"127.0.0.1:{port}")
        yield example("out", "--rank", rank, *place, "--gather-seconds", 3, *options)


def case_wrong_world_size(folder):
    refused(folder, founders(free_ports(1)[0], ("--nodes", 2), ("--nodes", 3)),
            "its world size is 3, here it is 2")


def case_wrong_rules(folder):
    refused(folder, founders(free_ports(1)[0], ("--nodes", 2, "--rule", "sync"),
                             ("--nodes", 2, "--rule", "persyn", "--tau", 1)),
            "its rule is persyn(tau 1", "here it is sync")


def case_wrong_run(folder):
    """Another job with this one's port is refused, and this one trains on."""
    port = free_ports(1)[0]

    def start(group, job, rank):
        group.start(example(job, "--gather-seconds", 20 if job == "a" else 3, images=8000),
                    SLURM_PROCID=rank, SLURM_STEP_NUM_TASKS=2, SLURM_STEP_ID=0,
                    SLURM_STEP_NUM_NODES=1, SLURM_STEP_NODELIST="localhost",
                    SLURM_JOB_ID=1 if job == "a" else 2, MASTER_PORT=port)

    group, other = Group(folder), Group(folder / "other")
    other.folder.mkdir()
    start(group, "a", 0)
    start(group, "a", 1)
    group.begin(lambda: has_begun(folder / "a" / "node-1"))
    start(other, "b", 1)
    (status, text), = other.wait(60)
    expect(status not in (0, None), f"another job was let in, and ended with {status}")
    expect("is of run" in text, f"it does not name the run: {text[-400:]}")
    group.train()
    expect(abs(sum(one["weight"] for one in summaries(folder / "a", 2)) - 1) < 1e-12,
           "the other job has changed the weights of this one")


def case_wrong_key_mode(folder):
    key = folder / "run.key"
    key.write_text("0f" * 32 + "\n")
    key.chmod(0o644)
    refused(folder, [example("out", "--nodes", 1, "--rank", 0, "--shared-key", key)],
            "defaultMode: 0400", "chmod 600")


def case_wrong_transport(folder):
    refused(folder, [[program("adopt_mnist")]], "GOSSAMER_TRANSPORT must be tcp or mpi",
            GOSSAMER_TRANSPORT="pigeon")


def case_wrong_launcher_of_mpi(folder):
    """Processes that MPI has not started would each train alone."""
    refused(folder, [[program("adopt_mnist")]], "there are 2 processes by RANK and WORLD_SIZE",
            GOSSAMER_TRANSPORT="mpi", RANK=0, WORLD_SIZE=2, MASTER_ADDR="127.0.0.1")


NEEDS = {"torchrun": "torchrun", "torchrun_standalone": "torchrun", "openmpi": "mpirun.openmpi",
         "openmpi_over_mpi": "mpirun.openmpi", "wrong_launcher_of_mpi": "mpirun.openmpi",
         "mpich": "mpirun.mpich"}
CASES = {name.removeprefix("case_"): case for name, case in list(globals().items())
         if name.startswith("case_")}


def has_launcher(name):
    if name.startswith("srun"):
        return slurm.is_here()
    return name not in NEEDS or shutil.which(NEEDS[name]) is not None


def passes(name, case, *more):
    """Runs a case in a folder of its own, and says how it ended."""
    try:
        with tempfile.TemporaryDirectory(prefix="gossamer-launch-") as folder:
            case(Path(folder), *more)
    except Failure as failure:
        say(f"{name}: FAILED: {failure}")
        return False
    say(f"{name}: passed")
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--list", action="store_true", help="print the names of all cases")
    args = parser.parse_args()
    if args.list:
        print("\n".join(CASES))
        return
    unknown = [name for name in args.cases if name not in CASES]
    if unknown:
        parser.error(f"no case is called {', '.join(unknown)}: see --list")
    passed = failed = 0
    for name in args.cases or CASES:
        if not has_launcher(name):
            if args.cases:
                failed += 1
            say(f"{name}: {NEEDS.get(name, 'Slurm (and root)')} is not here")
            continue
        if passes(name, CASES[name]):
            passed += 1
        else:
            failed += 1
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
