#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Nodes whose models are long on their way: every connection goes through a proxy of so many bytes
per second each way, which reads the frames' headers (gossamer/transport/wire/frame.hpp) and counts
what they carry.

    rate     two nodes push to each other as fast as they may, and finish: the bytes of payloads on
             the wire are at most --overhead times the models delivered, and nobody is suspected
    leave    one of two leaves: all weight is the other's, however long that takes
    cut      the same, and the network stops for good: status other than 0, and the lost weight said
    memory   newcomers are killed (kill -9) one by one: the survivor's memory at the end is at most
             1.1 times that after the second

    tests/network/slow.py rate --megabytes 8 --rate 1e6 --seconds 120
    tests/network/slow.py leave --megabytes 16 --rate 1e6
    tests/network/slow.py memory --megabytes 20 --newcomers 20 --dead-after 2
"""

import argparse
import asyncio
import re
import signal
import socket
import struct
import tempfile
import threading
import time
from pathlib import Path

from many_nodes import Wanderer, conclude, free_ports, say, wait_for, wait_for_ends

HEADER = 40
PIECE = 8192


class Frames:
    """Adds up the payloads in a stream of frames."""

    def __init__(self):
        self.head, self.rest, self.payload, self.frames = b"", 0, 0, 0

    def feed(self, data):
        while data:
            if self.rest:
                step = min(self.rest, len(data))
                self.rest -= step
                data = data[step:]
                continue
            step = HEADER - len(self.head)
            self.head += data[:step]
            data = data[step:]
            if len(self.head) < HEADER:
                return
            assert self.head[:4] == b"GSMR", "the stream is not of frames"
            fields, = struct.unpack_from("<I", self.head, 16)
            payload, = struct.unpack_from("<Q", self.head, 24)
            self.head = b""
            self.rest = fields + (payload + 8 if payload else 0)
            self.payload += payload
            self.frames += 1


def small_socket():
    """One in which few bytes wait."""
    made = socket.socket()
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        made.setsockopt(socket.SOL_SOCKET, option, 2 * PIECE)
    made.setblocking(False)
    return made


class SlowLinks:
    """Proxies, each from a port to a port; all that goes one way shares `rate` bytes per second."""

    def __init__(self, pairs, rate):
        self.rate, self.stopped, self.counters = rate, False, []
        self.free_at, self.tasks = [0.0, 0.0], set()
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()

        def run():
            asyncio.set_event_loop(self.loop)
            for way, (port, target) in enumerate(pairs):
                self.loop.run_until_complete(self.listen(way, port, target))
            ready.set()
            self.loop.run_forever()

        threading.Thread(target=run, daemon=True).start()
        ready.wait()

    async def listen(self, way, port, target):
        listener = small_socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(100)

        async def serve(here):
            there = small_socket()
            try:
                await self.loop.sock_connect(there, ("127.0.0.1", target))
                await asyncio.gather(self.pump(here, there, way), self.pump(there, here, 1 - way))
            except OSError:
                pass
            finally:
                here.close()
                there.close()

        async def accept():
            while True:
                here, _ = await self.loop.sock_accept(listener)
                here.setblocking(False)
                self.tasks.add(self.loop.create_task(serve(here)))

        self.tasks.add(self.loop.create_task(accept()))

    async def pump(self, source, sink, way):
        """From a socket to another, with little between: what is read here was taken, to them."""
        frames = Frames()
        self.counters.append(frames)
        while data := await self.loop.sock_recv(source, PIECE):
            now = time.monotonic()
            self.free_at[way] = max(self.free_at[way], now) + len(data) / self.rate
            await asyncio.sleep(self.free_at[way] - now)
            while self.stopped:
                await asyncio.sleep(0.05)
            frames.feed(data)
            await self.loop.sock_sendall(sink, data)
        sink.shutdown(socket.SHUT_WR)

    def payload(self):
        return sum(one.payload for one in self.counters)


class Pair:
    """Two nodes that know each other by the proxies' addresses only."""

    def __init__(self, args, folder):
        ports = free_ports(4)
        self.links = SlowLinks([(ports[2], ports[0]), (ports[3], ports[1])], args.rate)
        self.bytes = 4 * int(args.megabytes * 1e6 / 4)
        self.nodes = []
        for rank in range(2):
            contacts = [f"127.0.0.1:{ports[2]}"] if rank else []
            options = ("--parameters", self.bytes // 4, "--probability", args.probability,
                       "--step-seconds", 0.05, "--dead-after", args.dead_after, "--seed", args.seed,
                       "--drain-seconds", args.drain, "--gather-seconds", args.patience,
                       "--advertise", f"127.0.0.1:{ports[2 + rank]}")
            self.nodes.append(Wanderer(f"node {rank}", folder / str(rank),
                                       f"127.0.0.1:{ports[rank]}", contacts, rank, 2, options))

    def train(self, seconds, patience):
        """True if both have taken steps; lets them train that long after."""
        if not wait_for(lambda: all(one.steps() > 0 for one in self.nodes), patience):
            return False
        wait_for(lambda: not all(one.running() for one in self.nodes), seconds, 0.1)
        return True

    def delivered(self):
        """Messages that have reached a rule."""
        ends = [one.last() for one in self.nodes]
        return sum(peer["ledger"]["delivered"][0] for end in ends for peer in end["peers"])


