# SPDX-License-Identifier: MIT
"""What the trials of the live page share: headless Chromium (Debian: chromium), spoken to through
its own debugging protocol, and a list of claims."""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

FRAME = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"


class Checks:
    """Prints each claim as it is tried, and at the end how many of them are right."""

    def __init__(self):
        self.results = []

    def __call__(self, is_right, claim):
        self.results.append(bool(is_right))
        print(("passed: " if is_right else "FAILED: ") + claim, flush=True)

    def conclude(self):
        """The last line; the program's status."""
        print(f"{sum(self.results)} passed, {len(self.results) - sum(self.results)} failed")
        return 0 if all(self.results) else 1


class Browser:
    """Headless Chromium, driven through two pipes by the DevTools protocol."""

    def __init__(self):
        chromium = shutil.which("chromium")
        if chromium is None:
            print("no chromium here (Debian: chromium)\n0 passed, 0 failed, 1 skipped")
            sys.exit(0)
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
            time.sleep(0.05)
        return False

    def measures(self):
        """Seconds and bytes of the page since it was opened, by the browser's own names."""
        self.call("Performance.enable")
        self.call("HeapProfiler.collectGarbage")
        return {one["name"]: one["value"] for one in self.call("Performance.getMetrics")["metrics"]}

    def press(self, key):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                      text="\r" if key == "Enter" and kind == "keyDown" else "",
                      windowsVirtualKeyCode={"Tab": 9, "Enter": 13, "ArrowRight": 39,
                                             "ArrowDown": 40}[key])

    def picture(self, file, height=None):
        size = self.ask("[document.documentElement.scrollWidth, "
                        "document.documentElement.scrollHeight]")
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip={
            "x": 0, "y": 0, "width": size[0], "height": height or size[1], "scale": 1})
        file.write_bytes(base64.b64decode(shot["data"]))

    def close(self):
        self.session = None
        self.call("Browser.close")
        self.process.wait()
        self.profile.cleanup()


def main():
    """browser.py URL FILE.png [WIDTH [HEIGHT]]: a picture of a page, or of its upper part."""
    if len(sys.argv) < 3:
        sys.exit(main.__doc__)
    browser, url = Browser(), sys.argv[1]
    browser.open(url if ":" in url else pathlib.Path(url).resolve().as_uri(),
                 width=int(sys.argv[3]) if len(sys.argv) > 3 else 1280)
    is_there = browser.wait_for(
        "document.readyState === 'complete' && location.protocol !== 'about:'")
    browser.picture(pathlib.Path(sys.argv[2]), *map(int, sys.argv[4:]))
    browser.close()
    return 0 if is_there else 1


if __name__ == "__main__":
    sys.exit(main())
