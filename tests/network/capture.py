#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Captures what two cifar10 processes say to each other, once without security and once with a
shared key, and looks for what they meant: the frames' magic, the model's layout, parameters as they
were sent. Needs root and tcpdump. The last line is "N passed, N failed".

    ./tests/network/capture.py [--program build/release/examples/cifar10] [--data DIR] [--keep DIR]

The captures are thrown away, unless a folder is given to keep them in.
"""

import argparse
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

from pair import Pair

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAGIC = b"GSMR"
HEADER = 40


def payloads(capture):
    """The bytes of each TCP segment of a capture of the loopback interface."""
    with open(capture, "rb") as file:
        data = file.read()
    magic, link = data[:4], struct.unpack_from("<I", data, 20)[0]
    if magic != b"\xd4\xc3\xb2\xa1" or link != 1:
        raise RuntimeError(f"{capture}: not a little-endian capture of Ethernet frames")
    at = 24
    while at + 16 <= len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        packet = data[at + 16:at + 16 + length]
        at += 16 + length
        begin = 14 + 4 * (packet[14] & 15)
        yield packet[begin + 4 * (packet[begin + 12] >> 4):]


def first_numbers(heard):
    """Eight parameters of the first payload of a plain session, which is the model as it begins: in
    each run with the same seed the same."""
    at = 0
    while at + HEADER <= len(heard):
        fields, = struct.unpack_from("<I", heard, at + 16)
        payload, = struct.unpack_from("<Q", heard, at + 24)
        body = at + HEADER + fields
        if payload > 0 and body + payload <= len(heard):
            return heard[body + payload // 2:body + payload // 2 + 32]
        at = body + (payload + 8 if payload else 0)
    raise RuntimeError("node 0 has sent no model")


def record(name, options, folder):
    """The bytes of both directions on the wire, in their order; those that node 1 heard; and how long
    the capture is."""
    capture = os.path.join(options.keep or folder, name.replace(" ", "-") + ".pcap")
    arguments = ["--run", "a run with a name", *(["--data", options.data] if options.data else [])]
    if name != "plain":
        key = os.path.join(folder, "key")
        subprocess.run((os.path.join(ROOT, "examples/make_keys.sh"), "--shared-key", key), check=True,
                       stdout=subprocess.DEVNULL)
        arguments += ["--shared-key", key]
    pair = Pair(options.program, folder, 8, arguments)
    dump = subprocess.Popen(("tcpdump", "-i", "lo", "-s", "0", "-U", "-B", "65536", "-w", capture,
                             "tcp", "port", str(pair.port)), stderr=subprocess.PIPE)
    dump.stderr.readline()  # it listens
    with pair:
        pair.wait_until_they_train()
        time.sleep(2)
        dump.send_signal(signal.SIGINT)
        dump.wait()
    return b"".join(payloads(capture)), bytes(pair.proxy.heard), os.path.getsize(capture)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--program", default=os.path.join(ROOT, "build/release/examples/cifar10"))
    parser.add_argument("--data", default=os.environ.get("GOSSAMER_DATA", ""))
    parser.add_argument("--keep", default="")
    options = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("tcpdump") is None:
        print("capture.py: needs root and tcpdump\n0 passed, 0 failed")
        return False
    results = []
    numbers = run = None
    for name in ("plain", "shared key"):
        with tempfile.TemporaryDirectory(prefix="gossamer-capture-") as folder:
            wire, heard, size = record(name, options, folder)
        if name == "plain":
            numbers = first_numbers(heard)
            run = heard[8:16]
        secrets = {"magic": MAGIC, "run": run, "layout": b"bias Float", "parameters": numbers}
        found = {what: wire.count(secret) for what, secret in secrets.items()}
        print(f"{name:10} capture of {size} bytes, {len(wire)} of TCP's payload; "
              + ", ".join(f"{what}: {count} times" for what, count in found.items()), flush=True)
        good = [len(wire) > 100_000]
        if name == "plain":
            good += [found["magic"] > 10, found["run"] > 10, found["parameters"] >= 1]
        else:
            good += [count == 0 for count in found.values()]
            good += [b"\x17\x03\x03" in wire]  # records of TLS 1.3
        results += good
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return not all(results)


if __name__ == "__main__":
    sys.exit(main())
