# SPDX-License-Identifier: MIT
"""The tables of speed: of the library's parts, of TCP, of the simulator."""

import json
import statistics
import sys
from pathlib import Path

from record_io import FOLDER, machine, read, table

HEAD = ("what", "figure", "beside", "ratio", "limit", "held")
UNITS = {"MB": 1e6, "GB": 1e9}
# Kernels that are compared: ours, its rival, what the rival is called, what must be reached.
KERNELS = (("snapshot", "memory_copy", "memcpy", 0.9), ("merge", "best_loop", "best loop", 0.9),
           ("merge", "libtorch_lerp", "`lerp_`", None))


def row(question, figure, rival, ratio, limit=None, above=True):
    """limit: what the ratio must reach (above) or may be at most."""
    held = "" if limit is None else ("yes" if (ratio >= limit) == above or ratio == limit else "NO")
    bound = "" if limit is None else f"{'>=' if above else '<='} {limit:g}"
    return question, figure, rival, f"{ratio:.3g}", bound, held


def summary_of_kernels(result):
    """Of all repetitions the best and the median, in bytes per second, and ratios of the best."""
    speeds = {}
    for one in result["benchmarks"]:
        if one["run_type"] == "iteration":
            speeds.setdefault(one["run_name"], []).append(one["bytes_per_second"])
    best = {name: max(values) for name, values in speeds.items()}
    return {"best": best, "median": {name: statistics.median(values)
                                     for name, values in speeds.items()},
            "ratio": {f"{name} / {rival}": best[name] / best[rival]
                      for name, rival, *_ in compared_kernels()}}


def compared_kernels():
    for ours, theirs, text, limit in KERNELS:
        for size in (1, 16, 256):
            yield f"{ours}/{size}", f"{theirs}/{size}", text, limit


def kernels(result):
    best = result["best"]
    for name, rival, text, limit in compared_kernels():
        what, _, size = name.partition("/")
        yield row(f"{what}, {size} MB", f"{best[name] / 1e9:.1f} GB/s",
                  f"{text}: {best[rival] / 1e9:.1f} GB/s", result["ratio"][f"{name} / {rival}"],
                  limit)


def throughput(result):
    def compare(name, rival, limit, text):
        if name in result and rival in result:
            a, b = (result[key]["images_per_second"] for key in (name, rival))
            yield row(f"training, {text}", f"{a:.0f} images/s", f"{rival}: {b:.0f} images/s",
                      result[name]["of_none"] / result[rival]["of_none"], limit)

    yield from compare("gosgd p=0.02", "none", 0.98, "8 nodes, gosgd p = 0.02")
    yield from compare("gosgd p=1", "none", 0.9, "8 nodes, gosgd p = 1")
    yield from compare("none", "bare loop", 0.9, "the example's job")
    yield from compare("channels last", "none", None, "channels last")
    for name in ("gosgd p=0.02", "gosgd p=1", "sync"):
        yield from compare(name, "gloo all-reduce", None, f"8 nodes, {name}")


def straggler(result):
    rival = "gloo all-reduce" if "gloo all-reduce" in result else "sync"
    for name in ("gosgd p=0.02", "gosgd p=1", "sync"):
        a, b = (result[key]["images_per_second"] for key in (name, rival))
        yield row(f"one of 8 four times slower, {name}", f"{a:.0f} images/s",
                  f"{rival}: {b:.0f} images/s", result[name]["of_none"] / result[rival]["of_none"])


def memory(result):
    yield row("allocations per exchange", f"{result['allocations_per_exchange']:g}", "none",
              result["allocations_per_exchange"], 0, above=False)
    yield row("peak memory per node, in models", f"{result['peak_models_per_node']:.3f}",
              "model + gradient + 3 snapshots", result["peak_models_per_node"] / 5, 1.001,
              above=False)


def includes(result):
    for header, name, limit in (("gossamer.hpp", "gossamer", 1.15),
                                ("distributed.hpp", "distributed", 1.2)):
        yield row(f"compiling `{header}` with `torch.h`", f"{result[f'with_{name}_seconds']:.1f} s",
                  f"`torch.h` alone: {result['torch_only_seconds']:.1f} s",
                  1 + result[f"added_{name}"], limit, above=False)


def plain_first(names):
    """Of names such as "TLS, 1.1 MB": smaller ones first, plain ones before those with TLS."""

    def place(name):
        number, unit = name.split(", ")[1].split()
        return float(number) * UNITS[unit], "TLS" in name

    return sorted(names, key=place)


def stream(result):
    for name in plain_first(result):
        one = result[name]
        a, b = one["bytes_per_second"], one["raw_bytes_per_second"]
        yield row(f"stream, {name}", f"{a / 1e6:.0f} MB/s",
                  f"raw Asio{' and OpenSSL' if 'TLS' in name else ''}: {b / 1e6:.0f} MB/s", a / b,
                  0.9)
        a, b = one["cpu_nanoseconds_per_byte"], one["raw_cpu_nanoseconds_per_byte"]
        yield row("the same, CPU time of both sides", f"{a:.2f} ns/byte", f"{b:.2f} ns/byte", a / b)


