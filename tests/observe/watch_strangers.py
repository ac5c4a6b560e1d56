#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Strangers at the live page of a run that trains: two processes on TCP, the page of one of them on
all addresses, with a token. Training must go on, memory and descriptors stay what they were, and
nobody without the token may learn anything.

    tests/observe/watch_strangers.py [--requests 10000] [--seconds 6]

--seconds is how long each phase lasts at least. Strangers need cores, too: on few of them training
loses what these take. Needs build/release/examples/cifar10. The last line is
"N passed, N failed".
"""
import argparse
import asyncio
import os
import pathlib
import random
import re
import resource
import secrets
import selectors
import socket
import sys
import tempfile
import time

from browser import Checks

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "network"))
from many_nodes import Process, free_ports, program, wait_for  # noqa: E402

TOKEN = secrets.token_hex(16)
PATHS = ("/state.json", "/events", "/metrics")  # those that want it
MOST_GROWTH = 32e6  # bytes, whatever is done
LEAST_RATE = 0.2    # of the steps per second without strangers
LIMIT = 64          # connections at once


class Trainer(Process):
    """One of two processes; the first has the page."""

    def __init__(self, folder, rank, contact, page):
        self.step_log = folder / f"steps-{rank}"
        command = [program("cifar10"), "--transport", "tcp", "--nodes", 2, "--rank", rank,
                   "--seconds", 10**6, "--batch", 4, "--probability", 0.1, "--no-evaluation",
                   "--evaluate-every", 10**9, "--quiet", "--step-log", self.step_log, "--out",
                   folder / "run"]
        command += ["--contact", contact] if rank else ["--listen", contact]
        command += [] if rank else ["--watch", f"0.0.0.0:{page}"]
        super().__init__(f"process {rank}", list(map(str, command)), folder / f"log-{rank}", 0.5)

    def steps_since(self, begin):
        text = self.step_log.read_text() if self.step_log.exists() else ""
        return sum(float(line.split()[0]) >= begin for line in text.split("\n")[:-1])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.popen.pid}/fd"))


def request(path, token=None, method="GET", more=""):
    fields = f"Authorization: Bearer {token}\r\n" if token is not None else ""
    return f"{method} {path} HTTP/1.1\r\nHost: any\r\n{fields}{more}\r\n".encode()


def status(answer):
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(found[1]) if found else 0


def body(answer):
    return answer.partition(b"\r\n\r\n")[2]


class Strangers:
    def __init__(self, port):
        self.port = port

    async def ask_once(self, data, seconds=20):
        """All that is answered until the server hangs up; nothing if it does at once."""
        heard, writer = b"", None
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(data)
                while some := await reader.read(1 << 16):
                    heard += some
        except OSError:  # it was hung up on; asyncio's timeout is one, too
            pass
        finally:
            if writer:
                writer.close()
        return heard

    async def ask(self, data):
        """Again, as long as there are too many others."""
        deadline = time.monotonic() + 30
        while not (heard := await self.ask_once(data)) and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
        return heard

    async def ask_all(self, requests, ask=None):
        return await asyncio.gather(*((ask or self.ask)(one) for one in requests))

    async def until_open(self):
        """Whether a viewer with the token gets in, sooner or later."""
        return status(await self.ask(request("/state.json", TOKEN))) == 200

    # What strangers do. Each returns what is wrong with the answers, and what to say.

    async def nothing(self):
        return "", ""

    async def without_token(self):
        answers = await self.ask_all([request(path) for path in 10 * PATHS])
        page = await self.ask(request("/"))
        wrong = {status(one) for one in answers} - {401} or {body(one) for one in answers} - \
            {b"Unauthorized\n"}
        return wrong or (status(page) != 200 and "the page itself is refused"), \
            f"{len(answers)} times 401"

    async def wrong_token(self):
        rng = random.Random(1)
        wrong = ["", " ", TOKEN[:-1], TOKEN + "0", TOKEN[:-1] + "x", TOKEN.upper() + "x",
                 *(f"{rng.getrandbits(128):032x}" for _ in range(44))]
        answers = await self.ask_all([request(path, one) for path in PATHS for one in wrong][:60])
        answers += await self.ask_all([request(f"{path}?token={TOKEN}") for path in PATHS])
        plain = await self.ask(request(PATHS[0]))
        return set(answers) - {plain}, f"{len(answers)} answers as to those without one"

    async def flood(self, count):
        """As many at once as there are descriptors for."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard == resource.RLIM_INFINITY or hard > soft:
            most = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
        wave = max(1, min(count, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100))
        answers = []
        for begin in range(0, count, wave):
            answers += await asyncio.to_thread(self.wave, min(wave, count - begin))
        refused = sum(not one for one in answers)
        return {status(one) for one in answers if one} - {401} or refused == count, \
            f"{wave} at once: {count - refused} times 401, {refused} hung up on"

    def wave(self, count):
        """That many connections, which ask as soon as they can; what each is answered."""
        selector, heard = selectors.DefaultSelector(), {}
        for _ in range(count):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", self.port))
            heard[one] = b""
            selector.register(one, selectors.EVENT_WRITE)
        deadline = time.monotonic() + 120
        while selector.get_map() and time.monotonic() < deadline:
            for key, event in selector.select(1):
                one = key.fileobj
                try:
                    if event & selectors.EVENT_WRITE:
                        one.send(request(PATHS[0]))
                        selector.modify(one, selectors.EVENT_READ)
                    elif some := one.recv(1 << 16):
                        heard[one] += some
                    else:
                        selector.unregister(one)
                except OSError:  # it was hung up on
                    selector.unregister(one)
        for one in heard:
            one.close()
        return list(heard.values())

    async def slow_readers(self, token):
        """They ask, and then read nothing."""
        asked = request("/events", token) if token else request("/watch.js")
        held = [await asyncio.open_connection("127.0.0.1", self.port, limit=1)
                for _ in range(LIMIT // 2)]
        for _, writer in held:
            writer.transport.pause_reading()
            writer.write(asked)
        await asyncio.sleep(15)
        for _, writer in held:
            writer.transport.abort()
        return "", f"{len(held)} for 15 s"

    async def slow_writers(self):
        """A byte a second of a request that never ends."""
        begin = time.monotonic()
        lived = await asyncio.gather(*(self.write_slowly(begin) for _ in range(3 * LIMIT)))
        return max(lived) > 12, f"{len(lived)}, hung up on after {max(lived):.1f} s at the latest"

    async def write_slowly(self, begin):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        ended = asyncio.ensure_future(reader.read())
        try:
            for byte in b"GET /state.json HTTP/1.1\r\n":
                writer.write(bytes([byte]))
                if ended in (await asyncio.wait([ended], timeout=1))[0]:
                    break
        except OSError:
            pass
        writer.close()
        await asyncio.gather(ended, return_exceptions=True)
        return time.monotonic() - begin

    async def long_headers(self):
        million = b"x" * (1 << 20)
        first = b"GET / HTTP/1.1\r\nHost: any\r\n"
        texts = [million, b"GET /" + million, first + b"X: " + million + b"\r\n\r\n",
                 first + b"X: 1\r\n" * 200_000 + b"\r\n",
                 first + b"Authorization: Bearer " + million + b"\r\n\r\n"]
        answers = await self.ask_all(12 * texts, self.ask_once)
        return {status(one) for one in answers} - {0, 431}, \
            f"{len(answers)} of 1 MB: {sum(status(one) == 431 for one in answers)} times 431"

    async def climbing_paths(self):
        ways = ["..", "%2e%2e", "..%2f..", "%252e%252e", "..\\..", "....//", ";/..", "%00"]
        paths = [f"/{way}/{file}" for way in ways
                 for file in ("etc/passwd", "state.json", "proc/self/environ")]
        paths += ["/state.json/../metrics", "//state.json", "/STATE.JSON", "/state.json%00",
                  "/.git/config", "/run/summary.json", "/*"]
        requests = [request(path, token) for path in paths for token in (None, TOKEN)]
        answers = []
        for begin in range(0, len(requests), LIMIT // 2):
            answers += await self.ask_all(requests[begin:begin + LIMIT // 2])
        return {(status(one), body(one)) for one in answers} - {(404, b"Not Found\n")}, \
            f"{len(answers)} times 404"

    async def other_methods(self):
        methods = ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PRI", "get"]
        answers = await self.ask_all([request("/state.json", token, method, "Content-Length: 9\r\n")
                                      + b"delete me" for method in methods
                                      for token in (None, TOKEN)])
        heads = await self.ask_all([request(path, None, "HEAD") for path in PATHS])
        return {status(one) for one in answers} - {405} or {status(one) for one in heads} - {401} \
            or {body(one) for one in heads} - {b""}, f"{len(answers)} times 405"

    async def pipelines(self):
        """One request on a connection is answered, whatever comes behind it."""
        rng = random.Random(2)
        noise = [rng.randbytes(1 << 14) for _ in range(20)]
        second = [request(PATHS[0], TOKEN) * 200, *noise]
        answers = await self.ask_all([request(PATHS[0]) + one for one in second])
        rubbish = await self.ask_all(noise, self.ask_once)
        return {status(one) for one in answers} - {401} or \
            {one.count(b"HTTP/1.1 ") for one in answers} - {1} or \
            {status(one) for one in rubbish} - {0, 400, 431}, \
            f"{len(answers)} answered once, {len(rubbish)} of rubbish refused"


class Trial:
    def __init__(self, args, check, folder):
        self.args, self.check = args, check
        contact, self.port = free_ports(2)
        self.nodes = [Trainer(folder, rank, f"127.0.0.1:{contact}", self.port) for rank in (0, 1)]
        self.node, self.strangers = self.nodes[0], Strangers(self.port)
        self.rate = None  # steps per second without strangers

    async def phase(self, what, attack):
        begin = time.monotonic()
        attack, peak = asyncio.ensure_future(attack), 0
        while not attack.done() or time.monotonic() < begin + self.args.seconds:
            await asyncio.sleep(0.2)
            peak = max(peak, self.node.resident())
        wrong, words = attack.result()
        seconds = time.monotonic() - begin
        rate = self.node.steps_since(begin) / seconds
        self.rate = self.rate or rate
        is_open = await self.strangers.until_open()
        growth = peak - self.resident
        self.check(not wrong and is_open and growth < MOST_GROWTH and
                   rate >= LEAST_RATE * self.rate,
                   f"{what:14} {seconds:5.1f} s  {rate:5.1f} steps/s  {peak / 1e6:6.1f} MB  "
                   f"{words}{f' WRONG: {str(wrong)[:300]}' if wrong else ''}"
                   f"{'' if is_open else ' NO VIEWER GETS IN'}")

    async def play(self):
        log = self.node.log
        wait_for(lambda: "live page" in log.read_text() and self.node.steps_since(0) > 100, 120)
        here = self.strangers
        await here.until_open()
        await asyncio.sleep(self.args.seconds)  # allocators are warm then
        self.resident = self.node.resident()
        descriptors = self.node.descriptors()
        for what, attack in (
                ("nobody", here.nothing()), ("no token", here.without_token()),
                ("wrong tokens", here.wrong_token()), ("flood", here.flood(self.args.requests)),
                ("slow readers", here.slow_readers(None)), ("slow viewers",
                                                            here.slow_readers(TOKEN)),
                ("slow writers", here.slow_writers()), ("long headers", here.long_headers()),
                ("paths", here.climbing_paths()), ("methods", here.other_methods()),
                ("pipelines", here.pipelines()), ("nobody again", here.nothing())):
            await self.phase(what, attack)
        self.check(wait_for(lambda: self.node.descriptors() <= descriptors, 20),
                   f"{self.node.descriptors()} descriptors, as before")
        self.check(TOKEN not in log.read_text(), "the token is not in the log")
        self.check(all(one.running() for one in self.nodes), "both train on")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000, help="of the flood")
    parser.add_argument("--seconds", type=float, default=6, help="of a phase, at least")
    args = parser.parse_args()
    check = Checks()
    os.environ["GOSSAMER_WATCH_TOKEN"] = TOKEN
    with tempfile.TemporaryDirectory(prefix="gossamer-strangers-") as folder:
        trial = Trial(args, check, pathlib.Path(folder))
        try:
            asyncio.run(trial.play())
        finally:
            for one in trial.nodes:
                one.kill()
    return check.conclude()


if __name__ == "__main__":
    sys.exit(main())
