# SPDX-License-Identifier: MIT
"""The performance table from what run.sh measured: table.py MEASUREMENTS RECORDS."""

import json
import statistics
import sys
from pathlib import Path

from record_io import machine, write

rows = []


def row(question, figure, rival, ratio, limit=None, above=True):
    """limit: what the ratio must reach (above) or may be at most."""
    held = "" if limit is None else ("yes" if (ratio >= limit) == above or ratio == limit else "NO")
    bound = "" if limit is None else f"{'>=' if above else '<='} {limit:g}"
    rows.append((question, figure, rival, f"{ratio:.3g}", bound, held))


def kernels(result):
    speeds = {}
    for one in result["benchmarks"]:
        if one["run_type"] == "iteration":
            speeds.setdefault(one["run_name"], []).append(one["bytes_per_second"] / 1e9)
    best = {name: max(values) for name, values in speeds.items()}
    for ours, theirs, text in (("snapshot", "memory_copy", "memcpy"),
                               ("merge", "best_loop", "best loop"),
                               ("merge", "libtorch_lerp", "`lerp_`")):
        for size in (1, 16, 256):
            a, b = best[f"{ours}/{size}"], best[f"{theirs}/{size}"]
            row(f"{ours}, {size} MB", f"{a:.1f} GB/s", f"{text}: {b:.1f} GB/s", a / b,
                None if theirs == "libtorch_lerp" else 0.9)


def throughput(result):
    def compare(name, rival, limit, text):
        a, b = (result[key]["images_per_second"] for key in (name, rival))
        ratio = result[name]["of_none"] / result[rival]["of_none"]
        row(f"training, {text}", f"{a:.0f} images/s", f"{rival}: {b:.0f} images/s", ratio, limit)

    compare("gosgd p=0.02", "none", 0.98, "8 nodes, gosgd p = 0.02")
    compare("gosgd p=1", "none", 0.9, "8 nodes, gosgd p = 1")
    if "bare loop" in result:
        compare("none", "bare loop", 0.9, "the example's job")
        compare("channels last", "none", None, "channels last")
    if "gloo all-reduce" in result:
        for name in ("gosgd p=0.02", "gosgd p=1", "sync"):
            compare(name, "gloo all-reduce", None, f"8 nodes, {name}")


def straggler(result):
    rival = "gloo all-reduce" if "gloo all-reduce" in result else "sync"
    for name in ("gosgd p=0.02", "gosgd p=1", "sync"):
        a, b = (result[key]["images_per_second"] for key in (name, rival))
        row(f"one of 8 four times slower, {name}", f"{a:.0f} images/s",
            f"{rival}: {b:.0f} images/s", result[name]["of_none"] / result[rival]["of_none"])


def memory(result):
    row("allocations per exchange", f"{result['allocations_per_exchange']:g}", "none",
        result["allocations_per_exchange"], 0, above=False)
    row("peak memory per node, in models", f"{result['peak_models_per_node']:.3f}",
        "model + gradient + 3 snapshots", result["peak_models_per_node"] / 5, 1.001, above=False)


def includes(result):
    row("compiling `gossamer.hpp` with `torch.h`", f"{result['with_gossamer_seconds']:.1f} s",
        f"`torch.h` alone: {result['torch_only_seconds']:.1f} s", 1 + result["added"], 1.15,
        above=False)


def stream(result):
    for name, one in result.items():
        a, b = one["bytes_per_second"], one["raw_bytes_per_second"]
        row(f"stream, {name}", f"{a / 1e6:.0f} MB/s",
            f"raw Asio{' and OpenSSL' if 'TLS' in name else ''}: {b / 1e6:.0f} MB/s", a / b, 0.9)
        a, b = one["cpu_nanoseconds_per_byte"], one["raw_cpu_nanoseconds_per_byte"]
        row("the same, CPU time of both sides", f"{a:.2f} ns/byte", f"{b:.2f} ns/byte", a / b)


