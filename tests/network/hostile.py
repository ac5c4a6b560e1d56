#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two cifar10 processes that train over TCP, and strangers who do what they can against it: once
without security and once with a shared key. The last line is "N passed, N failed".

    ./tests/network/hostile.py [--program build/release/examples/cifar10] [--data DIR] [--scale N]

A scale above 1 makes each phase that many times longer. What needs a peer's own words (numbers that
are not finite, impossible weights, a peer that does not read) is in tests/transport/hostile_test.cpp.
"""

import argparse
import collections
import concurrent.futures
import os
import random
import resource
import socket
import subprocess
import sys
import tempfile
import time

from pair import HOST, Pair

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HALF_OPEN = 1000
MOST_GROWTH = 64  # megabytes of a node, whatever is done to it


def dial(port, source):
    """From an address of its own: how often each may knock is limited."""
    return socket.create_connection((HOST, port), timeout=5, source_address=(source, 0))


def is_closed(connection):
    connection.setblocking(False)
    try:
        while connection.recv(1 << 16):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def say(port, source, data, patience=2.0):
    """Says that, and how many bytes came back until the node hung up."""
    heard = 0
    try:
        with dial(port, source) as one:
            one.settimeout(patience)
            one.sendall(data)
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline and (some := one.recv(1 << 16)):
                heard += len(some)
    except OSError:
        pass
    return heard


class Trial:
    def __init__(self, pair, name):
        self.pair, self.name = pair, name
        self.port = pair.port
        self.random = random.Random(1)
        self.memory = self.node.memory()
        self.passed = self.failed = 0

    @property
    def node(self):
        return self.pair.nodes[0]

    def check(self, good, what):
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)
        if not good:
            print(f"FAILED: {self.name}: {what}")

    def phase(self, what, seconds, attack):
        begin, images = time.monotonic(), self.pair.images()
        result = attack()
        time.sleep(max(0.0, begin + seconds - time.monotonic()))
        while self.pair.images() == images and time.monotonic() < begin + seconds + 20:
            time.sleep(0.1)
        rate = (self.pair.images() - images) / (time.monotonic() - begin)
        memory = self.node.memory()
        print(f"{self.name:10} {what:24} {rate:6.0f} images/s {memory:6.0f} MB  {result}",
              flush=True)
        self.check(rate > 0, f"{what}: training stands still")
        self.check(memory < self.memory + MOST_GROWTH, f"{what}: {memory - self.memory:.0f} MB more")

    # The attacks.

    def replay(self):
        """A member's whole session once more, from its first byte."""
        said = bytes(self.pair.proxy.said)
        heard = [say(self.port, "127.0.0.2", said[:1 << 22]) for _ in range(3)]
        return f"{len(said)} bytes said again, heard {heard} bytes"

    def oversized(self):
        """Frames, or TLS records, that promise more than anybody has."""
        head = bytes(self.pair.proxy.said[:40])
        frames = [head[:16] + b"\xff" * 4 + head[20:],  # fields
                  head[:24] + b"\xff" * 7 + b"\x0f" + head[32:]]  # payload
        if self.name != "plain":
            frames = [head[:3] + b"\xff\xff" + head[5:], b"\x16\x03\x01\x40\x00" + b"x" * 35]
        for frame in 20 * frames:
            say(self.port, "127.0.0.3", frame, patience=0.05)  # for TLS waits for the rest of some
        return f"{20 * len(frames)} connections"

    def noise(self):
        for _ in range(200):
            say(self.port, "127.0.0.4", self.random.randbytes(1000))
        return "200 connections"

    def half_open(self, hold):
        """The beginning of a handshake, and then nothing."""
        begin = bytes(self.pair.proxy.said[:30])
        held = []
        for _ in range(HALF_OPEN):
            one = dial(self.port, "127.0.0.5")
            try:
                one.sendall(begin)
            except OSError:  # it was hung up on already
                pass
            held.append(one)
        time.sleep(1)
        first = sum(not is_closed(one) for one in held)
        time.sleep(hold)
        rest = sum(not is_closed(one) for one in held)
        for one in held:
            one.close()
        self.check(0 < first <= 80, f"{first} of {HALF_OPEN} connections were let in at once")
        self.check(rest <= 16, f"{rest} connections that say nothing live longer than a handshake")
        return f"{HALF_OPEN} dialed, {first} let in, {rest} after {hold + 1} s"

    def run(self, scale):
        self.phase("nothing", 3 * scale, lambda: "")
        self.phase("replay", 2 * scale, self.replay)
        self.phase("oversized lengths", 1 * scale, self.oversized)
        self.phase("random bytes", 2 * scale, self.noise)
        self.phase("half a handshake", 13 * scale, lambda: self.half_open(12))
        self.phase("nothing", 2 * scale, lambda: "")

    def look_back(self):
        """After the end."""
        lines = collections.Counter(self.node.log())
        for line, count in lines.items():
            print(f"{self.name:10} {count} x {line[:160]}")
            self.check(count == 1, f"said {count} times: {line}")
        self.check(0 < len(lines) <= 12, f"{len(lines)} lines for all that")
        summaries = [node.summary() for node in self.pair.nodes]
        weight = sum(sum(summary["weights"]) for summary in summaries)
        self.check(abs(weight - 1) < 1e-9, f"the weights add up to {weight}")
        peers = [peer["peer"] for peer in summaries[0]["peers"]]
        self.check(peers == [1], f"node 0 has met {peers}")
        print(f"{self.name:10} weight {weight!r}, images {self.pair.images()}", flush=True)


def attack(name, options):
    """The whole of it, on two nodes that are secured so."""
    with tempfile.TemporaryDirectory(prefix="gossamer-hostile-") as folder:
        arguments = ["--data", options.data] if options.data else []
        if name != "plain":
            key = os.path.join(folder, "key")
            subprocess.run((os.path.join(ROOT, "examples/make_keys.sh"), "--shared-key", key),
                           check=True, stdout=subprocess.DEVNULL)
            arguments += ["--shared-key", key]
        with Pair(options.program, folder, 27 * options.scale, arguments) as pair:
            pair.wait_until_they_train()
            trial = Trial(pair, name)
            trial.run(options.scale)
            statuses = pair.wait(120)
            trial.check(statuses == [0, 0], f"the nodes ended with {statuses}")
            trial.look_back()
            return trial


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--program", default=os.path.join(ROOT, "build/release/examples/cifar10"))
    parser.add_argument("--data", default=os.environ.get("GOSSAMER_DATA", ""))
    parser.add_argument("--scale", type=int, default=1)
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4 * HALF_OPEN, most), most))
    names = ("plain", "shared key")
    with concurrent.futures.ThreadPoolExecutor() as both:
        trials = list(both.map(lambda name: attack(name, options), names))
    passed, failed = sum(one.passed for one in trials), sum(one.failed for one in trials)
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
