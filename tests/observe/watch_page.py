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
import base64
import http.server
import json
import math
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

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


class Browser:
    """Headless Chromium, driven through two pipes by the DevTools protocol."""

    def __init__(self, chromium):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        (ours_in, self.out), (self.inp, ours_out) = os.pipe(), os.pipe()
        low, high = os.dup(ours_in), os.dup(ours_out)  # neither is 3 or 4 while they are moved

        def ends():
            a, b = os.dup(low), os.dup(high)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--remote-debugging-pipe", f"--user-data-dir={self.profile.name}", "about:blank"],
            preexec_fn=ends, close_fds=False, stderr=subprocess.DEVNULL)
        for end in (ours_in, ours_out, low, high):
            os.close(end)
        self.rest, self.number, self.session = b"", 0, None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.rest:
                self.rest += os.read(self.inp, 1 << 20)
            line, self.rest = self.rest.split(b"\0", 1)
            answer = json.loads(line)
            if answer.get("id") == self.number:
                return answer["result"]

    def open(self, url, width=1280, height=1000, scheme="light"):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=url)

    def ask(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)
        return answer["result"].get("value")

    def wait_for(self, expression, seconds=20):
        """Whether it has become true by then."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.ask(expression):
                return True
        return False

    def press(self, key):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                      text="\r" if key == "Enter" and kind == "keyDown" else "",
                      windowsVirtualKeyCode={"Tab": 9, "Enter": 13, "ArrowRight": 39,
                                             "ArrowDown": 40}[key])

    def picture(self, file):
        size = self.ask("[document.documentElement.scrollWidth, "
                        "document.documentElement.scrollHeight]")
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip={
            "x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1})
        file.write_bytes(base64.b64decode(shot["data"]))

    def close(self):
        self.session = None
        self.call("Browser.close")
        self.process.wait()
        self.profile.cleanup()


# The state that the page shows now, and what its table shows of it, from one moment.
SEEN = """JSON.stringify([now, [...document.querySelectorAll('#nodes tbody tr')].map(
    row => [...row.cells].map(cell => cell.textContent)),
    document.querySelectorAll('img, #about b').length, document.documentElement.dataset.drawn,
    performance.memory.usedJSHeapSize])"""
FRAME = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"


class Checks:
    def __init__(self):
        self.results = []

    def __call__(self, is_right, claim):
        self.results.append(bool(is_right))
        print(("passed: " if is_right else "FAILED: ") + claim, flush=True)


def check_numbers(browser, check, nodes):
    check(browser.wait_for(f"now && now.nodes.length == {nodes} && before"), f"{nodes} nodes come")
    Handler.is_paused = True  # the page draws what it has
    browser.wait_for("performance.now() - seenAt > 300")
    browser.ask(FRAME)
    told, rows, foreign, drawn, memory = json.loads(browser.ask(SEEN))
    shown = {row[0]: row for row in rows}
    check(len(rows) == nodes, f"{nodes} nodes have a row each")
    check(len(shown) == nodes and all(
        shown[str(n["id"])][1] == n["state"] and shown[str(n["id"])][8] == str(n["returned"])
        and float(shown[str(n["id"])][5]) == float(f"{n['weight']:.4g}") for n in told["nodes"]),
        f"state, weight and returned messages of {nodes} nodes are those that were told")
    check(foreign == 0, "nothing that was told became markup")
    check(float(drawn) < 500, f"{nodes} nodes are drawn in {drawn} ms, "
          f"with {memory / 1e6:.1f} MB of the browser's memory")
    Handler.is_paused = False


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
    chromium = shutil.which("chromium")
    if chromium is None:
        print("no chromium here (Debian: chromium)\n0 passed, 0 failed, 1 skipped")
        return 0
    check, browser = Checks(), Browser(chromium)
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
        check_keys(browser, check)
        if options.keep:
            take_pictures(browser, check, url, options.keep)
    browser.close()
    print(f"{sum(check.results)} passed, {len(check.results) - sum(check.results)} failed")
    return 0 if all(check.results) else 1


if __name__ == "__main__":
    sys.exit(main())
