# SPDX-License-Identifier: MIT
"""A run with --dashboard in a pseudo-terminal: what is on the screen, keys, sizes, and what is left of
it after each way to end. The last line is "N passed, N failed".

    python3 tests/examples/dashboard_test.py CIFAR10"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest
from pathlib import Path

# A run that lasts until it is interrupted.
PROGRAM = [sys.argv[1], "--nodes", "3", "--batch", "4", "--images", "1000000000",
           "--evaluate-every", "400", "--node-test-images", "1", "--checkpoint-every", "400"]
READER = Path(__file__).resolve().parents[1] / "observe/read_mlflow.py"
PATIENCE = 120  # seconds for something to appear, on a busy machine


class Screen:
    """As much of a terminal as ncurses uses of xterm."""

    def __init__(self, rows, columns):
        self.alternate = False
        self.ever_alternate = False
        self.rest = b""
        self.resize(rows, columns)

    def resize(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.clear()

    def clear(self):
        self.y = self.x = 0
        self.top, self.bottom = 0, self.rows - 1
        self.cells = [[" "] * self.columns for _ in range(self.rows)]

    def lines(self):
        return ["".join(row).rstrip() for row in self.cells]

    def feed(self, data):
        data = self.rest + data
        at = 0
        while at < len(data):
            found = re.match(rb"\x1b(?:\[([?>]?)([0-9;]*)([@-~])|[()][A-Z0-9]|[^\[()])", data[at:])
            if data[at] == 0x1b and not found:
                break  # the rest of the sequence is to come
            if found:
                if found[3]:
                    self.control(found[1], found[2], found[3].decode())
                elif found[0] == b"\x1bM" and self.y == self.top:
                    self.control(b"", b"", "T")
                elif found[0] == b"\x1bM":
                    self.y = max(self.y - 1, 0)
                at += len(found[0])
                continue
            self.put(chr(data[at]))
            at += 1
        self.rest = data[at:]

    def put(self, c):
        if c == "\r":
            self.x = 0
        elif c == "\n":
            if self.y == self.bottom:
                self.cells.insert(self.bottom + 1, [" "] * self.columns)
                del self.cells[self.top]
            else:
                self.y = min(self.y + 1, self.rows - 1)
        elif c == "\b":
            self.x = max(self.x - 1, 0)
        elif c == "\t":
            self.x = min((self.x // 8 + 1) * 8, self.columns - 1)
        elif c >= " ":
            if self.x >= self.columns:
                self.x = 0
                self.put("\n")
            self.cells[self.y][self.x] = self.last = c
            self.x += 1

    def control(self, mark, numbers, what):
        given = [int(n) if n else 0 for n in numbers.split(b";")]
        count = max(given[0], 1)
        row = self.cells[self.y]
        if mark:
            if what in "hl" and 1049 in given:
                self.alternate = what == "h"
                self.ever_alternate |= self.alternate
                self.clear()
        elif what in "Hf":
            self.y = min(count, self.rows) - 1
            self.x = min(max(given[1] if len(given) > 1 else 1, 1), self.columns) - 1
        elif what == "J":
            for y in range(self.y + 1 if given[0] == 0 else 0, self.rows):
                self.cells[y] = [" "] * self.columns
            if given[0] == 0:
                row[self.x:] = [" "] * (self.columns - self.x)
        elif what == "K":
            first, end = {0: (self.x, self.columns), 1: (0, self.x + 1), 2: (0, self.columns)}[given[0]]
            row[first:end] = [" "] * (end - first)
        elif what == "X":
            end = min(self.x + count, self.columns)
            row[self.x:end] = [" "] * (end - self.x)
        elif what == "P":
            del row[self.x:self.x + count]
            row += [" "] * (self.columns - len(row))
        elif what == "@":
            row[self.x:self.x] = [" "] * count
            del row[self.columns:]
        elif what in "LM":
            for _ in range(count):
                if what == "L":
                    self.cells.insert(self.y, [" "] * self.columns)
                    del self.cells[self.bottom + 1]
                else:
                    self.cells.insert(self.bottom + 1, [" "] * self.columns)
                    del self.cells[self.y]
        elif what in "ST":
            for _ in range(count):
                if what == "S":
                    self.cells.insert(self.bottom + 1, [" "] * self.columns)
                    del self.cells[self.top]
                else:
                    self.cells.insert(self.top, [" "] * self.columns)
                    del self.cells[self.bottom + 1]
        elif what == "r":
            self.top = count - 1
            self.bottom = min(given[1] if len(given) > 1 and given[1] else self.rows, self.rows) - 1
            self.y = self.x = 0
        elif what == "b":
            for _ in range(count):
                self.put(self.last)
        elif what in "ABCD":
            self.y = min(max(self.y + {"A": -count, "B": count}.get(what, 0), 0), self.rows - 1)
            self.x = min(max(self.x + {"D": -count, "C": count}.get(what, 0), 0), self.columns - 1)
        elif what == "G":
            self.x = min(count, self.columns) - 1
        elif what == "d":
            self.y = min(count, self.rows) - 1
        elif what not in "mhlt":
            raise ValueError(f"a sequence that the test does not know: {numbers} {what}")


class Run:
    """The program in a terminal of its own."""

    def __init__(self, args, rows=24, columns=120, term="xterm"):
        self.master, self.slave = pty.openpty()
        self.screen = Screen(rows, columns)
        self.text = b""
        self.set_size(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        environment = {**os.environ, "TERM": term}
        for name in ["LINES", "COLUMNS"] + ([] if term else ["TERM"]):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            args, stdin=self.slave, stdout=self.slave, stderr=self.slave, env=environment,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def set_size(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds):
        if select.select([self.master], [], [], seconds)[0]:
            data = os.read(self.master, 65536)
            self.text += data
            self.screen.feed(data)

    def wait_for(self, is_there, what):
        end = time.monotonic() + PATIENCE
        while not is_there():
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"no {what}:\n" + "\n".join(self.screen.lines()) + f"\n{self.text[-2000:]}")
            self.read(0.1)

    def wait_for_view(self):
        def is_there():
            lines = self.screen.lines()
            rows = [line for line in lines if re.match(r" +[0-9]+ +[0-9,]+ ", line)]
            return (self.screen.alternate and len(rows) == 3 and "q leave" in lines[-1]
                    and re.match("[0-9,]+ / [0-9,]+ images .* left ", lines[2])
                    and lines[3].startswith(" node "))
        self.wait_for(is_there, "view of three nodes")

    def press(self, keys):
        os.write(self.master, keys)

    def end(self):
        """The exit status."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.1)
        if self.process.poll() is None:
            self.process.kill()
            raise AssertionError("the program does not end")
        while select.select([self.master], [], [], 0)[0]:
            self.read(0)
        return self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


