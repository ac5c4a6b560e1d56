# SPDX-License-Identifier: MIT
"""The page of an assessment: what was found, what may be concluded, and how to do it again."""
import json
import shlex
from html import escape

import paired
import report
from report import short, table, words

STYLE = """
.row line { stroke-width: 2; } .row circle { stroke: none; }
details { margin: .4rem 0; } summary { cursor: pointer; color: var(--soft); }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .8rem; }
.verdict { font-weight: 600; }
"""
EQUAL = {"images": "equal images", "bytes": "equal bytes sent", "seconds": "equal virtual time",
         "joules": "equal energy"}


def number(value):
    return "–" if value is None or value != value else f"{value:.4f}"


def amount(limit):
    return short(int(limit) if limit == int(limit) else limit)


def probability(p):
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def note(text):
    return f'<p class="note">{escape(text)}</p>'


def commands(name, lines):
    return (f"<details><summary>{escape(name)}</summary><pre>"
            + escape("\n".join(lines)) + "</pre></details>")


def command_of(results, condition, rule, seeds):
    """One line for all seeds that were trained."""
    rate = results.rates.get((condition, rule))
    if rate is None:
        return f"# {rule}: no learning rate yet"
    arguments = results.plan.arguments(condition, rule, rate, 0)[:-2]
    return (f"for seed in {' '.join(map(str, seeds))}; do ./examples/run.sh cifar10 "
            f"{shlex.join(arguments)} --seed $seed; done")


def intervals(title, rows):
    """Dots with whiskers, one below the other. `rows`: (name, number, mean, low, high)."""
    rows = [row for row in rows if report.is_number(row[2])]
    ends = [x for row in rows for x in row[2:] if report.is_number(x)]
    if not ends:
        return ""
    low, high = min(ends), max(ends)
    pad = (high - low) * 0.06 or abs(low) * 0.1 or 1
    low, high, left, width, step = low - pad, high + pad, 130, 460, 22
    bottom = step * len(rows) + 4

    def sx(x):
        return left + (width - left - 24) * (x - low) / (high - low)

    parts = []
    for x in report.ticks(low, high, 4):
        parts.append(f'<line class="grid" x1="{sx(x):.1f}" x2="{sx(x):.1f}" y1="0" y2="{bottom}"/>'
                     f'<text x="{sx(x):.1f}" y="{bottom + 14}" text-anchor="middle">{x:.4g}</text>')
    for i, (name, ink, mean, a, b) in enumerate(rows):
        y, colour = step * (i + 0.5), report.INKS[ink % len(report.INKS)]
        parts.append(f'<g class="row"><text x="{left - 8}" y="{y + 4}" text-anchor="end">'
                     f"{escape(name)}</text>")
        if report.is_number(a):
            parts.append(f'<line x1="{sx(a):.1f}" x2="{sx(b):.1f}" y1="{y}" y2="{y}" '
                         f'stroke="var(--{colour})"/>')
        parts.append(f'<circle cx="{sx(mean):.1f}" cy="{y}" r="4" fill="var(--{colour})">'
                     f"<title>{escape(name)}: {number(mean)}, {number(a)} to {number(b)}</title>"
                     "</circle></g>")
    return (f'<figure><figcaption><b>{escape(title)}</b></figcaption><svg class="chart" role="img" '
            f'aria-label="{escape(title)}" viewBox="0 0 {width} {bottom + 20}">'
            + "".join(parts) + "</svg></figure>")


def curves(results, condition, budget):
    """Means over the seeds, with intervals, at the evaluations that all of a rule's runs have."""
    plan, key = results.plan, results.budget_keys[budget]
    series, bands = [], []
    for ink, rule in enumerate(plan.rules):
        runs = list(results.runs(condition, rule).values())
        points, band = [], []
        for lines in zip(*(run["lines"] for run in runs)):
            xs = [line.get(key) for line in lines]
            ys = [line.get(plan.metric) for line in lines]
            if not all(map(report.is_number, xs + ys)):
                continue
            mean, low, high = paired.interval(ys, plan.level)
            points.append((paired.mean_of(xs), mean))
            if report.is_number(low):
                band.append((paired.mean_of(xs), low, high))
        series.append((rule, ink, points))
        if band:
            bands.append((ink, band))
    return report.chart(f"{words(plan.metric)} by {words(key)}", series, words(key), bands=bands)


