#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The live page in a real browser: what it shows are the numbers that it was told.

    python3 tests/observe/watch_page.py [--keep FOLDER] [--url URL]

Serves the page that is in the headers, with states of a made-up run, and opens it in headless
Chromium; with --url, the page of a real run. Needs Debian's chromium, and says so where there is
none. --keep leaves screenshots: light, dark, a phone's width, 200 nodes. The last line is
"N passed, N failed".
"""
import argparse
import http.server
import json
import math
import pathlib
import random
import re
import sys
import threading
import time

from browser import FRAME, Browser, Checks

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
OBSERVE = ROOT / "include/gossamer/observe"


def literal(header, mark):
    """What stands between R"MARK( and )MARK" in a header."""
    text = (OBSERVE / header).read_text()
    return re.search(rf'R"{mark}\((.*?)\){mark}"', text, re.DOTALL)[1]


FILES = {
    "/": ("text/html", literal("watch_page.hpp", "HTML")),
    "/watch.css": ("text/css", literal("watch_page.hpp", "CSS")),
    "/watch.js": ("text/javascript",
                  literal("watch_script.hpp", "JS") + literal("watch_drawing.hpp", "JS")),
}


class Run:
    """A run that never was: `here` nodes in this process, the others elsewhere."""

    def __init__(self, nodes, here):
        self.random = random.Random(nodes)
        self.nodes, self.here, self.step = nodes, here, 0
        self.weights = [self.random.uniform(0.5, 2) for _ in range(nodes)]
        self.speeds = [self.random.uniform(0.6, 1) for _ in range(nodes)]

    def node(self, i):
        steps = int(40 * self.step * self.speeds[i])
        node = {"id": i, "here": i < self.here, "steps": steps, "samples": 20 * steps,
                "weight": self.weights[i] / sum(self.weights),
                "loss_sum": steps * (1.2 + math.sin(i)), "sent": steps // 9, "merged": steps // 10,
                "returned": i % 3, "bytes": 1_000_000 * (steps // 9)}
        if i < self.here:
            spent = self.speeds[i] * self.step / 2
            node |= {"state": "compute",
                     "spent": [spent, 0.1 * self.step, self.step / 2 - spent, 0]}
        else:
            node |= {"state": "connected", "address": f"10.0.0.{i % 250}:4000",
                     "age": 0.2 * (i % 9), "round_trip": 0.0012, "to_it": 10 * steps,
                     "from_it": 9 * steps}
        return node

    def state(self):
        self.step += 1
        nodes = [self.node(i) for i in range(self.nodes)]
        if self.here < self.nodes:
            nodes[-1] |= {"state": "lost", "age": 40.0}
            nodes[-2] |= {"state": "suspected", "age": 6.5}
        edges = [[self.random.randrange(max(self.here, 1)), self.random.randrange(self.nodes),
                  self.random.randrange(1, 9), 10**6] for _ in range(min(1000, 6 * self.nodes))]
        times = range(0, 10 * self.step + 200, 5)
        if self.here < self.nodes:
            nodes[4]["id"] = 3043066900  # a newcomer's
        return {
            "version": "0.0.0", "running": True, "elapsed": 1234.5 + self.step, "wall": 1.0,
            "virtual": False, "age": 0.1,
            "about": [["rule", "gosgd"], ["probability", "0.02"], ["topology", "uniform"],
                      ["<b>markup</b>", "</script><img src=x onerror=alert(1)>"]],
            "totals": {"steps": sum(n["steps"] for n in nodes), "samples": 123456,
                       "sent": sum(n["sent"] for n in nodes), "returned": 3,
                       "merged": sum(n["merged"] for n in nodes), "merge_age": 7.25,
                       "bytes": sum(n["bytes"] for n in nodes)},
            "nodes": nodes, "edges": edges,
            "curves": {"train_loss": [[t, 2.3 * math.exp(-t / 300) + 0.4] for t in times],
                       "consensus_error": [[t, 1 + math.sin(t / 40) ** 2] for t in times],
                       "test_accuracy": [[t, 0.7 - 0.6 * math.exp(-t / 200)] for t in times]},
            "events": [[1.5, 3, "joined"], [62.0, self.nodes - 1, "suspected"],
                       [70.0, self.nodes - 1, "lost"], [95.0, 2, "returned"]]}


class Handler(http.server.BaseHTTPRequestHandler):
    run = None
    is_paused = False

    def do_GET(self):
        self.send_response(200 if self.path in FILES or self.path == "/events" else 404)
        kind, text = FILES.get(self.path, ("text/event-stream", ""))
        self.send_header("Content-Type", kind + "; charset=utf-8")
        self.end_headers()
        self.wfile.write(text.encode())
        while self.path == "/events":
            try:
                if not Handler.is_paused:
                    self.wfile.write(f"data: {json.dumps(Handler.run.state())}\n\n".encode())
            except OSError:
                return
            time.sleep(0.05)  # a minute's lanes in a few seconds

    def log_message(self, *_):
        pass


# The state that the page shows now, and what its table shows of it, from one moment.
SEEN = """JSON.stringify([now, [...document.querySelectorAll('#nodes tbody tr')].map(
    row => [...row.cells].map(cell => cell.textContent)),
    document.querySelectorAll('img, #about b').length])"""


def check_numbers(browser, check, nodes):
    check(browser.wait_for(f"now && now.nodes.length == {nodes} && before"), f"{nodes} nodes come")
    Handler.is_paused = True  # the page draws what it has
    browser.wait_for("performance.now() - seenAt > 300")
    browser.ask(FRAME)
    told, rows, foreign = json.loads(browser.ask(SEEN))
    shown = {row[0]: row for row in rows}
    check(len(rows) == nodes, f"{nodes} nodes have a row each")
    check(len(shown) == nodes and all(
        shown[str(n["id"])][1] == n["state"] and shown[str(n["id"])][8] == str(n["returned"])
        and float(shown[str(n["id"])][5]) == float(f"{n['weight']:.4g}") for n in told["nodes"]),
        f"state, weight and returned messages of {nodes} nodes are those that were told")
    check(foreign == 0, "nothing that was told became markup")
    Handler.is_paused = False


def check_cost(browser, check, nodes):
    """With lanes that are full, from one update to the next."""
    browser.wait_for("[...lanes.values()].every(lane => lane.length === cells)", 60)
    before, first = browser.measures(), browser.ask("now.elapsed")
    browser.wait_for(f"now.elapsed >= {first} + 40", 60)
    after, updates = browser.measures(), browser.ask("now.elapsed") - first
    each = {name: 1e3 * (after[f"{name}Duration"] - before[f"{name}Duration"]) / updates
            for name in ("Script", "Task")}
    check(each["Task"] < 500, f"an update of {nodes} nodes, of which two come in a second, takes "
          f"{each['Task']:.0f} ms of the page's thread, {each['Script']:.0f} of them in its script")
    heap = after["JSHeapUsedSize"] / 1e6
    check(heap < 50, f"the page of {nodes} nodes has {heap:.1f} MB in its heap, and "
          f"{after['Nodes']} elements")


def check_keys(browser, check):
    browser.ask("document.querySelector('#nodes tbody tr').focus(); true")
    browser.press("ArrowDown")
    browser.press("Enter")
    browser.ask(FRAME)
    check(browser.ask("chosen") == 1, "Down and Enter in the table choose its second node")
    browser.ask("$('graph').focus(); true")
    browser.press("ArrowRight")
    browser.ask(FRAME)
    check((browser.ask("$('chosen').textContent") or "").startswith("node 2:"),
          "an arrow key in the graph chooses the next node, and the page says what it is")


def take_pictures(browser, check, url, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, nodes, here, width, scheme in [
            ("light", 8, 1, 1280, "light"), ("dark", 8, 8, 1280, "dark"),
            ("phone", 8, 1, 390, "light"), ("phone200", 200, 200, 390, "dark"),
            ("200", 200, 200, 1280, "light")]:
        Handler.run = Run(nodes, here)
        browser.open(url, width=width, scheme=scheme)
        browser.wait_for("now && lanes.get(0)?.length > 100")
        browser.picture(folder / f"{name}.png")
        wide = browser.ask("document.documentElement.scrollWidth")
        check(wide <= width, f"{name}.png: the page is no wider than {width}, it is {wide}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--url")
    options = parser.parse_args()
    check, browser = Checks(), Browser()
    if options.url:
        browser.open(options.url)
        check(browser.wait_for("now?.totals && document.querySelector('#status.live')"),
              "the page of the run is live")
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            browser.wait_for("lanes.size && [...lanes.values()][0].length > 30", 30)
            browser.picture(options.keep / "run.png")
    else:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        for nodes, here in [(8, 1), (200, 200)]:
            Handler.run = Run(nodes, here)
            browser.open(url)
            check_numbers(browser, check, nodes)
            check_cost(browser, check, nodes)
        check_keys(browser, check)
        if options.keep:
            take_pictures(browser, check, url, options.keep)
    browser.close()
    return check.conclude()


if __name__ == "__main__":
    sys.exit(main())
