# SPDX-License-Identifier: MIT
"""Two processes of cifar10 that train together over TCP on this machine, and what can be seen of
them from outside: images, memory, log lines, and the bytes between them."""

import json
import os
import pty
import re
import socket
import subprocess
import threading
import time

HOST = "127.0.0.1"


def free_port():
    with socket.socket() as one:
        one.bind((HOST, 0))
        return one.getsockname()[1]


class Proxy(threading.Thread):
    """Passes bytes between whoever connects and a node, and keeps what the first one said and heard."""

    def __init__(self, target):
        super().__init__(daemon=True)
        self.target = target
        self.said, self.heard = bytearray(), bytearray()
        self.server = socket.create_server((HOST, 0))
        self.port = self.server.getsockname()[1]
        self.start()

    def run(self):
        first = True
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:  # closed
                return
            try:
                node = socket.create_connection((HOST, self.target))
            except OSError:  # it does not listen yet
                client.close()
                continue
            said, heard = (self.said, self.heard) if first else (None, None)
            pipes = ((client, node, said), (node, client, heard))
            for pipe in pipes:
                threading.Thread(target=self.carry, args=pipe, daemon=True).start()
            first = False

    @staticmethod
    def carry(source, target, keep):
        try:
            while data := source.recv(1 << 16):
                target.sendall(data)
                if keep is not None and len(keep) < 1 << 24:
                    keep += data
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Node:
    """A process; its progress line is read from a terminal of its own."""

    def __init__(self, program, folder, rank, arguments):
        self.log_name = os.path.join(folder, f"log-{rank}")
        self.out = os.path.join(folder, "out")
        self.rank = rank
        terminal, inside = pty.openpty()
        environment = dict(os.environ, OPENBLAS_NUM_THREADS="1", COLUMNS="200")
        with open(self.log_name, "wb") as log:
            self.process = subprocess.Popen(
                (program, "--transport", "tcp", "--nodes", "2", "--rank", str(rank), "--out", self.out,
                 *arguments), stdout=inside, stderr=log, env=environment)
        os.close(inside)
        self.images = 0
        threading.Thread(target=self._watch, args=(terminal,), daemon=True).start()

    def _watch(self, terminal):
        rest = ""
        try:
            while data := os.read(terminal, 4096):
                rest = (rest + data.decode(errors="replace"))[-1000:]
                for count in re.findall(r"([\d,]+) images ", rest):
                    self.images = max(self.images, int(count.replace(",", "")))
        except OSError:  # the process has ended
            os.close(terminal)

    def memory(self):
        """Megabytes that are resident; 0 if it has ended."""
        with open(f"/proc/{self.process.pid}/status") as status:
            found = re.search(r"VmRSS:\s+(\d+)", status.read())
        return int(found[1]) / 1024 if found else 0

    def log(self):
        """Lines, without their times and ports."""
        with open(self.log_name, errors="replace") as log:
            lines = [re.sub(r"^(\[[^\]]*\] )+", "", line.rstrip()) for line in log]
        return [re.sub(r"(\d+\.\d+\.\d+\.\d+):\d+", r"\1", line) for line in lines if line]

    def summary(self):
        with open(os.path.join(self.out, f"node-{self.rank}", "summary.json")) as summary:
            return json.load(summary)


class Pair:
    """Node 1 reaches node 0 through a proxy that listens."""

    def __init__(self, program, folder, seconds, arguments):
        self.port = free_port()
        self.proxy = Proxy(self.port)
        arguments = ("--seconds", str(seconds), "--batch", "8", "--probability", "0.1",
                     "--evaluate-every", "100000000", "--node-test-images", "10", *arguments)
        places = ("--listen", f"{HOST}:{self.port}"), ("--contact", f"{HOST}:{self.proxy.port}")
        self.make = lambda rank: Node(program, folder, rank, (*places[rank], *arguments))
        self.nodes = []

    def __enter__(self):
        self.nodes = [self.make(rank) for rank in range(2)]
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            if node.process.poll() is None:
                node.process.kill()
            node.process.wait()
        self.proxy.server.close()

    def images(self):
        return max(node.images for node in self.nodes)

    def wait_until_they_train(self):
        deadline = time.monotonic() + 60
        while len(self.proxy.said) < 1000 or self.images() == 0:
            if time.monotonic() > deadline:
                logs = "\n".join(line for node in self.nodes for line in node.log())
                raise RuntimeError("the nodes have not met:\n" + logs)
            time.sleep(0.1)

    def wait(self, seconds):
        """Exit statuses."""
        return [node.process.wait(timeout=seconds) for node in self.nodes]
