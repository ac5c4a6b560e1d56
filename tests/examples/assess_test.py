#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The assessment: with a function in place of training it finds what is there, and not what is not;
and with the built cifar10, if its path is the argument, a whole small one is made and gone on with.
The last line is "N passed, N failed"."""
import itertools
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "examples/assess"), str(ROOT / "examples/report")]
import assess
import paired
from report import Problem
from report_test import Page

PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else None

HEAD = """
[assessment]
learning_rates = 0.01 0.02 0.04 0.08
tuning_seeds = 1
seeds = {seeds}
[rules]
{rules}
[conditions]
here = --cluster here.toml
[budgets]
images = 100
bytes = 50
"""


def plan_of(rules, seeds="2 3 4 5 6 7 8 9", **changes):
    text = HEAD.format(seeds=seeds, rules="\n".join(f"{k} = {v}" for k, v in rules.items()))
    for old, new in changes.items():
        text = text.replace(old, new)
    return assess.Plan(text, "plan.ini")


class Function:
    """In place of training: an accuracy that depends on the rule's --worth, is best at the rate
    0.038, and differs by the seed, the same for all rules, and by chance, for each its own."""

    digests = {"program": "p", "data": "d"}

    def __init__(self, salt=0, noise=0.01):
        self.salt, self.noise, self.calls = salt, noise, []

    def train(self, arguments):
        self.calls.append(arguments)
        word = dict(zip(arguments[::2], arguments[1::2]))
        seed = random.Random(f"{self.salt} {word['--seed']}").gauss(0, 0.05)
        own = random.Random(f"{self.salt} {arguments}").gauss(0, self.noise)
        rate = -abs(math.log(float(word["--learning-rate"]) / 0.038)) / 10
        lines = [{"steps": k, "images": 10 * k, "bytes_sent": 5 * k * float(word.get("--talk", 1)),
                  "test_accuracy": (0.5 + float(word["--worth"]) + seed + rate + own) * k / 10}
                 for k in range(1, 11)]
        if word.get("--fails") == word["--seed"]:
            return lines[:3], "a node has failed"
        return lines, None


class PairedTest(unittest.TestCase):
    def test_quantiles_are_those_of_the_tables(self):
        for level, freedom, t in ((0.05, 1, 12.7062), (0.05, 4, 2.77645), (0.01, 9, 3.24984),
                                  (0.05, 30, 2.04227), (0.1, 2, 2.91999)):
            self.assertAlmostEqual(paired.t_quantile(level, freedom), t, 4)
            self.assertAlmostEqual(paired.t_tail(t, freedom), level, 5)

    def test_the_tail_is_the_integral_of_the_density(self):
        for freedom in (1, 3, 7, 40):
            scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(
                freedom * math.pi)
            for t in (0.3, 1.0, 2.5):
                step = t / 2000  # Simpson's rule
                inner = sum((1 if k in (0, 2000) else 4 if k % 2 else 2)
                            * (1 + (k * step) ** 2 / freedom) ** (-(freedom + 1) / 2)
                            for k in range(2001)) * step / 3
                self.assertAlmostEqual(paired.t_tail(t, freedom), 1 - 2 * scale * inner, 9)

    def test_a_mean_and_a_test_by_hand(self):
        mean, low, high = paired.interval([1, 2, 3, 4, 5], 0.05)
        self.assertAlmostEqual(mean, 3)
        self.assertAlmostEqual(high - mean, 2.77645 * math.sqrt(2.5 / 5), 4)
        self.assertAlmostEqual(mean - low, high - mean)
        self.assertAlmostEqual(paired.paired_t([1, 2, 3, 4, 5]),
                               paired.t_tail(3 / math.sqrt(0.5), 4))
        self.assertEqual(paired.paired_t([0, 0, 0]), 1)
        self.assertEqual(paired.paired_t([1]), 1)
        self.assertEqual(paired.paired_t([2, 2]), 0)
        self.assertEqual(paired.sign_flips([1, 2, 3, 4]), 2 / 16)
        self.assertEqual(paired.sign_flips([1, -1]), 1)
        self.assertEqual([round(p, 9) for p in paired.holm([0.01, 0.04, 0.03, 0.5])],
                         [0.04, 0.09, 0.09, 0.5])

    def test_tests_of_nothing_find_something_as_often_as_their_level_says(self):
        rng = random.Random(7)
        trials, level = 2000, 0.05
        found = [0, 0]
        for _ in range(trials):
            differences = [rng.gauss(0, 1) for _ in range(6)]
            found[0] += paired.paired_t(differences) <= level
            found[1] += paired.sign_flips(differences) <= level
        deviation = math.sqrt(trials * level * (1 - level))
        self.assertLess(abs(found[0] - trials * level), 4 * deviation)
        self.assertLess(found[1], trials * level + 4 * deviation)


class AssessTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)

    def results(self, plan, function, name="record.jsonl"):
        record = assess.Record(self.path / name)
        assess.run_all(plan, record, function)
        return assess.Results(plan, record)

    def test_a_rule_against_itself_gives_no_difference(self):
        plan = plan_of({"a": "--worth 0", "b": "--worth 0"})
        results = self.results(plan, Function(noise=0))
        self.assertEqual({d["mean"] for d in results.differences}, {0})
        self.assertEqual({d["verdict"] for d in results.differences}, {"no difference is shown"})

    def test_equal_rules_that_differ_by_chance_are_told_apart_no_more_often_than_the_level(self):
        trials, false = 200, 0
        for salt in range(trials):
            plan = plan_of({"a": "--worth 0 --x 1", "b": "--worth 0 --x 2", "c": "--worth 0 --x 3"})
            results = self.results(plan, Function(salt), f"{salt}.jsonl")
            false += any("better" in d["verdict"] for d in results.differences)
        self.assertLess(false, trials * 0.05 + 3 * math.sqrt(trials * 0.05 * 0.95))

    def test_a_rule_that_is_worse_by_construction_is_found(self):
        plan = plan_of({"good": "--worth 0.1", "bad": "--worth 0", "same": "--worth 0 --x 2"})
        results = self.results(plan, Function())
        verdicts = {(d["a"], d["b"]): d["verdict"] for d in results.differences
                    if d["budget"] == "images"}
        self.assertTrue(verdicts["good", "bad"].startswith("good is better than bad"))
        self.assertTrue(verdicts["good", "same"].startswith("good is better than same"))
        self.assertEqual(verdicts["bad", "same"], "no difference is shown")
        difference = next(d for d in results.differences if d["a"] == "good")
        self.assertTrue(difference["low"] < 0.1 < difference["high"])
        page = Page(assess.assess_page.page(results))
        self.assertIn(["good", "bad, same", "–"], page.rows)
        self.assertIn(["bad", "–", "same"], page.rows)

    def test_what_is_lower_may_be_better(self):
        plan = plan_of({"high": "--worth 0.2", "low": "--worth 0"},
                       **{"tuning_seeds": "lower_is_better = yes\ntuning_seeds"})
        results = self.results(plan, Function(noise=0.0001))
        # The rate that gives the least is at the end of those tried: what that means is said.
        self.assertIn("may be untuned", results.differences[0]["verdict"])
        self.assertEqual(results.rates["here", "low"], 0.01)

    def test_rates_are_tuned_on_a_seed_that_judges_nothing(self):
        plan = plan_of({"a": "--worth 0", "b": "--worth 0.1"})
        function = Function(noise=0.0001)
        results = self.results(plan, function)
        self.assertEqual(set(results.rates.values()), {0.04})
        trials, judged = function.calls[:8], function.calls[8:]
        self.assertEqual({call[-1] for call in trials}, {"1"})
        self.assertEqual({call[-1] for call in judged}, set("23456789"))
        self.assertEqual(len(judged), 16)

    def test_it_goes_on_where_it_was_stopped(self):
        plan = plan_of({"a": "--worth 0", "b": "--worth 0.1"})
        whole, stops = Function(), itertools.count()

        class Stopped(Function):
            def train(self, arguments):
                if next(stops) in (3, 7, 12):
                    raise KeyboardInterrupt
                return super().train(arguments)

        wanted = self.results(plan, whole)
        stopped = Stopped()
        for _ in range(3):
            with self.assertRaises(KeyboardInterrupt):
                self.results(plan, stopped, "stopped.jsonl")
            with (self.path / "stopped.jsonl").open("a") as out:
                out.write('{"phase": "ju')  # half a line
        results = self.results(plan, stopped, "stopped.jsonl")
        self.assertEqual(sorted(stopped.calls), sorted(whole.calls))  # none twice
        self.assertEqual(list(results.lines()), list(wanted.lines()))

    def test_another_rule_needs_its_own_runs_only(self):
        rules = {"a": "--worth 0", "b": "--worth 0.1"}
        self.results(plan_of(rules), Function())
        more = Function()
        self.results(plan_of({**rules, "c": "--worth 0.2"}), more)
        self.assertEqual(len(more.calls), 4 + 8)
        self.assertTrue(all("0.2" in call for call in more.calls))

    def test_what_must_not_be_concluded_is_said(self):
        good = {"good": "--worth 0.3", "bad": "--worth 0"}
        cases = [
            (plan_of(good, seeds="2 3 4 5"), "too few seeds: 4 of both, not 5"),
            (plan_of(good, **{"0.01 0.02 0.04 0.08": "0.03"}), "good is untuned: 1 learning rates"),
            (plan_of(good, **{"0.01 0.02 0.04 0.08": "0.03 0.06 0.1"}), "bad may be untuned: its "
             "rate 0.03 is at the end"),
            (plan_of({**good, "bad": "--worth 0 --fails 4"}), "1 of 8 seeds are missing"),
            (plan_of({**good, "bad": "--worth 0 --fails 1"}), "bad may be untuned"),
        ]
        for number, (plan, words) in enumerate(cases[:4]):
            results = self.results(plan, Function(), f"{number}.jsonl")
            verdict = results.differences[0]["verdict"]
            self.assertTrue(verdict.startswith("nothing may be concluded: "), verdict)
            self.assertIn(words, verdict)
            self.assertIn(words, "".join(Page(assess.assess_page.page(results)).text))
        # All trials have failed: there is no rate, and no judged run.
        results = self.results(cases[4][0], Function(), "4.jsonl")
        self.assertIn("bad has no learning rate", results.differences[0]["verdict"])
        # Who has spent little of a budget could have gone on.
        results = self.results(plan_of({**good, "bad": "--worth 0 --talk 0.5"}), Function(),
                               "5.jsonl")
        verdicts = {d["budget"]: d["verdict"] for d in results.differences}
        self.assertIn("bad had spent 50% of the bytes", verdicts["bytes"])
        self.assertTrue(verdicts["images"].startswith("good is better"))

    def test_intervals_that_overlap_are_said_to(self):
        plan = plan_of({"good": "--worth 0.02", "bad": "--worth 0"})
        results = self.results(plan, Function(noise=0.002))
        self.assertEqual(results.differences[0]["verdict"],
                         "good is better than bad seed by seed, but the intervals of the two means "
                         "overlap: less than the seeds differ")

    def test_values_are_those_of_the_last_evaluation_within_a_budget(self):
        plan = plan_of({"a": "--worth 0", "b": "--worth 0 --talk 2"})
        results = self.results(plan, Function(noise=0))
        one = results.values["here", "bytes", "a"][2]
        two = results.values["here", "bytes", "b"][2]
        self.assertAlmostEqual(two, one / 2)  # it talks twice as much
        self.assertEqual(results.spent["here", "bytes", "b"], 2)

    def test_a_page_has_nothing_from_elsewhere_and_text_never_becomes_markup(self):
        evil = "</title><script>alert(1)</script>"
        plan = plan_of({evil: "--worth 0", "b": "--worth 0.1"},
                       **{"tuning_seeds": f"title = {evil}\ntuning_seeds"})
        page = Page(assess.assess_page.page(self.results(plan, Function())))
        self.assertFalse({"script", "img", "iframe"} & {tag for tag, _ in page.tags})
        self.assertFalse({"src", "href"} & {name for _, attrs in page.tags for name in attrs})
        self.assertIn(evil, page.text)

    def test_plans_that_cannot_be_are_refused_in_words(self):
        good = {"a": "--worth 0", "b": "--worth 1"}
        for changes, words in (
                ({"tuning_seeds = 1": "tuning_seeds = 3"}, "tuning_seeds must be none of"),
                ({"seeds = 2": "seeds = 3"}, "seeds must differ, got 3 3 4"),
                ({"images = 100": "images = none"}, "images must be numbers that can be used"),
                ({"images = 100": "miles = 1"}, "miles is no budget; these are: images, bytes"),
                ({"tuning_seeds = 1": ""}, "tuning_seeds must be numbers"),
                ({"tuning_seeds": "speed = 1\ntuning_seeds"}, "speed is no key; these are: common"),
                ({"tuning_seeds": "reference = c\ntuning_seeds"}, "reference must be one of the"),
                ({"[conditions]": "[other]"}, "[conditions] is missing"),
                ({"[rules]": "rules"}, "plan.ini: "),
                ({"b = --worth 1": ""}, "[rules] must be at least 2, got 1")):
            with self.assertRaises(Problem) as refused:
                plan_of(good, **changes)
            self.assertIn(words, str(refused.exception))


@unittest.skipUnless(PROGRAM, "needs the built cifar10")
class RealTest(unittest.TestCase):
    def test_a_small_assessment_is_made_and_gone_on_with(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "two.toml").write_text(
                "[[nodes]]\ncount = 2\nseconds_per_step = 0.01\njoules_per_step = 2\n")
            (folder / "plan.ini").write_text("""
