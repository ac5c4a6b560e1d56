#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The MNIST program of examples/adopt in three processes: by launch.sh, torchrun and mpirun; on one
machine, and in two network namespaces with a key (as root), where one is killed and started again,
one joins late, and one leaves on SIGTERM. Each time all weight is found (books.py), and every
process that is there at the end prints the same accuracy of the mean model, whose bits are the same.

    MNIST_DATA=DIR tests/network/adopted.py              all cases whose launcher is here
    MNIST_DATA=DIR tests/network/adopted.py --list       their names
    MNIST_DATA=DIR tests/network/adopted.py churn ...

MNIST_DATA names the folder of MNIST's four files. The last line is "N passed, N failed".
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import launchers
from books import Audit, Books
from cut import missing
from launchers import Failure, expect
from many_nodes import ROOT, Reports, free_ports, program, say, wait_for
from network_emulator import Cables

NODES = 3
PROGRAM = "adopt_mnist_watched"  # launch.sh gives a key to what begins with adopt_


class Trial(launchers.Group):
    """Processes of the program, what each prints, and the files that they write."""

    def __init__(self, folder, data, cables=None):
        super().__init__(folder)
        self.data, self.cables = data, cables
        self.key = folder / "run.key"
        subprocess.run([ROOT / "examples" / "make_keys.sh", "--shared-key", self.key], check=True,
                       stdout=subprocess.DEVNULL)

    def command(self, epochs):
        return [program(PROGRAM), self.data, str(epochs)]

    def start(self, command, host=0, **variables):
        if self.cables:
            command = ["ip", "netns", "exec", self.cables.names[host], *command]
        return super().start(command, GOSSAMER_TRIAL=self.folder / "report",
                             GOSSAMER_KEY=self.key, **variables)

    def reports(self):
        """{process number: its lines}"""
        return {int(path.name.split("-")[1]): Reports(path).read()
                for path in self.folder.glob("report-*")}

    def steps(self, popen):
        lines = self.reports().get(popen.pid, [])
        return max([line.get("steps", 0) for line in lines], default=0)

    def trains(self, popen, steps=40):
        wait_for(lambda: self.steps(popen) > steps or popen.poll() is not None, 90)
        said = dict((id(one), log) for one, log in self.all)[id(popen)]
        expect(self.steps(popen) > steps, f"it does not train: {said.read_text()[-600:]}")

    def check(self, printed, present, begin_of_gone=None):
        """`printed`: all that was; `present`: the process numbers of who was there at the end, of
        the reports that are there. Whoever is gone began with these weights."""
        accuracies = re.findall(r"accuracy (\S+)", printed)
        expect(len(accuracies) == len(present),
               f"{len(accuracies)} of {len(present)} accuracies were printed: {printed[-600:]}")
        expect(len(set(accuracies)) == 1, f"accuracies differ: {accuracies}")
        expect(float(accuracies[0]) > 0.8, f"nothing was learnt: {accuracies[0]}")
        reports = self.reports()
        means = {line["mean"] for pid in present for line in reports[pid] if "mean" in line}
        expect(len(means) == 1, f"the mean models differ: {means}")
        books = [self.books(reports[pid]) for pid in present]
        audit = Audit(books, begin_of_gone or {})
        expect(not audit.errors, "; ".join(audit.errors))
        say(f"   accuracy {accuracies[0]} at each of {len(present)}, mean {means.pop()[:12]}, "
            f"weights {', '.join(f'{one.weight:.4f}' for one in books)} and {audit.gone:.4f} gone; "
            f"all of it - 1 = {audit.total - 1:.1e}")

    @staticmethod
    def books(lines):
        """With a row of its own for the first life of a peer that was killed and came back."""
        first, last = lines[0], lines[-1]
        expect("landed" in last, f"node {first['node']} has no end: {last}")
        expect(last["landed"], f"node {first['node']}: not all had landed at the end")
        peers = list(last["peers"])
        for line in lines:
            if "lost" not in line:
                continue
            row = next(peer for peer in line["peers"] if peer["peer"] == line["lost"])
            ledger = {**row["ledger"], "waiting": [0, 0.0], "returning": [0, 0.0]}
            peers.append({"peer": f"{line['lost']}, killed", "ledger": ledger})
        return Books(first["node"], first["begin"], last["weight"], peers)


def launched(folder, data, command, epochs=1, **variables):
    """Three by one command, which shows what all print; launch.sh leaves some of it in files."""
    trial = Trial(folder, data)
    trial.start([*command, data, str(epochs)], TMPDIR=folder, **variables)
    trial.train(240)
    texts = [path.read_text(errors="replace") for path in folder.glob("gossamer-launch-*/*.log")]
    printed = "".join([*texts, *(log.read_text() for _, log in trial.all)])
    expect(len(trial.reports()) == NODES, f"{len(trial.reports())} of {NODES} have begun")
    trial.check(printed, sorted(trial.reports()))


