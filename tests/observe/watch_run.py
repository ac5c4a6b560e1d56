#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The live page of a real run in a real browser, through what happens to the run: eight processes
train over TCP, two are killed (kill -9), a newcomer joins, and Chromium has node 0's page open.

    tests/observe/watch_run.py [--keep FOLDER] [--seconds 180] [--nodes 8] [--seed 1]

The page must say what happens when it happens, and its numbers, read from its table, must be those
of /state.json, of /metrics, and of the records that the processes leave. --keep has a picture from
before, at and after each event. Needs build/release/examples/cifar10 and Debian's chromium. The
last line is "N passed, N failed".
"""
import argparse
import json
import pathlib
import random
import re
import socket
import sys
import tempfile
import time
import urllib.request

from browser import FRAME, Browser, Checks

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "network"))
from many_nodes import Process, free_ports, program, say, wait_for, wait_for_ends  # noqa: E402

KILLED = 2
LATE = 3  # seconds: what others tell comes twice a second, later where there are too few cores
UNITS = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
# What the page shows and the state that it has, at one moment. The table's columns are found by
# their titles.
SEEN = """(() => {
  const titles = [...$('nodes').tHead.rows[0].cells].map(cell => cell.textContent);
  const rows = [...$('nodes').tBodies[0].rows].map(row =>
    Object.fromEntries([...row.cells].map((cell, i) => [titles[i], cell.textContent])));
  const tiles = [...$('totals').children].map(one =>
    [one.firstChild.textContent, one.lastChild.textContent]);
  return JSON.stringify({ rows: Object.fromEntries(rows.map(row => [row.node, row])),
    tiles: Object.fromEntries(tiles), status: $('status').textContent, running: now.running,
    events: [...$('events').children].map(row => row.lastChild.textContent).reverse() });
})()"""
COUNTS = ("steps", "sent", "merged", "returned", "bytes")


class Trainer(Process):
    """One process of the run; `rank` is None for a newcomer."""

    def __init__(self, args, folder, rank, contact, listen, seconds, page):
        self.rank, self.out = rank, folder / f"of-{rank}"
        self.step_log = folder / f"steps-{rank}"
        command = [program("cifar10"), "--transport", "tcp", "--seconds", seconds, "--seed",
                   args.seed, "--batch", 4, "--probability", 0.2, "--node-test-images", 100,
                   "--evaluate-every", 10**9, "--quiet", "--listen", listen, "--out", self.out,
                   "--step-log", self.step_log, "--gather-seconds", 120, "--watch", page]
        command += ["--rank", rank, "--nodes", args.nodes] if rank is not None else []
        command += ["--contact", contact] if contact else []
        super().__init__(f"process {rank}", list(map(str, command)), folder / f"log-{rank}", 0)

    def steps(self, less=0):
        """How many it has begun, but for those of its last seconds."""
        lines = self.step_log.read_text().split("\n")[:-1] if self.step_log.exists() else []
        times = [float(line.split()[0]) for line in lines]
        return sum(when <= times[-1] - less for when in times)

    def summary(self):
        return json.loads(next(self.out.glob("node-*/summary.json")).read_text())


def get(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return answer.read().decode()


def metrics(port):
    """{(name, labels): value}"""
    lines = [line for line in get(port, "/metrics").splitlines() if not line.startswith("#")]
    found = [re.fullmatch(r"(\w+)(\{.*\})? (\S+)", line) for line in lines]
    return {(one[1], one[2] or ""): float(one[3]) for one in found}


def is_free(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def ports_in_a_row(count):
    """The first of them."""
    for first in free_ports(200):
        if first + count < 65536 and all(map(is_free, range(first, first + count))):
            return first
    sys.exit(f"{count} free ports in a row were not found")


def is_shown(text, value):
    """Whether the page's few characters are that number."""
    found = re.fullmatch(r"(-?\d+(?:\.(\d+))?(?:e(-\d+))?) ?([kMGT]?)", text)
    if not found:
        return False
    last_digit = 10.0 ** (int(found[3] or 0) - len(found[2] or ""))
    return abs(float(found[1]) - value / UNITS[found[4]]) <= 0.5001 * last_digit


