#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Judges rules side by side: tunes each by the same budget, trains them with the same seeds, and
writes a page that says what may be concluded, and what not.

    ./examples/run.sh assess PLAN --out DIR       the runs that have no record yet, then the page
    ./examples/run.sh assess PLAN --out DIR --list      all runs, and which are done
    ./examples/run.sh assess PLAN --out DIR --page      only the page, of what is there

DIR gets record.jsonl (a line per run), results.jsonl (a line per figure) and page.html. It goes on
where it was stopped. A plan is an INI file, as edge_of_sixty.ini beside this script.
"""
import argparse
import configparser
import hashlib
import json
import math
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(HERE.parent / "report")]
import assess_page
import paired
import report
from report import Problem

# What a budget is of, and the key of the record that counts it.
BUDGETS = {"images": "images", "bytes": "bytes_sent", "seconds": "virtual_seconds",
           "joules": "joules"}
KEPT = ["steps", *BUDGETS.values()]
FEWEST_SEEDS = 5
SPENT = 0.9  # of a budget: who has spent less could have gone on


class Plan:
    """What is to be judged. Throws Problem."""

    def __init__(self, text, name, folder="."):
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
        parser.optionxform = str
        try:
            parser.read_string(text, name)
        except configparser.Error as error:
            raise Problem(f"{name}: {str(error).splitlines()[0]}") from error
        self.name, self.text, self.folder = name, text, str(folder)
        for section in ("assessment", "rules", "conditions", "budgets"):
            if section not in parser or not parser[section]:
                raise Problem(f"{name}: [{section}] is missing, or empty")
        known = {"metric", "common", "learning_rates", "tuning_seeds", "seeds", "level",
                 "reference", "lower_is_better", "title"}
        head = parser["assessment"]
        for key in set(head) - known:
            raise Problem(f"{name}: [assessment] {key} is no key; these are: "
                          f"{', '.join(sorted(known))}")
        self.title = head.get("title", "Assessment")
        self.metric = head.get("metric", "test_accuracy")
        self.better = -1 if head.get("lower_is_better", "no") == "yes" else 1
        self.common = self.words(head.get("common", ""))
        self.rules = {key: self.words(value) for key, value in parser["rules"].items()}
        self.conditions = {key: self.words(value) for key, value in parser["conditions"].items()}
        self.rates = sorted(self.numbers(head, "learning_rates", float, lambda x: x > 0))
        self.tuning_seeds = self.numbers(head, "tuning_seeds", int, lambda x: x >= 0)
        self.seeds = self.numbers(head, "seeds", int, lambda x: x >= 0)
        self.level = self.numbers(head, "level", float, lambda x: 0 < x < 1, "0.05")[0]
        self.reference = head.get("reference")
        self.budgets = {}
        for key in parser["budgets"]:
            if key not in BUDGETS:
                raise Problem(f"{name}: [budgets] {key} is no budget; these are: "
                              f"{', '.join(BUDGETS)}")
            self.budgets[key] = self.numbers(parser["budgets"], key, float, lambda x: x > 0)[0]
        if len(set(self.seeds)) < len(self.seeds):
            raise Problem(f"{name}: seeds must differ, got {head['seeds']}")
        if set(self.tuning_seeds) & set(self.seeds):
            raise Problem(f"{name}: tuning_seeds must be none of the seeds that judge, got "
                          f"{head['tuning_seeds']}")
        if len(self.rules) < 2:
            raise Problem(f"{name}: [rules] must be at least 2, got {len(self.rules)}")
        if self.reference is not None and self.reference not in self.rules:
            raise Problem(f"{name}: reference must be one of the rules, got {self.reference}")

    def words(self, text):
        return shlex.split(text.replace("{here}", self.folder))

    def numbers(self, section, key, kind, is_right, otherwise=None):
        text = section.get(key, otherwise)
        try:
            values = [kind(word) for word in text.split()]
            if not values or not all(math.isfinite(x) and is_right(x) for x in values):
                raise ValueError
        except (AttributeError, ValueError):
            raise Problem(f"{self.name}: {key} must be numbers that can be used, got {text}"
                          ) from None
        return values

    def jobs(self, phase, rates):
        """(condition, rule, learning rate, seed) of the trials, or of the judged runs with the rate
        that `rates` has of a condition and rule."""
        for condition in self.conditions:
            for seed in self.tuning_seeds if phase == "tune" else self.seeds:
                for rule in self.rules:
                    own = self.rates if phase == "tune" else [rates[condition, rule]]
                    for rate in own:
                        yield condition, rule, rate, seed

    def arguments(self, condition, rule, rate, seed):
        return [*self.common, *self.conditions[condition], *self.rules[rule],
                "--learning-rate", f"{rate:g}", "--seed", str(seed)]


class Record:
    """The runs that are done, by their arguments; a line each, on the disk as soon as it is known.
    A last line that is cut off is dropped."""

    def __init__(self, path):
        self.path, self.runs = path, {}
        lines = report.read_lines(path)
        for line in lines:
            self.runs[tuple(line["arguments"])] = line
        if path.is_file() and not path.read_bytes().endswith(b"\n"):
            path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")

    def add(self, line):
        with self.path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")
        self.runs[tuple(line["arguments"])] = line


class Program:
    """Trains by running the example; `train(arguments)` gives the lines of the record, and what
    went wrong, if anything did."""

    def __init__(self, program, data):
        self.program, self.data = pathlib.Path(program), data
        if not self.program.is_file():
            raise Problem(f"--program: must be the built cifar10, got {program}")
        self.digests = {"program": digest_of(self.program), "data": self.digest_of_data()}

    def digest_of_data(self):
        if not self.data:
            return "synthetic"
        files = sorted(pathlib.Path(self.data).rglob("*.bin"))
        if not files:
            raise Problem(f"--data: must be a folder with .bin files, got {self.data}")
        return hashlib.sha256("".join(map(digest_of, files)).encode()).hexdigest()

    def train(self, arguments):
        environment = {**os.environ, "GOSSAMER_DATA": self.data or ""}
        if not self.data:
            del environment["GOSSAMER_DATA"]
        with tempfile.TemporaryDirectory(prefix="assess") as folder:
            done = subprocess.run([self.program, *arguments, "--out", folder, "--quiet"], cwd=ROOT,
                                  env=environment, capture_output=True, text=True, check=False)
            if done.returncode < 0 or done.returncode >= 128:
                raise Problem(f"the run was stopped by signal {abs(done.returncode) % 128}")
            lines = report.read_lines(pathlib.Path(folder) / "metrics.jsonl")
            last = report.read_summary(pathlib.Path(folder))
            if last and (not lines or lines[-1].get("images") != last.get("images")):
                lines.append(last)  # what was trained since the last evaluation
        said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        return lines, said[-1] if done.returncode else None


def digest_of(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def value_at(run, plan, budget):
    """The last evaluation within the budget, and the share of the budget that was spent by the end;
    no value if there is none, or the last one is not finite (the run has diverged)."""
    key, limit = BUDGETS[budget], plan.budgets[budget]
    lines = [line for line in run["lines"] if report.is_number(line.get(key))]
    within = [line for line in lines if line[key] <= limit]
    spent = lines[-1][key] / limit if lines else 0.0
    value = within[-1].get(plan.metric) if within and not run.get("error") else None
    return (value if report.is_number(value) else None), spent


def trial_of(plan, record, condition, rule, rate):
    """The mean of a rate's trials, by the first budget: minus infinity if one has diverged, None if
    one is missing. The greater the better."""
    first, values = next(iter(plan.budgets)), []
    for seed in plan.tuning_seeds:
        run = record.runs.get(tuple(plan.arguments(condition, rule, rate, seed)))
        if run is None:
            return None
        value, _ = value_at(run, plan, first)
        values.append(-math.inf if value is None else plan.better * value)
    return paired.mean_of(values) if min(values) > -math.inf else -math.inf


def rates_of(plan, record):
    """{(condition, rule): the best rate of the trials}; None if all have diverged, absent while
    trials are missing."""
    best = {}
    for condition in plan.conditions:
        for rule in plan.rules:
            scores = [trial_of(plan, record, condition, rule, rate) for rate in plan.rates]
            if None not in scores:
                most = max(scores)
                best[condition, rule] = (
                    plan.rates[scores.index(most)] if most > -math.inf else None)
    return best


def missing(plan, record):
    """The next runs: trials first, for on them the rest depends."""
    rates = rates_of(plan, record)
    for phase in ("tune", "judge"):
        if phase == "judge" and len(rates) < len(plan.conditions) * len(plan.rules):
            return
        for job in plan.jobs(phase, rates):
            if job[2] is None:
                continue  # all trials have diverged
            arguments = plan.arguments(*job)
            if tuple(arguments) not in record.runs:
                yield phase, job, arguments


def run_all(plan, record, trainer, say=lambda text: None):
    """Trains what is missing. `trainer.train(arguments)` is all that it needs of a program."""
    while jobs := list(missing(plan, record)):
        for number, (phase, (condition, rule, rate, seed), arguments) in enumerate(jobs, 1):
            if tuple(arguments) in record.runs:
                continue  # another rule of the list has the same options
            say(f"{phase} {number}/{len(jobs)}: {condition}, {rule}, rate {rate:g}, seed {seed}")
            begin = time.monotonic()
            lines, error = trainer.train(arguments)
            keys = [*KEPT, plan.metric]
            record.add({"phase": phase, "condition": condition, "rule": rule,
                        "learning_rate": rate, "seed": seed, "arguments": arguments,
                        "wall_seconds": round(time.monotonic() - begin, 1), "error": error,
                        **trainer.digests,
                        "lines": [{k: line[k] for k in keys if k in line} for line in lines]})


class Results:
    """What the records say: means with intervals, paired differences with tests, and cautions."""

    budget_keys = BUDGETS

    def __init__(self, plan, record):
        self.plan, self.record = plan, record
        self.rates = rates_of(plan, record)
        self.values, self.spent = {}, {}  # by condition, budget, rule: {seed: value}, share
        for condition in plan.conditions:
            for rule in plan.rules:
                runs = self.runs(condition, rule)
                for budget in plan.budgets:
                    found = {seed: value_at(run, plan, budget) for seed, run in runs.items()}
                    self.values[condition, budget, rule] = {
                        seed: value for seed, (value, _) in found.items() if value is not None}
                    self.spent[condition, budget, rule] = min(
                        (share for _, share in found.values()), default=0.0)
        self.differences = [self.difference(c, b, *pair) for c in plan.conditions
                            for b in plan.budgets for pair in self.pairs()]
        for one, p in zip(self.differences, paired.holm([d["p"] for d in self.differences])):
            one["p_holm"] = p
            one["verdict"], one["better"] = self.verdict(one)

    def runs(self, condition, rule):
        rate = self.rates.get((condition, rule))
        runs = {}
        for seed in self.plan.seeds if rate is not None else []:
            run = self.record.runs.get(tuple(self.plan.arguments(condition, rule, rate, seed)))
            if run is not None:
                runs[seed] = run
        return runs

    def trial(self, condition, rule, rate):
        """In the metric's own sign; None while it is missing."""
        score = trial_of(self.plan, self.record, condition, rule, rate)
        return None if score is None else self.plan.better * score

    def files(self):
        """Digests of the files that the plan's arguments name."""
        plan = self.plan
        named = {word for words in (plan.common, *plan.rules.values(), *plan.conditions.values())
                 for word in words if (ROOT / word).is_file()}
        return [f"{pathlib.Path(word).name} {digest_of(ROOT / word)}" for word in sorted(named)]

    def pairs(self):
        names = list(self.plan.rules)
        if self.plan.reference:
            return [(one, self.plan.reference) for one in names if one != self.plan.reference]
        return [(a, b) for i, a in enumerate(names) for b in names[i + 1:]]

    def untuned(self, condition, rule):
        """Why the rule's rate may not be its best one; empty if it may."""
        rate = self.rates.get((condition, rule))
        if rate is None:
            return f"{rule} has no learning rate: trials are missing, or all have diverged"
        if len(self.plan.rates) < 3:
            return f"{rule} is untuned: {len(self.plan.rates)} learning rates were tried, not 3"
        if rate in (self.plan.rates[0], self.plan.rates[-1]):
            return f"{rule} may be untuned: its rate {rate:g} is at the end of those tried"
        return ""

    def difference(self, condition, budget, a, b):
        one, two = self.values[condition, budget, a], self.values[condition, budget, b]
        seeds = [seed for seed in self.plan.seeds if seed in one and seed in two]
        differences = [one[seed] - two[seed] for seed in seeds]
        mean, low, high = paired.interval(differences, self.plan.level)
        return {"condition": condition, "budget": budget, "a": a, "b": b, "pairs": len(seeds),
                "mean": mean, "low": low, "high": high, "p": paired.paired_t(differences),
                "p_signs": paired.sign_flips(differences)}

    def overlap(self, condition, budget, a, b):
        level = self.plan.level
        (_, low_a, high_a), (_, low_b, high_b) = (
            paired.interval(list(self.values[condition, budget, r].values()), level)
            for r in (a, b))
        return not (low_a > high_b or low_b > high_a)

    def cautions(self, one):
        """Why nothing may be concluded of a pair, whatever its test says."""
        condition, budget, a, b = (one[k] for k in ("condition", "budget", "a", "b"))
        found = []
        if one["pairs"] < FEWEST_SEEDS:
            found.append(f"too few seeds: {one['pairs']} of both, not {FEWEST_SEEDS}")
        if one["pairs"] < len(self.plan.seeds):
            found.append(f"{len(self.plan.seeds) - one['pairs']} of {len(self.plan.seeds)} seeds "
                         "are missing, or diverged")
        found += [text for rule in (a, b) if (text := self.untuned(condition, rule))]
        for rule in (a, b):
            share = self.spent[condition, budget, rule]
            if share < SPENT:
                found.append(f"{rule} had spent {share:.0%} of the {budget} when its run ended: "
                             "it could have gone on")
        return found

    def verdict(self, one):
        """A sentence, and the better rule; None if neither is shown to be, "" if nothing may be
        concluded."""
        if cautions := self.cautions(one):
            return "nothing may be concluded: " + "; ".join(cautions), ""
        if one["p_holm"] > self.plan.level:
            return "no difference is shown", None
        first = one["mean"] * self.plan.better > 0
        winner, loser = (one["a"], one["b"]) if first else (one["b"], one["a"])
        text = f"{winner} is better than {loser}"
        if self.overlap(one["condition"], one["budget"], one["a"], one["b"]):
            text += " seed by seed, but the intervals of the two means overlap: less than the " \
                    "seeds differ"
        return text, winner

    def lines(self):
        """Of results.jsonl."""
        for (condition, budget, rule), values in self.values.items():
            mean, low, high = paired.interval(list(values.values()), self.plan.level)
            yield {"kind": "mean", "condition": condition, "budget": budget, "rule": rule,
                   "learning_rate": self.rates.get((condition, rule)), "values": values,
                   "mean": mean, "low": low, "high": high,
                   "spent": self.spent[condition, budget, rule]}
        for one in self.differences:
            yield {"kind": "difference", **one}