class DashboardInATerminal(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def start(self, *more, **terminal):
        run = Run([*PROGRAM, "--dashboard", "--out", str(self.folder / "run"), *more], **terminal)
        self.addCleanup(run.close)
        return run

    def check_terminal(self, run):
        self.assertTrue(run.screen.ever_alternate)
        self.assertFalse(run.screen.alternate)
        self.assertEqual(termios.tcgetattr(run.slave), run.before)
        self.assertIn(b"\x1b[?25h", run.text[run.text.rindex(b"\x1b[?25l"):])  # the cursor is seen

    def test_keys_and_sizes_and_the_run_goes_on_after_q(self):
        run = self.start("--mlflow", str(self.folder / "mlruns"))
        run.wait_for_view()
        self.assertRegex(run.screen.lines()[0], "^gossamer [0-9.]+  running ")
        run.press(b"s")
        run.wait_for(lambda: "sort: fewest steps" in run.screen.lines()[-1], "other sorting")
        run.press(b"\x1bOB")  # down, as terminals say it to ncurses; all fits, so nothing moves
        for rows, columns in [(40, 200), (8, 40), (24, 80)]:
            run.screen.resize(rows, columns)
            run.set_size(rows, columns)
            run.wait_for(lambda: run.screen.lines()[-1].startswith("q leave") and
                         run.screen.lines()[0].startswith("gossamer"), f"view of {columns} x {rows}")
        run.press(b"q")
        # ncurses leaves its screen first and gives the terminal's modes back after it.
        run.wait_for(lambda: not run.screen.alternate and termios.tcgetattr(run.slave) == run.before,
                     "terminal as it was before the view")
        self.check_terminal(run)
        run.text = b""
        run.wait_for(lambda: re.search(rb"\r[0-9,]+ / [0-9,]+ images  ", run.text), "progress line")
        self.assertIsNone(run.process.poll())
        os.kill(run.process.pid, signal.SIGINT)
        self.assertEqual(run.end(), 128 + signal.SIGINT)
        self.assertEqual(termios.tcgetattr(run.slave), run.before)
        said = subprocess.run([sys.executable, "-B", READER, self.folder / "mlruns"],
                              capture_output=True, text=True)
        self.assertIn('["run", "KILLED", {', said.stdout)
        self.assertEqual(said.returncode, 0, said.stderr)

    def test_what_is_said_meanwhile_is_on_the_view_and_after_it(self):
        run = self.start()
        run.wait_for_view()
        run.wait_for(lambda: any(" images: test" in line for line in run.screen.lines()), "line of the log")
        line = next(line for line in run.screen.lines() if " images: test" in line)
        self.assertTrue(run.screen.alternate)
        self.assertTrue(run.screen.lines()[0].startswith("gossamer"))  # not torn
        run.press(b"\x03")  # Ctrl+C
        self.assertEqual(run.end(), 128 + signal.SIGINT)
        self.check_terminal(run)
        after = run.text[run.text.rindex(b"\x1b[?1049l"):].decode()
        self.assertIn(line[:60], after)
        self.assertIn("\r\n  record ", after)

    def test_the_terminal_is_as_before_after_signals(self):
        for number, status in [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGABRT, -signal.SIGABRT),
                               (signal.SIGSEGV, -signal.SIGSEGV)]:
            with self.subTest(number):
                run = self.start("--out", str(self.folder / number.name))  # the last one counts
                run.wait_for_view()
                os.kill(run.process.pid, number)
                self.assertEqual(run.end(), status)
                self.check_terminal(run)

    def test_the_terminal_is_as_before_after_an_exception(self):
        run = self.start()
        run.wait_for_view()
        (self.folder / "run").rename(self.folder / "gone")  # no checkpoint can be written there
        self.assertEqual(run.end(), 1)
        self.check_terminal(run)
        self.assertRegex(run.text[run.text.rindex(b"\x1b[?1049l"):].decode(),
                         "cifar10: .*/run/checkpoint: No such file or directory\r\n$")

    def test_it_is_refused_where_it_cannot_be(self):
        for term, words in [("dumb", "needs a terminal whose cursor moves, and TERM is dumb"),
                            ("", "needs to know the terminal, and TERM is not set"),
                            ("nobodys", "needs to know the terminal, and terminfo has no nobodys")]:
            with self.subTest(term):
                run = self.start(term=term)
                self.assertEqual(run.end(), 2)
                self.assertRegex(run.text.decode(), f"^cifar10: --dashboard: {words}\r\n$")
                self.assertFalse((self.folder / "run").exists())
        said = subprocess.run([*PROGRAM, "--dashboard"], capture_output=True, text=True,
                              cwd=self.folder, env={**os.environ, "TERM": "xterm"})
        self.assertEqual(said.returncode, 2)
        self.assertRegex(said.stderr, "^cifar10: --dashboard: needs a terminal, and standard output is none\n$")
        self.assertEqual(list(self.folder.iterdir()), [])


if __name__ == "__main__":
    result = unittest.main(argv=sys.argv[:1], exit=False, verbosity=0).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    sys.exit(failed > 0)
