#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A header includes what stands in its own room or in one below, never above.

    python3 tests/room_order.py [INCLUDE_FOLDER]

Prints each include that points upwards, and each header that is in no room; the status is 1 then.
"""
import pathlib
import re
import sys

# From the bottom up. A name is a folder or a header; the longest one that fits a header is its room.
ROOMS = [
    ["error", "fwd", "generator", "gzip", "named", "peers", "version"],
    ["model"],
    ["codec"],
    ["schedule", "topology"],
    ["transport"],
    ["transport/delivery"],
    ["transport/wire"],
    ["transport/membership"],
    ["transport/tcp"],
    ["transport/mpi"],
    ["rule"],
    ["observe/callback", "observe/callback_pair", "observe/chrome_trace", "observe/connections",
     "observe/consensus", "observe/group_state", "observe/node_lane", "observe/open_flows",
     "observe/replace_file", "observe/stopwatch"],
    ["node"],
    ["launch"],
    ["simulation"],
    ["observe", "optim", "pipeline"],
    ["distributed", "gossamer"],
]
RANK = {name: rank for rank, names in enumerate(ROOMS) for name in names}


def room_of(header):
    """The longest name in ROOMS that begins the header's path; None without one."""
    parts = header.removesuffix(".hpp").split("/")
    for length in range(len(parts), 0, -1):
        if (name := "/".join(parts[:length])) in RANK:
            return name
    return None


def main():
    default = pathlib.Path(__file__).resolve().parent.parent / "include"
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else default) / "gossamer"
    wrong = 0
    for path in sorted(root.rglob("*.hpp")):
        header = path.relative_to(root).as_posix()
        room = room_of(header)
        if room is None:
            print(f"{header} is in no room")
            wrong += 1
            continue
        for included in re.findall(r"#include <gossamer/([^>]+)>", path.read_text()):
            target = room_of(included)
            if target is None or RANK[target] > RANK[room]:
                print(f"{header} includes {included}, which stands above it")
                wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