class Scene:
    """The run, its page, and the pictures that are taken of it."""

    def __init__(self, args, check, browser, folder):
        self.args, self.check, self.browser, self.folder = args, check, browser, folder
        self.pictures = 0
        contact, *listens = free_ports(args.nodes + 1)
        self.contact = f"127.0.0.1:{contact}"
        self.port = ports_in_a_row(args.nodes + 1)
        self.nodes = {}
        for rank in range(args.nodes):
            listen = f"127.0.0.1:{listens[rank] if rank else contact}"
            self.nodes[rank] = Trainer(args, folder, rank, self.contact if rank else None, listen,
                                       args.seconds, self.port)

    def close(self):
        for one in self.nodes.values():
            one.kill()

    def seen(self):
        self.browser.ask(FRAME)
        return json.loads(self.browser.ask(SEEN))

    def picture(self, name):
        say(f"picture: {name}")
        self.pictures += 1
        if self.args.keep:
            self.args.keep.mkdir(parents=True, exist_ok=True)
            self.browser.picture(self.args.keep / f"{self.pictures:02}-{name}.png")

    def wait(self, expression, claim, seconds=60):
        self.check(self.browser.wait_for(expression, seconds), claim)

    def open(self):
        wait_for(lambda: "live page" in self.nodes[0].log.read_text(), 120)
        self.browser.open(f"http://127.0.0.1:{self.port}/")
        self.wait(f"now?.nodes.length === {self.args.nodes} && "
                  "now.nodes.every(n => n.steps > 0 && n.merged > 0)",
                  f"the page has {self.args.nodes} nodes, all of which train and merge", 120)
        self.check(not self.seen()["events"][1:], "nothing has happened to them")

    def kill(self, rank):
        self.browser.wait_for(f"now.elapsed > {self.browser.ask('now.elapsed') + 5}")
        self.picture(f"before-{rank}-is-killed")
        begin = time.monotonic()
        self.nodes[rank].kill()
        self.wait(f"now.events.some(e => e[1] === {rank} && ['suspected', 'lost'].includes(e[2]))",
                  f"node {rank} is killed: the page says that it is suspected, or lost")
        self.picture(f"at-{rank}-killed")
        self.wait(f"now.nodes.some(n => n.id === {rank} && n.state === 'lost')",
                  f"the page says that node {rank} is lost")
        say(f"within {time.monotonic() - begin:.1f} s, a picture included")
        seen = self.seen()
        self.check(seen["rows"][str(rank)]["state"] == "lost"
                   and f"node {rank} lost" in seen["events"], "so do its table and its events")
        self.picture(f"after-{rank}-lost")

    def join(self):
        self.browser.wait_for(f"now.elapsed > {self.browser.ask('now.elapsed') + 5}")
        self.picture("before-a-newcomer")
        left = self.args.seconds - self.browser.ask("now.elapsed")
        self.nodes[None] = Trainer(self.args, self.folder, None, self.contact, "127.0.0.1:0",
                                   max(10, left - 15), self.port + self.args.nodes)
        newcomer = "now.nodes.find(n => n.id > 65535)"
        self.wait(f"!!{newcomer}", "a newcomer joins: the page shows it", left)
        number = self.browser.ask(f"{newcomer}.id")
        self.check(f"node {number} joined" in self.seen()["events"],
                   "and says that it has joined")
        self.picture("at-joined")
        self.wait(f"{newcomer}.steps > 0 && {newcomer}.sent > 0 && {newcomer}.weight > 0",
                  "the newcomer trains, sends and has weight")
        self.picture("after-joined")
        return number

    def compare_while_it_runs(self):
        """A count never falls."""
        first = get(self.port, "/state.json")
        numbers = metrics(self.port)
        while (last := get(self.port, "/state.json")) == first:  # it is kept for a tenth of a second
            pass
        ends = list(zip(json.loads(first)["nodes"], json.loads(last)["nodes"]))
        self.check(all(a["steps"] <= numbers["gossamer_steps_total", f'{{node="{a["id"]}"}}']
                       <= b["steps"] for a, b in ends), "/metrics lies between two /state.json")

    def compare_with_served(self):
        """Its training is over: the numbers stand still, and the page, the state and the metrics
        must be the same, digit for digit."""
        state, numbers, seen = json.loads(get(self.port, "/state.json")), metrics(self.port), \
            self.seen()
        self.check(not state["running"] and seen["status"] == "not training",
                   "training is over, and the page says so")
        wrong = [f"{n['id']}: {key} {seen['rows'][str(n['id'])][key]} for {n[key]}"
                 for n in state["nodes"] for key in (*COUNTS, "weight")
                 if not is_shown(seen["rows"][str(n["id"])][key], n[key])]
        self.check(not wrong, f"the table has what /state.json has {wrong or ''}")
        pairs = [("steps", "gossamer_steps_total", ""), ("bytes", "gossamer_sent_bytes_total", ""),
                 ("weight", "gossamer_weight", "")]
        pairs += [(fate, "gossamer_messages_total", f',fate="{fate}"')
                  for fate in ("sent", "merged", "returned")]
        self.check(all(numbers[name, f'{{node="{n["id"]}"{more}}}'] == n[key]
                       for n in state["nodes"] for key, name, more in pairs),
                   "and /metrics has the same, to the bit")
        sums = {key: sum(n[key] for n in state["nodes"]) for key in COUNTS}
        self.check(all(state["totals"][key] == sums[key] for key in COUNTS)
                   and is_shown(seen["tiles"]["steps"], sums["steps"])
                   and is_shown(seen["tiles"]["messages"], sums["sent"]),
                   "the totals are the sums of the table")
        return state, seen

    def compare_with_records(self, state, seen, victims, newcomer):
        own = self.nodes[0].summary()
        nodes = {n["id"]: n for n in state["nodes"]}
        self.check(is_shown(seen["rows"]["0"]["steps"], own["steps_per_node"][0])
                   and nodes[0]["steps"] == own["steps_per_node"][0] == self.nodes[0].steps(),
                   f"node 0 has {nodes[0]['steps']} steps on the page, in its record and its log")
        begun = sum(one.steps() for one in self.nodes.values())
        of_all = {"sent": "messages_sent", "merged": "messages_merged", "bytes": "bytes_sent",
                  "returned": "messages_returned"}
        self.check(all(state["totals"][key] <= own[name] for key, name in of_all.items())
                   and state["totals"]["steps"] <= own["steps"] <= begun,
                   f"all have {state['totals']['steps']} steps on the page, {own['steps']} in its "
                   f"record, which is later, {begun} in all logs; of messages there are no more")
        for rank, one in self.nodes.items():
            number = newcomer if rank is None else rank
            said, least, begun = nodes[number]["steps"], one.steps(less=LATE), one.steps()
            self.check(least <= said <= begun, f"node {number} has {said} steps on the page of "
                       f"node 0, {begun} in its log, {least} of them {LATE} s before its last")
        states = {peer["peer"]: peer["state"] for peer in own["peers"]}
        self.check([number for number, word in sorted(states.items()) if word == "lost"] ==
                   sorted(victims), f"the record says that {sorted(victims)} were lost, no other")
        wanted = {*(f"node {one} lost" for one in victims), f"node {newcomer} joined"}
        self.check(wanted <= set(seen["events"]), f"and the page says {', '.join(sorted(wanted))}")