def transport(result):
    for name in plain_first(result["messages"]):
        one = result["messages"][name]
        a, b = one["bytes_per_second"], one["raw_bytes_per_second"]
        secured = "TLS" in name
        yield row(f"whole messages, {name}", f"{a / 1e6:.0f} MB/s",
                  f"raw Asio{' and OpenSSL' if secured else ''}: {b / 1e6:.0f} MB/s", a / b,
                  0.8 if "1.1 MB" in name and not secured else 0.9)
        for rival, key in (("blocking sockets, nothing checked", "blocking"), ("iperf3", "iperf3")):
            if c := one[f"{key}_bytes_per_second"]:
                yield row("the same", f"{a / 1e6:.0f} MB/s", f"{rival}: {c / 1e6:.0f} MB/s", a / c)
        a, b = one["cpu_nanoseconds_per_byte"], one["raw_cpu_nanoseconds_per_byte"]
        yield row("the same, CPU time of both sides", f"{a:.2f} ns/byte", f"{b:.2f} ns/byte", a / b)
    for cores in sorted(result["round_trip"], reverse=True):  # two cores, one core
        one = result["round_trip"][cores]
        yield row(f"1 KB, until the sender knows that it is there, {cores}",
                  f"{1e6 * one['seconds']:.1f} us", f"raw Asio: {1e6 * one['raw_seconds']:.1f} us",
                  one["ratio"], 1.5, above=False)


def processes(result):
    for name, one in sorted(result.items()):
        yield row(f"training, 4 processes over TCP, {name}",
                  f"{one['images_per_second']:.0f} images/s",
                  f"never gossip: {one['rival_images_per_second']:.0f} images/s", one["ratio"],
                  0.95 if "0.02" in name else None)


class Speed:
    """A record whose lines are each a question's measurements, and become rows of one table."""

    def __init__(self, name, *questions):
        self.name = name
        self.questions = {question.__name__: question for question in questions}

    def record(self, name, source):
        result = json.loads(Path(source).read_text())
        if name == "kernels":
            result = summary_of_kernels(result)
        return {"machine": machine(), "result": result}

    def rows(self, runs):
        """{question: rows}"""
        return {name: list(question(runs[name]["result"]))
                for name, question in self.questions.items() if name in runs}

    def texts(self, runs):
        rows = self.rows(runs)
        machines = {}
        for name in rows:
            machines.setdefault(runs[name]["machine"], []).append(name)
        said = [f"Measured on {where}." if len(machines) == 1 else
                f"{', '.join(names)}: measured on {where}." for where, names in machines.items()]
        body = table(HEAD, (one for some in rows.values() for one in some))
        return {f"records/{self.name}.md": "\n".join(said) + f"\n\n{body}"}


class Simulator:
    """A line for each number of nodes."""

    def record(self, name, source):
        return {"machine": machine(), **json.loads(Path(source).read_text())}

    def texts(self, runs):
        head = ("nodes", "messages", "events", "events per CPU second", "in the first tenth",
                "in the last tenth", "peak MB", "kB per node")
        speed = "events_per_second"
        body = table(head, [
            (f"{run['nodes']:,}", f"{run['messages']:,}", f"{run['events']:,}", f"{run[speed]:,.0f}",
             f"{run[f'{speed}_in_the_first_tenth']:,.0f}",
             f"{run[f'{speed}_in_the_last_tenth']:,.0f}", f"{run['peak_megabytes']:.0f}",
             f"{run['peak_megabytes'] * 1e3 / run['nodes']:.1f}")
            for run in sorted(runs.values(), key=lambda run: run["nodes"])])
        where = " and ".join(sorted({run["machine"] for run in runs.values()}))
        return {"records/simulator.md":
                f"Measured on {where}; one of them is used, and LibTorch's own memory not counted.\n"
                "Nodes of 100 parameters, 8 peers each, GoSGD with p = 1: "
                f"`./benchmarks/run.sh simulator`.\n\n{body}"}


QUESTIONS = {"performance": Speed("performance", kernels, throughput, straggler, memory, includes),
             "network": Speed("network", stream, transport, processes), "simulator": Simulator()}


def held(names):
    """Prints the rows of the questions in `names`, or all; fails if one misses its limit."""
    rows = [row for record, question in QUESTIONS.items() if isinstance(question, Speed)
            for name, some in question.rows(read(FOLDER / f"{record}.jsonl")).items()
            if not names or name in names for row in some]
    if rows:
        print(table(HEAD, rows), end="")
    if any(row[-1] == "NO" for row in rows):
        sys.exit("a limit was missed")
