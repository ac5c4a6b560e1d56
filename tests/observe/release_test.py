# SPDX-License-Identifier: MIT
"""A run folder of release 0.1 is read by today's programs, with the same keys and meaning. The last
line is "N passed, N failed".

release_0_1/record.json is what that release's programs made of the run (the first two evaluations of
its record equal-ad_psgd-1). Its folder, metrics.jsonl and summary.json, was not kept: it is written
anew in that release's keys and form; of what the record does not have, the numbers are made up."""

import importlib.util
import json
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent / "release_0_1"
sys.path.append(str(ROOT / "benchmarks"))
import record_io

spec = importlib.util.spec_from_file_location("methods", ROOT / "benchmarks/methods/methods.py")
methods = importlib.util.module_from_spec(spec)
spec.loader.exec_module(methods)

NAME = "equal/ad_psgd/1"
THEN = json.loads((FOLDER / "record.json").read_text())


class ReleaseBefore(unittest.TestCase):
    def test_its_run_folder_gives_the_record_that_it_gave_then(self):
        self.assertEqual(methods.record(NAME, FOLDER), THEN)

    def test_its_record_is_that_of_the_same_run_today(self):
        today = record_io.read(ROOT / "benchmarks/records/methods.jsonl")[NAME]
        today["points"] = today["points"][:2]
        self.assertEqual(THEN, today)

    def test_tables_are_made_of_it(self):
        lines = methods.texts({NAME: THEN})["methods/methods.csv"].splitlines()
        self.assertEqual(lines[0].split(",")[:4], ["where", "name", "seed", "images"])
        self.assertEqual(lines[1].split(",")[:6],
                         ["equal", "ad_psgd", "1", "40000", "85.4982", "9.213"])
        self.assertEqual(len(lines), 3)


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=0).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    sys.exit(failed > 0)