def play(scene):
    victims = random.Random(scene.args.seed).sample(range(1, scene.args.nodes), KILLED)
    scene.open()
    for rank in victims:
        scene.kill(rank)
    newcomer = scene.join()
    scene.compare_while_it_runs()
    scene.wait("!now.running && now.nodes.every(n => n.here || n.state === 'finished' || "
               "gone.has(n.state)) && now.age > 2", "training comes to its end",
               scene.args.seconds + 200)
    scene.picture("at-the-end")
    state, seen = scene.compare_with_served()
    errors = wait_for_ends([one for rank, one in scene.nodes.items() if rank not in victims], 240)
    scene.check(not errors, f"all that live end well {errors or ''}")
    scene.compare_with_records(state, seen, victims, newcomer)
    scene.wait("$('status').className === 'broken'", "a page whose process is gone says so")
    scene.picture("after-the-end")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=pathlib.Path, help="folder for pictures")
    parser.add_argument("--seconds", type=float, default=180, help="of training")
    parser.add_argument("--nodes", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    check, browser = Checks(), Browser()
    with tempfile.TemporaryDirectory(prefix="gossamer-watch-") as folder:
        scene = Scene(args, check, browser, pathlib.Path(folder))
        try:
            play(scene)
        finally:
            scene.close()
            browser.close()
    return check.conclude()


if __name__ == "__main__":
    sys.exit(main())