def rate(args, folder):
    pair = Pair(args, folder)
    errors = [] if pair.train(args.seconds, args.patience) else ["the nodes have not met"]
    for one in pair.nodes:
        one.send(signal.SIGUSR1)
    errors += wait_for_ends(pair.nodes, args.patience)
    if errors:
        return {}, errors
    delivered, payload = pair.delivered(), pair.links.payload()
    ratio = payload / (delivered * pair.bytes) if delivered else float("inf")
    suspicions = sum(one.last()["suspicions"] for one in pair.nodes)
    weight = sum(one.last()["weight"] for one in pair.nodes)
    if delivered < 2:
        errors.append(f"{delivered} models were delivered")
    if ratio > args.overhead:
        errors.append(f"{payload} bytes of payload on the wire for {delivered} models of "
                      f"{pair.bytes}: {ratio:.3f} times, which must be at most {args.overhead}")
    if suspicions:
        errors.append(f"{suspicions} suspicions, and both were there all the time")
    if abs(weight - 1) > 1e-9:
        errors.append(f"the weights add up to {weight!r}")
    return {"delivered": delivered, "payload_bytes": payload, "ratio": ratio,
            "suspicions": suspicions, "weight": weight}, errors


def leave(args, folder, is_cut=False):
    pair = Pair(args, folder)
    errors = [] if pair.train(args.seconds, args.patience) else ["the nodes have not met"]
    stays, goes = pair.nodes
    if is_cut:
        pair.links.stopped = True
    begin = time.monotonic()
    goes.send(signal.SIGTERM)
    wait_for(lambda: not goes.running(), args.patience, 0.05)
    took = time.monotonic() - begin
    log = goes.log.read_text(errors="replace")
    lost = re.search(r"weight ([0-9.e-]+) of node \d+ is lost", log)
    if goes.running():
        errors.append(f"{goes.name} has not left within {args.patience} s")
    elif is_cut and (goes.status() == 0 or not lost or float(lost[1]) <= 0):
        errors.append(f"{goes.name} was cut off and left with status {goes.status()}: {goes.tail()}")
    elif not is_cut and goes.status() != 0:
        errors.append(f"{goes.name} left with status {goes.status()}: {goes.tail()}")
    stays.send(signal.SIGUSR1)
    errors += wait_for_ends([stays], args.patience)
    goes.kill()
    if errors or not stays.last():
        return {"seconds": took}, errors
    weight = stays.last()["weight"]
    said = float(lost[1]) if lost else 0.0
    if not is_cut and abs(weight - 1) > 1e-9:
        errors.append(f"who stays has weight {weight!r}, not 1")
    return {"seconds": took, "weight": weight, "lost": said, "status": goes.status()}, errors


def memory(args, folder):
    port = free_ports(1)[0]
    options = ("--parameters", int(args.megabytes * 1e6 / 4), "--probability", args.probability,
               "--step-seconds", 0.05, "--dead-after", args.dead_after, "--seed", args.seed,
               "--drain-seconds", args.drain)
    survivor = Wanderer("survivor", folder / "survivor", f"127.0.0.1:{port}", [], None, 0, options)
    errors, resident = [], []
    if not wait_for(lambda: survivor.steps() > 0, args.patience):
        errors.append(f"the survivor does not run: {survivor.tail()}")
    for number in range(args.newcomers if not errors else 0):
        newcomer = Wanderer(f"newcomer {number}", folder / str(number), "127.0.0.1:0",
                            [f"127.0.0.1:{port}"], None, 0, options)
        merged = lambda: newcomer.reports.read() and newcomer.reports.lines[-1].get("merged", 0) > 1
        if not wait_for(merged, args.patience):
            errors.append(f"{newcomer.name} has merged nothing: {newcomer.tail()}")
        newcomer.kill()
        wait_for(lambda: False, 2 * args.dead_after, 0.1)
        resident.append(survivor.resident() or 0)
        say(f"{number + 1} killed: {resident[-1] / 1e6:.0f} MB")
    survivor.send(signal.SIGUSR1)
    errors += wait_for_ends([survivor], args.patience)
    if len(resident) > 2 and resident[-1] > 1.1 * resident[1]:
        errors.append(f"{resident[-1] / 1e6:.0f} MB after {len(resident)} newcomers, "
                      f"{resident[1] / 1e6:.0f} after two")
    return {"resident": resident}, errors


TRIALS = {"rate": rate, "leave": leave, "cut": lambda *all: leave(*all, is_cut=True),
          "memory": memory}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trial", choices=TRIALS)
    parser.add_argument("--megabytes", type=float, default=0.3, help="of the model")
    parser.add_argument("--rate", type=float, default=120e3, help="bytes per second, each way")
    parser.add_argument("--seconds", type=float, default=6, help="to train before the end")
    parser.add_argument("--dead-after", type=float, default=2, help="seconds of silence")
    parser.add_argument("--drain", type=float, default=2, help="seconds without any progress")
    parser.add_argument("--probability", type=float, default=0.5, help="of a push after a step")
    parser.add_argument("--overhead", type=float, default=1.02)
    parser.add_argument("--newcomers", type=int, default=6)
    parser.add_argument("--patience", type=float, default=60, help="seconds for each stage")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", help="folder for logs and reports (default: a temporary one)")
    parser.add_argument("--out", help="file for the result, in JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gossamer-slow-") as name:
        result, errors = TRIALS[args.trial](args, Path(args.keep or name))
    conclude({"trial": "slow " + args.trial, "megabytes": args.megabytes, "rate": args.rate,
              "seed": args.seed, **result}, errors, args.out)


if __name__ == "__main__":
    main()