def orders(results):
    """What may be concluded: of each condition and budget a table, a row per rule. Whom nothing may
    be concluded of is in no row."""
    text, plan = "", results.plan
    for condition in plan.conditions:
        for budget, limit in plan.budgets.items():
            better, open_ = {rule: [] for rule in plan.rules}, {rule: [] for rule in plan.rules}
            for one in results.differences:
                if (one["condition"], one["budget"]) != (condition, budget):
                    continue
                pair = (one["a"], one["b"])
                if one["better"] is None:
                    open_[pair[0]].append(pair[1])
                    open_[pair[1]].append(pair[0])
                elif one["better"]:
                    loser = pair[1] if one["better"] == pair[0] else pair[0]
                    better[one["better"]].append(
                        loser + (" *" if results.overlap(condition, budget, *pair) else ""))
            if any(better.values()) or any(open_.values()):
                text += f"<h4>{escape(condition)}, {EQUAL[budget]} ({amount(limit)})</h4>" + table(
                    ["rule", "is better than", "no difference is shown from"],
                    [[rule, ", ".join(better[rule]) or "–", ", ".join(open_[rule]) or "–"]
                     for rule in plan.rules if better[rule] or open_[rule]])
    return text


def section_summary(results):
    """What may be concluded, in words; and what not."""
    plan, cautions = results.plan, {}
    for one in results.differences:
        for text in results.cautions(one):
            cautions.setdefault(f"{one['condition']}: {text}", []).append(one)
    for name in ("program", "data"):
        digests = {run[name] for run in results.record.runs.values()}
        if len(digests) > 1:
            cautions[f"the record has runs of {len(digests)} hashes of {name}: not alike"] = []
    found = orders(results)
    text = f"<section><h2>{escape(plan.title)}</h2><h3>What may be concluded</h3>"
    text += found or note("Nothing.")
    if " *" in found:
        text += note("* Seed by seed; but the intervals of the two means overlap: the rules differ "
                     "less than the seeds.")
    text += "<h3>What must not be concluded</h3><ul>" + "".join(
        f"<li>{escape(one)}{f' ({len(of)} comparisons)' if of else ''}</li>"
        for one, of in cautions.items())
    return text + "".join(f"<li>{escape(one)}</li>" for one in (
        "Where no difference is shown, that there is none: the intervals below say how large it "
        "may be.",
        "Anything of other tasks, networks, clusters and budgets than those below.",
        f"Rates were tuned for {EQUAL[next(iter(plan.budgets))]}: at another budget another rate "
        "may be better.")) + "</ul></section>"


def section_condition(results, condition):
    plan = results.plan
    text = f"<section><h2>{escape(condition)}</h2>{report.legend(list(plan.rules))}"
    figures = [curves(results, condition, budget) for budget in plan.budgets]
    for budget, limit in plan.budgets.items():
        rows = [(rule, ink, *paired.interval(list(results.values[condition, budget, rule].values()),
                                             plan.level)) for ink, rule in enumerate(plan.rules)]
        figures.append(intervals(f"{words(plan.metric)} at {EQUAL[budget]}, {amount(limit)}", rows))
    text += f'<div class="charts">{"".join(one for one in figures if one)}</div>'
    text += note(f"Means over the seeds, and {1 - plan.level:.0%} intervals by Student's t.")
    text += commands("Commands of these figures", [
        command_of(results, condition, rule, plan.seeds) for rule in plan.rules])
    for budget, limit in plan.budgets.items():
        text += f"<h3>{escape(EQUAL[budget].capitalize())}: {amount(limit)}</h3>"
        rows = []
        for rule in plan.rules:
            values = results.values[condition, budget, rule]
            mean, low, high = paired.interval(list(values.values()), plan.level)
            rows.append([rule, number(mean), f"{number(low)} to {number(high)}", len(values),
                         f"{results.spent[condition, budget, rule]:.0%}",
                         ", ".join(number(one) for one in values.values())])
        text += table(["rule", words(plan.metric), "interval", "seeds", "of the budget spent",
                       "each seed"], rows)
        rows = [[f"{d['a']} − {d['b']}", number(d["mean"]),
                 f"{number(d['low'])} to {number(d['high'])}", d["pairs"], probability(d["p"]),
                 probability(d["p_holm"]), probability(d["p_signs"]), d["verdict"]]
                for d in results.differences
                if (d["condition"], d["budget"]) == (condition, budget)]
        text += table(["difference", "mean", "interval", "pairs", "p", "p (Holm)", "p (signs)",
                       "verdict"], rows)
    return text + "</section>"


