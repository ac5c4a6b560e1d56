#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The report of run folders: the numbers of the records, and nothing that a browser would run. The
last line is "N passed, N failed"."""
import html.parser
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RELEASE = ROOT / "tests/observe/release_0_1"


class Page(html.parser.HTMLParser):
    """Rows of the tables, all text, and the tags with their attributes."""

    VOID = {"meta", "link", "line", "circle", "rect", "polyline", "img"}

    def __init__(self, text):
        super().__init__()
        self.rows, self.text, self.tags, self.opened = [], [], [], []
        self.feed(text)
        assert not self.opened, self.opened

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag not in self.VOID:
            self.opened.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.opened.pop() == tag, tag

    def handle_data(self, data):
        self.text.append(data)
        if self.opened and self.opened[-1] in ("td", "th"):
            self.rows[-1].append(data)


def report(*arguments):
    return subprocess.run([ROOT / "examples/run.sh", "report", *arguments], capture_output=True,
                          text=True, timeout=60, check=False)


class ReportTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)

    def page(self, *runs):
        out = self.path / "out.html"
        done = report(*runs, "--out", out)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.strip(), str(out))
        return Page(out.read_text())

    def write(self, name, lines, summary):
        folder = self.path / name
        folder.mkdir(parents=True)
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if summary is not None:
            (folder / "summary.json").write_text(json.dumps(summary))
        return folder

    def test_numbers_of_a_run_are_those_of_its_record(self):
        page = self.page(RELEASE)
        summary = json.loads((RELEASE / "summary.json").read_text())
        for key in ("test_accuracy", "consensus_error"):
            self.assertIn([key.replace("_", " "), f"{summary[key]:.4g}"], page.rows)
        self.assertIn(["images", f"{summary['images']:,}"], page.rows)
        lines = (RELEASE / "metrics.jsonl").read_text().splitlines()
        drawn = sum(tag == "circle" for tag, _ in page.tags)
        self.assertEqual(drawn, 2 * 4 * len(lines))  # four curves, by images and by time

    def test_options_that_differ_between_runs_are_named(self):
        one = self.write("one", [], {"rule": "gosgd", "seed": 1, "batch": 20, "wall_seconds": 1})
        two = self.write("two", [], {"rule": "easgd", "seed": 2, "batch": 20, "wall_seconds": 1})
        rows = self.page(one, two).rows
        options = rows[rows.index(["option", "one", "two"]) + 1:]
        self.assertEqual(options, [["rule", "gosgd", "easgd"], ["seed", "1", "2"]])

    def test_processes_say_who_met_whom_and_what_went_wrong(self):
        for node in range(3):
            peers = [{"peer": p, "state": "lost" if p == 2 else "connected",
                      "messages_sent": 100 * node + p, "messages_received": 7}
                     for p in range(3) if p != node]
            line = {"wall_seconds": 1, "images": 20, "steps": 1, "node_ids": [node],
                    "steps_per_node": [1], "weights": [0.5], "peers": peers,
                    "connections": {"suspicions": 4 if node == 0 else 0}}
            self.write(f"run/node-{node}", [line], None if node == 2 else line)
        page = self.page(self.path / "run")
        for words in ("1 to 0: 100 messages", "0 to 2: 2 messages", "node-0: peers suspected: 4",
                      "node-1: peer 2 was lost",
                      "node-2: no summary: the process was killed, or still runs"):
            self.assertIn(words, page.text)

    def test_text_of_a_record_never_becomes_markup(self):
        evil = "</title><script>alert(1)</script><img src=x onerror=alert(1)>\"'"
        run = self.write("evil & <b>", [], {"rule": evil, evil: evil, "error": evil,
                                            "peers": [], "wall_seconds": 1})
        page = self.page(run, run)
        self.assertFalse({"script", "img", "iframe"} & {tag for tag, _ in page.tags})
        names = {name for _, attrs in page.tags for name in attrs}
        self.assertFalse([name for name in names if name.startswith("on")])
        self.assertFalse({"src", "href"} & names)
        self.assertIn(evil, page.text)

    def test_half_a_line_and_numbers_that_are_not_known_are_left_out(self):
        run = self.write("run", [{"images": 1, "steps": 1, "wall_seconds": 1, "train_loss": 2.0},
                                 {"images": 2, "steps": 2, "wall_seconds": 2, "train_loss": None}],
                         None)
        with (run / "metrics.jsonl").open("a") as lines:
            lines.write('{"images": 3, "st')
        page = self.page(run)
        self.assertEqual(sum(tag == "circle" for tag, _ in page.tags), 2)

    def test_a_line_of_the_records_is_shown_as_the_run_that_it_is_of(self):
        file, name = ROOT / "benchmarks/records/ledger.jsonl", "equal/sync/quasi_global-0.02/1"
        page = self.page(f"{file}:{name}")
        record = next(one for one in map(json.loads, file.read_text().splitlines())
                      if one["name"] == name)
        points = record["points"]
        self.assertIn(["test accuracy", f"{points[-1]['test_accuracy']:.4g}"], page.rows)
        self.assertIn(["images", f"{points[-1]['images']:,}"], page.rows)
        shown = sum(tag == "circle" for tag, _ in page.tags)
        curves = sum(curve in points[0] for curve in ("train_loss", "test_loss", "test_accuracy",
                                                      "consensus_error"))
        self.assertEqual(shown, 2 * curves * len(points))
        self.assertIn("quasi_global", page.text)
        self.assertNotIn("age max", page.text)  # a result is no option
        done = report(f"{file}:nothing")
        self.assertEqual((done.returncode, "no record" in done.stderr), (1, True))

    def test_a_folder_without_a_run_is_refused_in_words(self):
        done = report(self.path)
        self.assertEqual(done.returncode, 1)
        self.assertIn("holds no run", done.stderr)
        self.assertNotIn("Traceback", done.stderr)


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=0).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    sys.exit(failed > 0)