def transport(result):
    for name, one in result["messages"].items():
        a, b = one["bytes_per_second"], one["raw_bytes_per_second"]
        secured = "TLS" in name
        row(f"whole messages, {name}", f"{a / 1e6:.0f} MB/s",
            f"raw Asio{' and OpenSSL' if secured else ''}: {b / 1e6:.0f} MB/s", a / b,
            0.8 if "1.1 MB" in name and not secured else 0.9)
        for rival, key in (("blocking sockets, nothing checked", "blocking"), ("iperf3", "iperf3")):
            if c := one[f"{key}_bytes_per_second"]:
                row("the same", f"{a / 1e6:.0f} MB/s", f"{rival}: {c / 1e6:.0f} MB/s", a / c)
        a, b = one["cpu_nanoseconds_per_byte"], one["raw_cpu_nanoseconds_per_byte"]
        row("the same, CPU time of both sides", f"{a:.2f} ns/byte", f"{b:.2f} ns/byte", a / b)
    for cores, one in result["round_trip"].items():
        row(f"1 KB, until the sender knows that it is there, {cores}",
            f"{1e6 * one['seconds']:.1f} us", f"raw Asio: {1e6 * one['raw_seconds']:.1f} us",
            one["ratio"], 1.5, above=False)


def processes(result):
    for name, one in result.items():
        row(f"training, 4 processes over TCP, {name}", f"{one['images_per_second']:.0f} images/s",
            f"never gossip: {one['rival_images_per_second']:.0f} images/s", one["ratio"],
            0.95 if "0.02" in name else None)


def table(head, rows):
    return "\n".join("| " + " | ".join(cells) + " |" for cells in
                     (head, ("---",) * len(head), *rows))


def simulator(runs):
    """The table of the simulator, a row for each number of nodes."""
    head = ("nodes", "messages", "events", "events per CPU second", "in the first tenth",
            "in the last tenth", "peak MB", "kB per node")
    speed = "events_per_second"
    return table(head, [
        (f"{run['nodes']:,}", f"{run['messages']:,}", f"{run['events']:,}", f"{run[speed]:,.0f}",
         f"{run[f'{speed}_in_the_first_tenth']:,.0f}", f"{run[f'{speed}_in_the_last_tenth']:,.0f}",
         f"{run['peak_megabytes']:.0f}", f"{run['peak_megabytes'] * 1e3 / run['nodes']:.1f}")
        for run in sorted(runs, key=lambda run: run["nodes"])])


measurements, folder = map(Path, sys.argv[1:])
runs = [json.loads(path.read_text()) for path in measurements.glob("simulator-*.json")]
if runs:
    text = f"""Measured on {machine()}; one of them is used, and LibTorch's own memory not counted.
Nodes of 100 parameters, 8 peers each, GoSGD with p = 1: `./benchmarks/run.sh simulator`.

{simulator(runs)}
"""
    print(text)
    write(folder / "simulator.md", text)


def measured(*questions):
    """Fills `rows`, and returns the measurements by their names."""
    found = {}
    for explain in questions:
        path = measurements / f"{explain.__name__}.json"
        if path.exists():
            found[explain.__name__] = json.loads(path.read_text())
            explain(found[explain.__name__])
    return found


def publish(name, found):
    """Writes the table of `rows` and the measurements; whether all limits were held."""
    head = ("what", "figure", "beside", "ratio", "limit", "held")
    text = f"Measured on {machine()}.\n\n{table(head, rows)}\n"
    print(text)
    write(folder / f"{name}.md", text)
    write(folder / f"{name}.json", json.dumps({"machine": machine(), **found}, indent=1) + "\n")
    held = not any(one[-1] == "NO" for one in rows)
    rows.clear()
    return held


held = True
if network := measured(stream, transport, processes):
    held = publish("network", network)
found = measured(kernels, throughput, straggler, memory, includes)
if not (runs or network or found):
    sys.exit(f"table.py: {measurements} holds no measurements; run benchmarks/run.sh first")
if "kernels" in found:  # what each repetition took is of no interest later
    found["kernels"] = {name: statistics.median(one["bytes_per_second"] for one in
                                                found["kernels"]["benchmarks"]
                                                if one["run_type"] == "iteration" and
                                                one["run_name"] == name)
                        for name in sorted({one["run_name"] for one in
                                            found["kernels"]["benchmarks"]})}
if found:
    held = publish("performance", found) and held
sys.exit(0 if held else 1)
