# SPDX-License-Identifier: MIT
"""Hosts on bad cables, on one Linux machine: a network namespace each, and between every two a cable
with latency, loss and a rate, which can be cut and restored. Needs root and TUN devices, but no
traffic control of the kernel's (netem), which small kernels lack: this process carries the packets.

    with Cables(4, latency=0.1, loss=0.05, bits_per_second=10e6, seed=1) as cables:
        server = cables.start(0, ["iperf3", "-s"])       # a process on host 0, 10.77.0.1
        cables.cut(0, 1)
        cables.restore(0, 1)
        cables.part([0, 1])                              # from the others
        cables.heal()
"""

import fcntl
import heapq
import os
import random
import selectors
import struct
import subprocess
import threading
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
QUEUE_SECONDS = 0.5  # a cable that is further behind than this drops what comes


def ip(*words):
    subprocess.run(("ip", *words), check=True)


class Cables:
    """`hosts` namespaces, fully connected. Latency is one way, in seconds; loss is per packet.
    What is sent while a cable is cut is lost, as what is in flight."""

    def __init__(self, hosts, latency=0.0, loss=0.0, bits_per_second=None, seed=1, prefix="cable"):
        self.names = [f"{prefix}{os.getpid() % 10000}-{host}" for host in range(hosts)]
        self.latency, self.loss, self.rate = latency, loss, bits_per_second
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.is_cut = set()
        self.free_at = {}
        self.in_flight = []  # (when, number, from, to, packet)
        self.sent = self.lost = 0
        self.processes = []
        self.devices = []
        self.open = True
        self.wake_read, self.wake_write = os.pipe()

    def address(self, host):
        return f"10.77.0.{host + 1}"

    def __enter__(self):
        try:
            for host, name in enumerate(self.names):
                self.devices.append(self._device(host, name))
        except BaseException:
            self._remove()
            raise
        self.thread = threading.Thread(target=self._carry, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        self.open = False
        os.write(self.wake_write, b"x")
        self.thread.join()
        self._remove()

    def start(self, host, command, **popen):
        """Starts a process on a host; it is killed at the end if it still runs."""
        process = subprocess.Popen(("ip", "netns", "exec", self.names[host], *command), **popen)
        self.processes.append(process)
        return process

    def cut(self, a, b):
        with self.lock:
            self.is_cut |= {(a, b), (b, a)}

    def restore(self, a, b):
        with self.lock:
            self.is_cut -= {(a, b), (b, a)}

    def part(self, hosts):
        """Cuts every cable between these hosts and the others."""
        for a in hosts:
            for b in range(len(self.names)):
                if b not in hosts:
                    self.cut(a, b)

    def heal(self):
        with self.lock:
            self.is_cut.clear()

    def _device(self, host, name):
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name[:15].encode(), IFF_TUN | IFF_NO_PI))
        ip("netns", "add", name)
        ip("link", "set", name[:15], "netns", name)
        inside = ("-n", name)
        ip(*inside, "address", "add", f"{self.address(host)}/24", "dev", name[:15])
        ip(*inside, "link", "set", name[:15], "up")
        ip(*inside, "link", "set", "lo", "up")
        return device

    def _remove(self):
        for device in self.devices:
            os.close(device)
        for name in self.names:
            subprocess.run(("ip", "netns", "delete", name), stderr=subprocess.DEVNULL)
        for end in (self.wake_read, self.wake_write):
            os.close(end)

    def _carry(self):
        selector = selectors.DefaultSelector()
        selector.register(self.wake_read, selectors.EVENT_READ, None)
        for host, device in enumerate(self.devices):
            selector.register(device, selectors.EVENT_READ, host)
        while self.open:
            timeout = None
            if self.in_flight:
                timeout = max(0.0, self.in_flight[0][0] - time.monotonic())
            for key, _ in selector.select(timeout):
                if key.data is not None:
                    self._take(key.data)
            now = time.monotonic()
            while self.in_flight and self.in_flight[0][0] <= now:
                self._deliver(*heapq.heappop(self.in_flight)[2:])
        selector.close()

    def _take(self, source):
        for _ in range(64):
            try:
                packet = os.read(self.devices[source], 65536)
            except BlockingIOError:
                return
            if packet[0] >> 4 != 4:
                continue  # the kernel's own IPv6 chatter
            target = packet[19] - 1
            if target >= len(self.names) or target == source:
                continue
            now = time.monotonic()
            begin = max(now, self.free_at.get((source, target), 0))
            self.sent += 1
            if self.random.random() < self.loss or begin - now > QUEUE_SECONDS:
                self.lost += 1
                continue
            end = begin + (8 * len(packet) / self.rate if self.rate else 0)
            self.free_at[source, target] = end
            heapq.heappush(self.in_flight,
                           (end + self.latency, self.sent, source, target, packet))

    def _deliver(self, source, target, packet):
        with self.lock:
            if (source, target) in self.is_cut:
                self.lost += 1
                return
        try:
            os.write(self.devices[target], packet)
        except (BlockingIOError, OSError):  # its queue is full, or it is down
            self.lost += 1