[assessment]
common = --transport simulated --images 16 --no-evaluation --batch 4
metric = virtual_seconds
lower_is_better = yes
learning_rates = 0.01
tuning_seeds = 1
seeds = 2
[rules]
gosgd = --rule gosgd --probability 0.5
none = --rule none
[conditions]
two = --cluster {here}/two.toml --shard --dirichlet 0.3
[budgets]
images = 16
joules = 8
""")
            command = [sys.executable, "-B", ROOT / "examples/assess/assess.py",
                       folder / "plan.ini", "--out", folder / "out", "--program", PROGRAM]
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            record = (folder / "out/record.jsonl").read_text().splitlines()
            self.assertEqual(len(record), 4)
            for line in map(json.loads, record):
                self.assertIsNone(line["error"])
                last = line["lines"][-1]
                self.assertEqual(last["images"], 16)
                self.assertEqual(last["joules"], 2 * last["steps"])
            page = "".join(Page((folder / "out/page.html").read_text()).text)
            self.assertIn("too few seeds: 1 of both", page)
            results = [json.loads(one) for one in
                       (folder / "out/results.jsonl").read_text().splitlines()]
            self.assertEqual({one["kind"] for one in results}, {"mean", "difference"})
            before = (folder / "out/page.html").read_text()
            listed = subprocess.run([*command, "--list"], capture_output=True, text=True,
                                    timeout=60, check=False)
            self.assertEqual((listed.returncode, listed.stdout), (0, ""))
            again = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(again.returncode, 0, again.stderr)
            self.assertEqual((folder / "out/page.html").read_text(), before)
            self.assertEqual((folder / "out/record.jsonl").read_text().splitlines(), record)


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=0).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed - len(result.skipped)} passed, {failed} failed")
    sys.exit(failed > 0)