def case_launch_script(folder, data):
    built = Path(program(PROGRAM)).parent
    launched(folder, data, [ROOT / "examples" / "launch.sh", "-n", str(NODES), PROGRAM],
             GOSSAMER_EXAMPLES=built)


def case_torchrun(folder, data):
    # For -r and -t see launchers.py.
    launched(folder, data, ["torchrun", "--no_python", "-r", "1", "-t", "1", "--nproc_per_node",
                            str(NODES), "--master_port", str(free_ports(1)[0]), program(PROGRAM)])


def case_mpirun(folder, data):
    launched(folder, data, ["mpirun.openmpi", "--oversubscribe", "-np", str(NODES),
                            program(PROGRAM)],
             MASTER_ADDR="127.0.0.1", MASTER_PORT=free_ports(1)[0], OMPI_ALLOW_RUN_AS_ROOT=1,
             OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1)


def founders(trial, epochs):
    """On one machine, or ranks 0 and 1 on the first host and 2 on the second. `start(rank)`, and
    where rank 0 is met."""
    first = trial.cables.address(0) if trial.cables else "127.0.0.1"
    port = free_ports(1)[0]

    def start(rank):
        host = rank // 2 if trial.cables else 0
        return trial.start(trial.command(epochs), host, RANK=rank, WORLD_SIZE=NODES,
                           LOCAL_WORLD_SIZE=(2, 1)[host] if trial.cables else NODES,
                           MASTER_ADDR=first, MASTER_PORT=port)

    return start, f"{first}:{port}"


def churn(folder, data, cables=None):
    trial = Trial(folder, data, cables)
    epochs = 8  # long enough that nobody is at its end before all has happened
    start, contact = founders(trial, epochs)
    zero, one, two = [start(rank) for rank in range(NODES)]
    for process in (zero, one, two):
        trial.trains(process)
    one.send_signal(signal.SIGKILL)
    one.wait()
    again = start(1)
    trial.trains(again)
    say("   one was killed, has come back, and trains")
    late = trial.start(trial.command(epochs), 1, GOSSAMER_CONTACT=contact)
    trial.trains(late)
    say("   one has come late, and trains")
    two.send_signal(signal.SIGTERM)
    wait_for(lambda: two.poll() is not None, 60)
    expect(two.poll() == 0, f"who was told to leave ended with status {two.poll()}")
    left = trial.reports()[two.pid][-1]
    expect(left["steps"] < epochs * 60_000 // 50 // NODES, "it was at its end before it was told")
    expect(left["landed"] and left["weight"] == 0, f"the leaver kept weight {left['weight']}")
    say(f"   one has left, after {left['steps']} steps")
    present = (zero, again, late)
    trial.all = [each for each in trial.all if each[0] in present]
    trial.train(300)
    trial.check("".join(log.read_text() for _, log in trial.all),
                [process.pid for process in present], {"1, killed": 1 / NODES, 2: 1 / NODES})


def case_churn(folder, data):
    churn(folder, data)


def two_hosts():
    return Cables(2, latency=0.001, prefix="adopt")


def case_namespaces(folder, data):
    with two_hosts() as cables:
        trial = Trial(folder, data, cables)
        start, _ = founders(trial, epochs=1)
        present = [start(rank).pid for rank in range(NODES)]
        trial.train(300)
        trial.check("".join(log.read_text() for _, log in trial.all), present)


def case_namespaces_churn(folder, data):
    with two_hosts() as cables:
        churn(folder, data, cables)


NEEDS = {"torchrun": "torchrun", "mpirun": "mpirun.openmpi"}
CASES = {name.removeprefix("case_"): case for name, case in list(globals().items())
         if name.startswith("case_")}


def lacks(name):
    """What this machine lacks for a case, or None."""
    if name in NEEDS and not shutil.which(NEEDS[name]):
        return f"{NEEDS[name]} is not here"
    return missing() if name.startswith("namespaces") else None


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", choices=[[], *CASES])
    parser.add_argument("--list", action="store_true", help="print the names of all cases")
    args = parser.parse_args()
    if args.list:
        print("\n".join(CASES))
        return
    data = os.environ.get("MNIST_DATA")
    if not data:
        print("SKIPPED: MNIST_DATA does not name the folder of MNIST's four files")
        return
    passed = failed = 0
    for name in args.cases or CASES:
        if lack := lacks(name):
            say(f"{name}: SKIPPED: {lack}")
            continue
        if launchers.passes(name, CASES[name], str(Path(data).resolve())):
            passed += 1
        else:
            failed += 1
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