def main(arguments):
    parser = argparse.ArgumentParser(prog="assess", description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("plan", type=pathlib.Path, metavar="PLAN", help="an INI file")
    parser.add_argument("--out", type=pathlib.Path, required=True, metavar="DIR")
    parser.add_argument("--program", default=ROOT / "build/release/examples/cifar10",
                        help="the built cifar10")
    parser.add_argument("--data", default=os.environ.get("GOSSAMER_DATA"),
                        help="CIFAR-10 (also: GOSSAMER_DATA); without it synthetic images")
    parser.add_argument("--list", action="store_true", help="say which runs are to come")
    parser.add_argument("--page", action="store_true", help="only make the page anew")
    options = parser.parse_args(arguments)
    try:
        if not options.plan.is_file():
            raise Problem(f"{options.plan}: no such plan")
        plan = Plan(options.plan.read_text(encoding="utf-8"), options.plan.name,
                    options.plan.resolve().parent)
        options.out.mkdir(parents=True, exist_ok=True)
        record = Record(options.out / "record.jsonl")
        if options.list:
            for phase, (condition, rule, rate, seed), _ in missing(plan, record):
                print(f"{phase} {condition} {rule} {rate:g} {seed}")
            return 0
        if not options.page:
            run_all(plan, record, Program(options.program, options.data),
                    lambda text: print(text, flush=True))
        write(plan, record, options.out)
    except (Problem, OSError) as problem:
        print(f"assess: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("assess: stopped; the same command goes on", file=sys.stderr)
        return 130
    print(options.out / "page.html")
    return 0


def write(plan, record, out):
    results = Results(plan, record)
    (out / "results.jsonl").write_text("".join(
        json.dumps({k: None if v != v else v for k, v in line.items()}) + "\n"
        for line in results.lines()), encoding="utf-8")
    (out / "page.html").write_text(assess_page.page(results), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
