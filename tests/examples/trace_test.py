#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Traces of several processes, whose clocks are put apart on purpose, as one: the offsets are found
within the bounds that are printed, and no arrow leads back in time. The last line is "N passed, N
failed"."""
import collections
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MS, S = 10**6, 10**9  # in ns


def merge(*arguments):
    return subprocess.run([ROOT / "examples/run.sh", "trace", *arguments], capture_output=True,
                          text=True, timeout=60, check=False)


class Process:
    """What observe::Trace writes for one node, whose clock is `ahead` of the true time."""

    def __init__(self, node, ahead):
        self.node, self.ahead = node, ahead
        self.step, self.weight = 0, 0.5
        self.unix = 1_700_000_000 * S - ahead
        self.events = [
            {"ph": "M", "pid": 1, "ts": 0.0, "name": "process_name", "args": {"name": "nodes"}},
            {"ph": "M", "pid": 1, "ts": 0.0, "name": "clock", "args": {"unix_ns": self.unix}},
            {"ph": "M", "pid": 1, "tid": 1, "ts": 0.0, "name": "thread_name",
             "args": {"name": f"node {node}"}}]

    def add(self, kind, name, time, args, **more):
        event = {"ph": kind, "cat": "gossamer", "pid": 1, "tid": 1,
                 "ts": (time + self.ahead) / 1000, "name": name, "args": args, **more}
        if kind == "C":
            event.pop("tid")
            event["pid"] = 2
        self.events.append(event)

    def send(self, time, to):
        self.step += 1
        self.weight /= 2
        args = {"kind": 0, "round": 0, "step": self.step, "weight": self.weight}
        self.add("X", "send", time, {"to": to, **args, "bytes": 40}, dur=0.0)
        return args

    def receive(self, time, sender, args):
        self.add("X", "receive", time, {"from": sender, **args}, dur=0.0)

    def text(self):
        return "[\n" + ",\n".join(map(json.dumps, self.events)) + "\n]\n"


class TraceTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)
        self.random = random.Random(20170318)

    def write(self, *processes):
        paths = []
        for process in processes:
            paths.append(self.path / f"trace-{process.node}.json")
            paths[-1].write_text(process.text())
        return paths

    def talk(self, processes, pairs, count=300, least=200_000):
        """Messages at random times between these pairs, at least 0.2 ms on their way."""
        for i in range(count):
            a, b = self.random.choice(pairs)
            begin = 100 * S + i * 5 * MS
            delay = least + round(self.random.expovariate(1 / (2 * MS)))
            processes[b].receive(begin + delay, processes[a].node,
                                 processes[a].send(begin, processes[b].node))
        for process in processes:
            process.events[3:] = sorted(process.events[3:], key=lambda event: event["ts"])

    def merged(self, *paths):
        out = self.path / "merged.json"
        done = merge(*paths, "--out", out)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(out.read_text()), done.stdout

    def arrows(self, trace):
        """(begin, end) of each; the slices that they hang on are checked."""
        ends = collections.defaultdict(dict)
        slices = collections.defaultdict(set)
        for event in trace["traceEvents"]:
            if event["ph"] == "X":
                slices[event["tid"], event["ts"]].add(event["name"])
            if event["ph"] in "sf":
                self.assertNotIn(event["ph"], ends[event["id"]])
                ends[event["id"]][event["ph"]] = event
        for one in ends.values():
            self.assertIn("send", slices[one["s"]["tid"], one["s"]["ts"]])
            self.assertTrue({"receive", "returned"} & slices[one["f"]["tid"], one["f"]["ts"]])
        return [(one["s"]["ts"], one["f"]["ts"]) for one in ends.values()]

    def check(self, processes, trace, printed, how="both ways"):
        """The offsets are right within what is printed, and written; no arrow leads back."""
        lines = printed.splitlines()
        clocks = trace["otherData"]["clocks"]
        for process, clock, line in zip(processes[1:], clocks[1:], lines[1:]):
            found = re.search(r": ([\d.]+) ms (ahead|behind), \+- ([\d.]+) ms", line)
            ahead, error = float(found[1]) * (1 if found[2] == "ahead" else -1), float(found[3])
            truth = (process.ahead - processes[0].ahead) / MS
            self.assertLessEqual(abs(ahead - truth), error + 0.001)
            self.assertLess(error, 3)  # the messages allow that
            self.assertAlmostEqual(clock["ahead_seconds"] * 1000, ahead, delta=0.001)
            self.assertAlmostEqual(clock["error_seconds"] * 1000, error, delta=0.001)
            self.assertEqual(clock["found_by"], how)
        for begin, end in self.arrows(trace):
            self.assertLessEqual(begin, end)

    def test_the_clocks_of_two_processes_are_found_5_seconds_apart(self):
        processes = [Process(0, 0), Process(1, 5 * S)]
        self.talk(processes, [(0, 1), (1, 0)])
        trace, printed = self.merged(*self.write(*processes))
        self.check(processes, trace, printed)
        self.assertEqual(len(self.arrows(trace)), 300)
        self.assertIn("300 arrows; 0 messages without an end", printed)

    def test_a_chain_of_processes_is_aligned_end_to_end(self):
        processes = [Process(i, ahead) for i, ahead in
                     enumerate([3 * S, 0, 3 * S + 40 * MS, -7 * S])]
        self.talk(processes, [(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2)], 900)
        trace, printed = self.merged(*self.write(*processes))
        self.check(processes, trace, printed)

    def test_no_arrow_leads_back_among_many(self):
        for seed in range(5):
            self.random.seed(seed)
            processes = [Process(i, self.random.randrange(-9 * S, 9 * S)) for i in range(6)]
            # Few messages: the shortest chain is often not the direct one.
            self.talk(processes, [(a, b) for a in range(6) for b in range(6) if a != b], 120)
            trace, _ = self.merged(*self.write(*processes))
            self.assertEqual(len(self.arrows(trace)), 120)
            for begin, end in self.arrows(trace):
                self.assertLessEqual(begin, end)

    def test_where_messages_go_one_way_the_bound_is_taken_and_said(self):
        for pair, word in (((0, 1), "at most"), ((1, 0), "at least")):
            processes = [Process(0, 0), Process(1, -2 * S)]
            self.talk(processes, [pair])
            trace, printed = self.merged(*self.write(*processes))
            self.assertIn(f"which is a bound ({word} ", printed)
            self.assertIn("one way only", printed)
            clock = trace["otherData"]["clocks"][1]
            self.assertEqual((clock["found_by"], clock["error_seconds"]), ("one way", None))
            self.assertAlmostEqual(clock["ahead_seconds"], -2, delta=0.003)
            self.assertAlmostEqual(min(end - begin for begin, end in self.arrows(trace)), 0,
                                   delta=0.001)

    def test_without_messages_the_machines_clocks_are_taken_and_that_is_said(self):
        processes = [Process(0, 0), Process(1, 2 * S)]
        for process in processes:
            process.add("i", "mark", S, {}, s="t")
        trace, printed = self.merged(*self.write(*processes))
        self.assertIn("2000.000 ms ahead by the clocks of the machines", printed)
        self.assertEqual(trace["otherData"]["clocks"][1]["found_by"], "wall clock")

        processes[1].events.pop(1)
        trace, printed = self.merged(*self.write(*processes))
        self.assertIn("nothing says what time it was", printed)
        self.assertEqual(trace["otherData"]["clocks"][1]["found_by"], "nothing")

    def test_clocks_that_drift_are_said_to(self):
        processes = [Process(0, 0), Process(1, 0)]
        self.talk(processes, [(0, 1), (1, 0)], 200)
        for event in processes[1].events[3:]:
            event["ts"] += (event["ts"] - 100e6) * 0.01
        _, printed = self.merged(*self.write(*processes))
        self.assertIn("the clocks contradict each other by up to", printed)

    def test_messages_that_came_back_lead_back_and_lost_ones_nowhere(self):
        processes = [Process(0, 0), Process(1, 5 * S)]
        self.talk(processes, [(0, 1), (1, 0)], 20)
        back = processes[0].send(200 * S, 1)
        processes[0].add("X", "returned", 201 * S, {"from": 1, **back, "reason": "it was lost"},
                         dur=0.0)
        processes[0].send(202 * S, 1)
        processes[1].receive(203 * S, 0, {"kind": 5, "round": 0, "step": 9, "weight": 0})
        trace, printed = self.merged(*self.write(*processes))
        self.assertEqual(len(self.arrows(trace)), 21)
        self.assertIn("21 arrows; 1 messages without an end in these files, 1 without a beginning",
                      printed)
        self.assertIn(S / 1000, [end - begin for begin, end in self.arrows(trace)])

    def test_equal_messages_arrive_in_their_order(self):
        processes = [Process(0, 0), Process(1, 0)]
        args = {"kind": 1, "round": 2, "step": 3, "weight": 0}
        for i in range(3):
            processes[0].add("X", "send", (10 + i) * MS, {"to": 1, **args, "bytes": 40}, dur=0.0)
            processes[1].receive((20 + 5 * i) * MS, 0, args)
        processes[0].receive(50 * MS, 1, processes[1].send(40 * MS, 0))
        trace, _ = self.merged(*self.write(*processes))
        self.assertEqual(sorted(round(end - begin) for begin, end in self.arrows(trace)),
                         [10_000, 10_000, 14_000, 18_000])

    def test_lanes_weights_and_slices_of_all_files_are_there(self):
        processes = [Process(3, 0), Process(1, 5 * S), Process(1, 9 * S)]
        self.talk(processes[:2], [(0, 1), (1, 0)], 20)
        for process in processes:
            process.add("X", "compute", 100 * S, {}, dur=1500.0)
            process.add("C", f"node {process.node}", 100 * S, {"value": 0.5})
        paths = self.write(*processes[:2])
        paths.append(self.path / "again.json")  # node 1, restarted
        paths[-1].write_text(processes[2].text())
        trace, _ = self.merged(*paths)
        events = trace["traceEvents"]
        names = [event["args"]["name"] for event in events if event["name"] == "thread_name"]
        self.assertEqual(names, ["node 1 (trace-1.json)", "node 1 (again.json)", "node 3"])
        self.assertEqual(len({event["tid"] for event in events if event["name"] == "compute"}), 3)
        self.assertEqual({event["dur"] for event in events if event["name"] == "compute"}, {1500.0})
        self.assertEqual(sorted(event["name"] for event in events if event["ph"] == "C"),
                         ["node 1", "node 1", "node 3"])
        times = [event["ts"] for event in events if event["ph"] != "M"]
        self.assertEqual(min(times), 0)

    def test_a_file_that_ends_anywhere_is_read_as_far_as_it_goes(self):
        processes = [Process(0, 0), Process(1, 5 * S)]
        self.talk(processes, [(0, 1), (1, 0)])
        paths = self.write(*processes)
        text = processes[1].text()
        for length in (len(text) - 1, len(text) - 2, len(text) - 50, len(text) // 2):
            paths[1].write_text(text[:length])
            trace, printed = self.merged(*paths)
            self.check(processes, trace, printed)
            self.assertFalse(trace["otherData"]["clocks"][1]["is_whole"]
                             and length < len(text) - 2)

    def test_a_malformed_file_is_refused_in_a_sentence_with_its_name(self):
        good = Process(0, 0)
        good.send(S, 1)
        paths = self.write(good)
        lane = json.dumps(good.events[2])
        for text, why in [
                ("", "is no trace"),
                ("nothing", "is no trace"),
                ("{}", "must be a list of events, got dict"),
                ("[1]", "event 1 is none"),
                ('[{"ph": "X"}]', "event 1 is none"),
                ('[{"ph": "X", "name": "a", "args": 3}]', "event 1 is none"),
                ('[{"ph": "X", "name": "a", "tid": 1, "ts": 0, "dur": 1}]', "its lane has no name"),
                (f'[{lane}, {{"ph": "X", "name": "a", "tid": 1, "ts": "0", "dur": 1}}]',
                 'event 2 (a): ts must be a number, got "0"'),
                (f'[{lane}, {{"ph": "X", "name": "a", "tid": 1, "ts": NaN, "dur": 1}}]', "ts must"),
                (f'[{lane}, {{"ph": "X", "name": "a", "tid": 1, "ts": 0, "dur": -1}}]',
                 "dur must not be negative, got -1"),
                (f'[{lane}, {{"ph": "X", "name": "send", "tid": 1, "ts": 0, "dur": 0,'
                 '"args": {"to": 1}}]', "kind must be a number, got null"),
                ('[{"ph": "M", "name": "thread_name", "tid": 1, "args": {"name": "network"}}]',
                 'a lane must be of a node, got "network"')]:
            with self.subTest(text):
                bad = self.path / "bad.json"
                bad.write_text(text)
                out = self.path / "merged.json"
                done = merge(*paths, bad, "--out", out)
                self.assertEqual(done.returncode, 2)
                self.assertEqual(done.stdout, "")
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                self.assertIn(str(bad), done.stderr)
                self.assertIn(why, done.stderr)
                self.assertFalse(out.exists())
        done = merge(self.path / "none.json", "--out", self.path / "merged.json")
        self.assertEqual(done.returncode, 2)
        self.assertIn("none.json: cannot be read", done.stderr)


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=0).result
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    sys.exit(failed > 0)
