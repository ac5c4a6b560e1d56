# SPDX-License-Identifier: MIT
"""Records of ledger gossip beside other rules, and what is made of them; see run.sh and ../records.py.

    ledger.py plan    all runs, in their order: RUN ARGS...
"""

import statistics
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))
from record_io import FOLDER, read, run_record, table

POINT = ("images", "wall_seconds", "virtual_seconds", "train_loss", "test_accuracy",
         "worst_node_accuracy", "consensus_error", "effective_nodes", "messages_sent", "bytes_sent",
         "age_mean", "age_max")
SIGN = "--rule ledger_gossip --codec sign"
# Name: arguments, label, colour. Those before `gosgd` are in the figure's first row.
CONTENDERS = {
    "sync": ("--rule sync", "synchronous", "#238b45"),
    "ledger@1": (f"{SIGN} --probability 1", "ledger gossip, p = 1", "#08306b"),
    "ledger@0.5": (f"{SIGN} --probability 0.5", "ledger gossip, p = 0.5", "#2171b5"),
    "ledger@0.25": (f"{SIGN} --probability 0.25", "ledger gossip, p = 0.25", "#6baed6"),
    "persyn": ("--rule persyn --tau 10", "PerSyn, every 10 steps", "#d94801"),
    "slowmo": ("--rule slowmo --tau 10", "SlowMo, every 10 steps", "#e6ab02"),
    "gosgd": ("--rule gosgd --probability 0.1", "GoSGD, p = 0.1", "#6a51a3"),
    "elastic_gossip": ("--rule elastic_gossip --probability 0.1", "Elastic Gossip, p = 0.1",
                       "#dd1c77"),
    "ad_psgd": ("--rule ad_psgd --probability 0.1", "AD-PSGD, p = 0.1", "#8c510a"),
    "sgp": ("--rule sgp", "SGP", "#525252"),
}
OPTIMIZERS = ("quasi_global", "sgd")
RATES = ("0.02", "0.01", "0.04")
SEVERAL_SEEDS = ("sync", "ledger@1", "ledger@0.5", "ledger@0.25", "persyn", "slowmo", "gosgd",
                 "elastic_gossip")
ON_CLUSTERS = ("sync", "ledger@1", "persyn", "gosgd")
CLUSTERS = ("straggler", "fast", "far", "lognormal")
GOAL = 0.6


def record(name, folder):
    return run_record(folder, POINT)


def by_run(runs):
    """{(where, name, optimizer, rate, seed): run}"""
    result = {}
    for key, run in runs.items():
        where, name, setting, seed = key.split("/")
        optimizer, _, rate = setting.partition("-")
        result[where, name, optimizer, rate, int(seed)] = run
    return result


def end(run):
    return run["points"][-1]


def best(runs, name, optimizers=OPTIMIZERS):
    """(optimizer, rate) of the best trial; None as long as one of them is missing."""
    trials = {(optimizer, rate): runs.get(("equal", name, optimizer, rate, 1))
              for optimizer in optimizers for rate in RATES}
    if None in trials.values():
        return None
    return max(trials, key=lambda key: end(trials[key])["test_accuracy"])


def plan(runs):
    """Yields (where, name, optimizer, rate, seed)."""
    for optimizer in OPTIMIZERS:
        for rate in RATES:
            for name in CONTENDERS:
                yield "equal", name, optimizer, rate, 1
    chosen = {name: best(runs, name) for name in CONTENDERS}
    for where in CLUSTERS:
        for seed in (1, 2, 3):
            for name in ON_CLUSTERS:
                if chosen[name]:
                    yield where, name, *chosen[name], seed
    for seed in (1, 2, 3, 4, 5):
        for name in SEVERAL_SEEDS:
            for optimizer in OPTIMIZERS:
                if setting := best(runs, name, (optimizer,)):
                    if seed > 1:
                        yield "equal", name, *setting, seed
                    yield "threads", name, *setting, seed


def percent(runs):
    """The mean, and half of the distance between the worst and the best."""
    if not runs:
        return ""
    values = [100 * end(run)["test_accuracy"] for run in runs]
    text = f"{statistics.fmean(values):.1f}"
    return text + (f" ± {(max(values) - min(values)) / 2:.1f}" if len(values) > 1 else "")


def seeds_of(runs, where, name, optimizer, rate):
    return [run for key, run in sorted(runs.items()) if key[:4] == (where, name, optimizer, rate)]


def seconds_to_goal(run):
    """Virtual seconds until the first evaluation that is good enough; None if there is none."""
    return next((point["virtual_seconds"] for point in run["points"]
                 if point["test_accuracy"] >= GOAL), None)


