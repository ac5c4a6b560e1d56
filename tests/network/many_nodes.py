# SPDX-License-Identifier: MIT
"""Processes that form a swarm over TCP: started, watched, and their records read."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from books import Books

ROOT = Path(__file__).resolve().parents[2]
_BEGIN = time.monotonic()


def say(text):
    print(f"{time.monotonic() - _BEGIN:7.1f} s  {text}", flush=True)


def program(name):
    """What the build made, in the folder of GOSSAMER_BUILD or build/release."""
    build = Path(os.environ.get("GOSSAMER_BUILD", ROOT / "build" / "release"))
    for folder in ("examples", "tests"):
        if os.access(build / folder / name, os.X_OK):
            return str(build / folder / name)
    sys.exit(f"{name} is not in {build}: build it first, or name the folder by GOSSAMER_BUILD")


def free_ports(count):
    """Ports of loopback that are free now, and outside of what the kernel hands out by itself; at
    random, for other trials may be looking, too."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        lowest, highest = map(int, file.read().split())
    candidates = [*range(10000, lowest), *range(highest + 1, 65536)]
    ports = []
    for port in random.sample(candidates, len(candidates)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            return ports
    sys.exit(f"{count} free ports were not found")


class Process:
    """One node: its process, and the files that it writes into `folder`."""

    def __init__(self, name, command, folder, begin, spawn=subprocess.Popen):
        self.name, self.begin = name, begin
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "log"
        environment = dict(os.environ, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
        with open(self.log, "wb") as log:
            self.popen = spawn(command, stdout=log, stderr=subprocess.STDOUT,
                               stdin=subprocess.DEVNULL, env=environment)

    def running(self):
        return self.popen.poll() is None

    def send(self, number):
        if self.running():
            self.popen.send_signal(number)

    def kill(self):
        """As the kernel's out-of-memory killer does it."""
        self.send(signal.SIGKILL)
        self.popen.wait()

    def status(self):
        return self.popen.poll()

    def tail(self):
        lines = self.log.read_text(errors="replace").splitlines()
        return " | ".join(line for line in lines[-3:] if line.strip())

    def resident(self):
        """Bytes of memory that it has now, or None."""
        try:
            with open(f"/proc/{self.popen.pid}/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            return None


class Reports:
    """Lines of JSON that a process is writing, read as they come."""

    def __init__(self, path):
        self.path, self.place, self.lines = Path(path), 0, []

    def read(self):
        if self.path.exists():
            with open(self.path, "rb") as file:
                file.seek(self.place)
                data = file.read()
            whole = data.rfind(b"\n") + 1
            self.place += whole
            self.lines += [json.loads(line) for line in data[:whole].splitlines()]
        return self.lines


class Wanderer(Process):
    """tests/network/chaos_node.cpp. A founder has a rank; a newcomer has None."""

    def __init__(self, name, folder, listen, contacts, rank=None, founders=0, options=(), **more):
        folder = Path(folder)
        (folder / "report").unlink(missing_ok=True)  # of an earlier trial
        command = [program("chaos_node"), "--report", str(folder / "report"), "--listen", listen]
        for contact in contacts:
            command += ["--contact", contact]
        if rank is not None:
            command += ["--rank", str(rank), "--world-size", str(founders)]
        super().__init__(name, [*command, *map(str, options)], folder,
                         0 if rank is None else 1 / founders, **more)
        self.listen, self.rank = listen, rank
        self.reports = Reports(folder / "report")

    def number(self):
        """None before it has met anybody."""
        lines = self.reports.read()
        return lines[0]["node"] if lines else self.rank

    def steps(self):
        lines = self.reports.read()
        return lines[-1].get("steps", 0) if lines else 0

    def last(self):
        """What it wrote at its end, or None."""
        lines = self.reports.read()
        return lines[-1] if lines and "peers" in lines[-1] else None

    def books(self):
        last = self.last()
        return Books(self.number(), self.begin, last["weight"], last["peers"])


def wait_for(done, seconds, pause=0.02):
    """Whether `done()` came true within that time."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def wait_for_ends(processes, seconds):
    """Waits for all; kills those that do not end. A sentence for each that did not end well."""
    wait_for(lambda: not any(one.running() for one in processes), seconds, 0.05)
    errors = []
    for one in processes:
        if one.running():
            errors.append(f"{one.name} did not end within {seconds:.0f} s: {one.tail()}")
            one.kill()
        elif one.status() != 0:
            errors.append(f"{one.name} ended with status {one.status()}: {one.tail()}")
    return errors


def conclude(result, errors, out=None):
    """Writes the result, prints it with the errors, and ends the program: status 1 if there are
    any. The last line is for those who count."""
    result = {**result, "errors": errors}
    text = json.dumps(result, indent=1)
    if out:
        Path(out).write_text(text + "\n", encoding="utf-8")
    print(text)
    for error in errors:
        print(f"FAILED: {error}")
    print("0 passed, 1 failed" if errors else "1 passed, 0 failed")
    sys.exit(1 if errors else 0)