def section_rates(results):
    plan = results.plan
    text = "<section><h2>Learning rates</h2>" + note(
        f"The same {len(plan.rates) * len(plan.tuning_seeds)} trials of each rule, on seeds that "
        f"judge nothing ({', '.join(map(str, plan.tuning_seeds))}); the best at "
        f"{EQUAL[next(iter(plan.budgets))]} is marked.")
    for condition in plan.conditions:
        rows = []
        for rule in plan.rules:
            row = [rule]
            for rate in plan.rates:
                value = results.trial(condition, rule, rate)
                best = results.rates.get((condition, rule)) == rate
                diverged = value is not None and not report.is_number(value)
                row.append(("diverged" if diverged else number(value)) + (" ●" if best else ""))
            rows.append(row)
        text += f"<h3>{escape(condition)}</h3>" + table(
            ["rule", *(f"{rate:g}" for rate in plan.rates)], rows)
    return text + "</section>"


def section_method(results):
    plan = results.plan
    tests = len(results.differences)
    runs = results.record.runs.values()
    lines = [
        "Pairs: two rules with the same seed have the same data, shards, first model and devices' "
        "draws; their difference is taken seed by seed.",
        "Test: two-sided paired t-test of these differences, which takes them to be normal; Holm's "
        f"correction over all {tests} comparisons of this page, so that the chance of one false "
        f"finding on it is at most {plan.level:g}. Beside it, without correction, the permutation "
        "test that gives each difference either sign: it takes nothing to be normal, and with n "
        f"seeds its p is at least 2 / 2^n ({2 / 2 ** len(plan.seeds):.3g} here).",
        "A value is that of the last evaluation within the budget. A run that has diverged, or "
        "ended by an error, has none.",
        "Nothing is concluded of fewer than five seeds, of a rule whose best learning rate is at "
        "the end of those that were tried, or of one that had not spent nine tenths of a budget.",
        "A rule is judged at the rate that its trials have chosen. That choice is made by few "
        "seeds: two rules that are alike may get different rates, and then differ for that reason.",
        "Bytes are those of the rule's messages, joules those of steps and of bytes sent.",
    ]
    digests = [f"{key} {one}" for key in ("program", "data") for one in
               sorted({run[key] for run in runs})]
    failed = [f"{run['condition']}, {run['rule']}, rate {run['learning_rate']:g}, seed "
              f"{run['seed']}: {run['error']}" for run in runs if run.get("error")]
    text = "<section><h2>How it was done</h2><ul>" + "".join(
        f"<li>{escape(one)}</li>" for one in lines) + "</ul>"
    text += commands("The plan", plan.text.splitlines())
    text += commands("Hashes (SHA-256)", digests + results.files())
    if failed:
        text += commands(f"Runs that failed: {len(failed)}", failed)
    again = f"./examples/run.sh assess {shlex.quote(plan.name)} --out DIR"
    text += commands("Commands of this page", [again, again + " --page   # without training"])
    text += commands("All runs", [json.dumps(run["arguments"]) for run in runs])
    return text + "</section>"


def page(results):
    plan = results.plan
    sections = [section_summary(results),
                *(section_condition(results, condition) for condition in plan.conditions),
                section_rates(results), section_method(results)]
    line = (f"{len(plan.rules)} rules, {len(plan.conditions)} "
            f"{'condition' if len(plan.conditions) == 1 else 'conditions'}, "
            f"{len(plan.seeds)} seeds")
    return report.document(plan.title, line, "\n".join(sections), STYLE)