def table_of_trials(runs):
    """Accuracy at each rate, seed 1, equal machines."""
    rows = []
    for name in CONTENDERS:
        for optimizer in OPTIMIZERS:
            trials = [runs.get(("equal", name, optimizer, rate, 1)) for rate in sorted(RATES)]
            done = [run for run in trials if run]
            if not done:
                continue
            sent = statistics.fmean(end(run)["bytes_sent"] for run in done) / 1e6
            rows.append([CONTENDERS[name][1], optimizer.replace("_", "-"), f"{sent:,.0f}",
                         *(percent([run] if run else []) for run in trials)])
    return table(("rule", "optimizer", "megabytes sent",
                  *(f"rate {rate}, %" for rate in sorted(RATES))), rows)


def table_of_seeds(runs):
    """The best rate of each, several seeds."""
    rows = []
    for name in SEVERAL_SEEDS:
        for optimizer in OPTIMIZERS:
            if not (setting := best(runs, name, (optimizer,))):
                continue
            equal = seeds_of(runs, "equal", name, *setting)
            threads = seeds_of(runs, "threads", name, *setting)
            rows.append([CONTENDERS[name][1], optimizer.replace("_", "-"), setting[1],
                         f"{statistics.fmean(end(run)['bytes_sent'] for run in equal) / 1e6:,.0f}",
                         percent(equal), str(len(equal)), percent(threads), str(len(threads))])
    return table(("rule", "optimizer", "learning rate", "megabytes sent", "simulated, %", "seeds",
                  "threads, %", "seeds"), rows) if rows else ""


def table_of_times(runs):
    """Virtual seconds to 60 %, each at its best setting, and the ratio to synchronous SGD."""
    rows = []
    for where in ("equal", *CLUSTERS):
        times = {}
        for name in ON_CLUSTERS:
            if setting := best(runs, name):
                found = [seconds_to_goal(run) for run in seeds_of(runs, where, name, *setting)]
                if found:
                    times[name] = None if None in found else statistics.fmean(found)
        for name, seconds in times.items():
            fair = seconds and times.get("sync")
            rows.append([where, CONTENDERS[name][1], f"{seconds:.1f}" if seconds else "not reached",
                         f"{times['sync'] / seconds:.2f}" if fair else ""])
    return table(("cluster", "rule", "virtual s to 60 %", "times as fast as synchronous"),
                 rows) if rows else ""


def texts(runs):
    runs = by_run(runs)
    made = (table_of_trials(runs), table_of_seeds(runs), table_of_times(runs))
    return {"records/ledger.md": "\n".join(text for text in made if text)}


def shown(runs, name):
    """The run of seed 1 that the figure shows: the best setting so far."""
    candidates = [run for key, run in runs.items() if key[:2] == ("equal", name) and key[4] == 1]
    return max(candidates, key=lambda run: end(run)["test_accuracy"], default=None)


def draw(runs):
    import matplotlib.pyplot as plt

    runs = by_run(runs)
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.6), sharey=True)
    for name, (_, label, colour) in CONTENDERS.items():
        run = shown(runs, name)
        if not run:
            continue
        label += f" ({run['optimizer'].replace('_', '-')}, {run['learning_rate']:g})"
        accuracy = [100 * point["test_accuracy"] for point in run["points"]]
        line = "-" if name.startswith("ledger") else "--"
        for axis, key, scale in zip(axes, ("bytes_sent", "images", "virtual_seconds"),
                                    (1e-6, 1e-3, 1)):
            axis.plot([scale * point[key] for point in run["points"]], accuracy, color=colour,
                      linestyle=line, label=label)
    axes[0].set_xscale("log")
    for axis, title in zip(axes, ("megabytes sent", "thousands of images, over all nodes",
                                  "virtual seconds, 1 Gbit/s")):
        axis.set_xlabel(title)
        axis.grid(alpha=0.3, which="both")
        axis.set_ylim(bottom=40)
    axes[0].set_ylabel("test accuracy of the mean model, %")
    axes[2].legend(fontsize=7, loc="lower right")
    figure.suptitle("CIFAR-10, 8 equal machines, 200,000 images, seed 1, each at the best of its "
                    "trials")
    return figure


if __name__ == "__main__":
    if sys.argv[1:] != ["plan"]:
        sys.exit(__doc__)
    for where, name, optimizer, rate, seed in plan(by_run(read(FOLDER / "ledger.jsonl"))):
        print(f"{where}/{name}/{optimizer}-{rate}/{seed}", CONTENDERS[name][0],
              f"--optimizer {optimizer} --learning-rate {rate} --seed {seed}")
