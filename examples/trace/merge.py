#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes one trace of those that the processes of a run have written, on one clock.

    ./examples/run.sh trace FILE... --out merged.json

FILE is what observe::Trace has written (cifar10 --trace). Each has the clock of its process. How
far they are apart follows from the messages: one that is sent at s by a clock and received at r by
another says that the second is at most r - s ahead. Such bounds add up along chains of messages;
the shortest chains to a clock and from it bound it from both sides, and it is taken to be in the
middle, as in NTP: for two processes, half of the difference of their least one-way times. So no
arrow leads back in time. Where messages went one way only, the bound itself is taken, and it is
said. Clocks must run equally fast: what they drift apart is said, too.

The merged trace has all lanes, and an arrow from each message's sending to where it ended.
"""
import argparse
import collections
import json
import math
import pathlib
import re
import sys

NODES, WEIGHTS = 1, 2  # the processes of the trace, in its format's sense
FACE = ("kind", "round", "step", "weight")  # of a message, beside who sends it to whom


class Problem(Exception):
    """What a user is told, in one sentence."""


# Reading.

def parse(path):
    """The events of a file; a process that was killed has left no end, or half of the last one."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"{path}: cannot be read: {error}") from error
    try:
        return json.loads(text), True
    except ValueError:
        pass
    lines = text.rstrip().removesuffix(",").split("\n")
    for whole in (lines, lines[:-1]):
        try:
            return json.loads("\n".join(whole).rstrip().removesuffix(",") + "]"), False
        except ValueError as error:
            reason = error
    raise Problem(f"{path}: is no trace: {reason}")


def number(path, place, of, key, kind=(int, float)):
    """of[key], which must be a number."""
    value = of.get(key)
    if isinstance(value, bool) or not isinstance(value, kind) or not math.isfinite(value):
        raise Problem(f"{path}: event {place} ({of.get('name', 'its arguments')}): {key} must be "
                      f"a number, got {json.dumps(value)}")
    return value


class Trace:
    """A file: its lanes' nodes, its events but for arrows, with times in ns, and its messages."""

    def __init__(self, path):
        self.path = path
        events, self.is_whole = parse(path)
        if not isinstance(events, list):
            raise Problem(f"{path}: is no trace: must be a list of events, got "
                          f"{type(events).__name__}")
        self.unix = None  # when its clock was 0
        self.names = {}  # of lanes
        self.nodes = {}  # of lanes
        self.events = []  # (time, event)
        for place, event in enumerate(events, 1):
            if not isinstance(event, dict) or not isinstance(event.get("ph"), str) or \
                    not isinstance(event.get("name"), str) or \
                    not isinstance(event.get("args", {}), dict):
                raise Problem(f"{path}: event {place} is none: it must be an object with ph, name "
                              "and args")
            self.take(place, event)
        self.messages()

    def take(self, place, event):
        kind, name, args = event["ph"], event["name"], event.get("args", {})
        if kind == "M":
            if name == "thread_name":
                lane = number(self.path, place, event, "tid", int)
                found = re.match(r"node (\d+)", str(args.get("name")))
                if not found:
                    raise Problem(f"{self.path}: event {place}: a lane must be of a node, got "
                                  f"{json.dumps(args.get('name'))}")
                self.names[lane], self.nodes[lane] = args["name"], int(found[1])
            elif name == "clock":
                self.unix = number(self.path, place, args, "unix_ns", int)
            return
        if kind not in ("X", "i", "C"):
            return  # arrows are drawn anew
        if kind != "C" and number(self.path, place, event, "tid", int) not in self.nodes:
            raise Problem(f"{self.path}: event {place} ({name}): its lane has no name")
        if kind == "X" and number(self.path, place, event, "dur") < 0:
            raise Problem(f"{self.path}: event {place} ({name}): dur must not be negative, got "
                          f"{event['dur']}")
        self.events.append((round(1000 * number(self.path, place, event, "ts")), place, event))

    def messages(self):
        """What was sent, received and returned: (from, to, face) -> [(time, lane)]."""
        self.sent, self.received, self.returned = ({} for _ in range(3))
        self.events.sort(key=lambda one: one[:2])
        for time, place, event in self.events:
            books = {"send": self.sent, "receive": self.received, "returned": self.returned}
            if event["ph"] != "X" or event["name"] not in books:
                continue
            node = self.nodes[event["tid"]]
            args = event.get("args", {})
            peer = number(self.path, place, args, "to" if event["name"] == "send" else "from", int)
            ends = (peer, node) if event["name"] == "receive" else (node, peer)
            face = tuple(number(self.path, place, args, key) for key in FACE)
            books[event["name"]].setdefault(ends + face, []).append((time, event["tid"]))


# Messages.

Arrow = collections.namedtuple("Arrow", "begin end is_sure is_back")  # ends: (trace, time, lane)


def arrows_of(traces):
    """All arrows, and how many messages have no end, or no beginning, in these files."""
    books = []
    for which in ("sent", "received", "returned"):
        book = collections.defaultdict(list)
        for i, trace in enumerate(traces):
            for key, times in getattr(trace, which).items():
                book[key] += [(i, time, lane) for time, lane in times]
        books.append(book)
    sent, received, returned = books
    arrows, no_end, no_begin = [], 0, 0
    for key in sent.keys() | received.keys() | returned.keys():
        begins, ends, backs = sent[key], received[key], returned[key]
        # Those alike arrive in their order, and the last ones come back.
        is_sure = len(begins) == 1 and len(ends) + len(backs) <= 1
        for end in reversed(backs):
            if begins:
                arrows.append(Arrow(begins.pop(), end, is_sure, True))
        arrows += [Arrow(begin, end, is_sure, False) for begin, end in zip(begins, ends)]
        no_end += max(0, len(begins) - len(ends))
        no_begin += max(0, len(ends) - len(begins))
    return arrows, no_end, no_begin


# Clocks.

def close(least, slack):
    """The shortest chains; None if some lead back to where they began in less than no time."""
    places = range(len(least))
    closed = [[least[a][b] + slack if a != b else 0 for b in places] for a in places]
    for k in places:
        for a in places:
            for b in places:
                closed[a][b] = min(closed[a][b], closed[a][k] + closed[k][b])
    return closed if all(closed[a][a] == 0 for a in places) else None


def bounds_of(count, arrows):
    """bounds[a][b]: by how many ns the clock of b is ahead of that of a at most, by chains of
    messages; and the least that must be added to each message's time for them not to contradict
    each other."""
    least = [[math.inf] * count for _ in range(count)]
    for is_sure in (True, False):  # the others only where there are none of these
        found = {}
        for arrow in arrows:
            (a, begin, _), (b, end, _) = arrow.begin, arrow.end
            if a != b and arrow.is_sure == is_sure:
                found[a, b] = min(found.get((a, b), math.inf), end - begin)
        for (a, b), time in found.items():
            if least[a][b] == math.inf:
                least[a][b] = time
    low, high = -1, 0
    while close(least, high) is None:
        low, high = high, 2 * high + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if close(least, middle) is None else (low, middle)
    return close(least, high), high


class Clock:
    """How far a file's clock is ahead of the first one's, in ns, and how that was found."""

    def __init__(self, offset, low, high, slack):
        self.offset, self.high = offset, high
        self.error = max(high - offset, offset - low) + slack
        if math.isfinite(self.error):
            self.how = "both ways"
        elif math.isfinite(low) or math.isfinite(high):
            self.how = "one way"
        else:
            self.how = "wall clock"


def clocks_of(traces, arrows):
    """Places each clock within what those before it leave; the nearest first."""
    bounds, slack = bounds_of(len(traces), arrows)
    placed = {0: 0}
    while len(placed) < len(traces):
        def range_of(b):
            return (max(time - bounds[b][a] for a, time in placed.items()),
                    min(time + bounds[a][b] for a, time in placed.items()))

        def rank(b):
            low, high = range_of(b)
            return (high - low, low == -math.inf and high == math.inf)

        best = min((b for b in range(len(traces)) if b not in placed), key=rank)
        low, high = range_of(best)
        if math.isfinite(low) and math.isfinite(high):
            placed[best] = (low + high) // 2
        elif math.isfinite(high) or math.isfinite(low):
            placed[best] = high if math.isfinite(high) else low
        else:
            unix = traces[0].unix, traces[best].unix
            placed[best] = 0 if None in unix else unix[0] - unix[1]
    clocks = [Clock(placed[b], -bounds[b][0], bounds[0][b], slack if b else 0)
              for b in range(len(traces))]
    for clock, trace in zip(clocks, traces):
        if clock.how == "wall clock" and None in (trace.unix, traces[0].unix):
            clock.how = "nothing"
    clocks[0].how = "reference"
    return clocks, slack


# Writing.

def merged_events(traces, clocks, arrows):
    """Events of the merged trace, whose clock is the first file's, from the first event on."""
    begin = min((time - clock.offset for trace, clock in zip(traces, clocks)
                 for time, _, _ in trace.events), default=0)

    def placed(i, time):
        return (time - clocks[i].offset - begin) / 1000

    for process, name in ((NODES, "nodes"), (WEIGHTS, "weight")):
        yield meta("process_name", process, None, name=name)
        yield meta("process_sort_index", process, None, sort_index=process)
    lanes = sorted((trace.nodes[lane], i, lane) for i, trace in enumerate(traces)
                   for lane in trace.nodes)
    threads = {(i, lane): place for place, (_, i, lane) in enumerate(lanes, 1)}
    for node, i, lane in lanes:
        name = traces[i].names[lane]
        if sum(other == node for other, _, _ in lanes) > 1:
            name += f" ({traces[i].path.name})"
        yield meta("thread_name", NODES, threads[i, lane], name=name)
        yield meta("thread_sort_index", NODES, threads[i, lane], sort_index=threads[i, lane])
    flows = collections.defaultdict(list)  # at the slices that they hang on
    for flow, arrow in enumerate(arrows, 1):
        flows[("send", *arrow.begin)].append({"ph": "s", "id": flow})
        name = "returned" if arrow.is_back else "receive"
        flows[(name, *arrow.end)].append({"ph": "f", "id": flow, "bp": "e"})
    for i, trace in enumerate(traces):
        for time, _, event in trace.events:
            lane = event.get("tid")
            event = {**event, "pid": WEIGHTS if event["ph"] == "C" else NODES,
                     "ts": placed(i, time)}
            if lane is not None:
                event["tid"] = threads[i, lane]
            yield event
            hanging = flows.get((event["name"], i, time, lane))
            if hanging and event["ph"] == "X":
                yield {"cat": "gossamer", "pid": NODES, "tid": event["tid"], "ts": event["ts"],
                       "name": "message", **hanging.pop(0)}


def meta(what, process, thread, **args):
    event = {"ph": "M", "cat": "gossamer", "pid": process, "ts": 0, "name": what, "args": args}
    return event if thread is None else {**event, "tid": thread}


def description(traces, clocks, slack):
    """Of the clocks, for the merged file."""
    return {"slack_seconds": slack / 1e9, "clocks": [
        {"file": trace.path.name, "nodes": sorted(set(trace.nodes.values())),
         "ahead_seconds": clock.offset / 1e9,
         "error_seconds": clock.error / 1e9 if math.isfinite(clock.error) else None,
         "found_by": clock.how, "is_whole": trace.is_whole}
        for trace, clock in zip(traces, clocks)]}


def ms(time):
    return f"{time / 1e6:.3f} ms"


def sentence(trace, clock, first):
    """What is known of a clock."""
    how = clock.how
    if how == "nothing":
        return f"{trace.path}: no message connects it with {first}, and nothing says what time it was"
    if how == "reference":
        return f"{trace.path}: the clock of the merged trace"
    text = f"{trace.path}: {ms(abs(clock.offset))} {'ahead' if clock.offset >= 0 else 'behind'}"
    if how == "both ways":
        return f"{text}, +- {ms(clock.error)}"
    if how == "one way":
        bound = "at most" if math.isfinite(clock.high) else "at least"
        return (f"{text}, which is a bound ({bound} {ms(clock.offset)} ahead): between {first} and "
                "it messages went one way only")
    return f"{text} by the clocks of the machines, as no message connects it with {first}"


def main():
    parser = argparse.ArgumentParser(prog="trace", formatter_class=argparse.RawTextHelpFormatter,
                                     description=__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, required=True, metavar="FILE")
    arguments = parser.parse_args()
    try:
        traces = [Trace(path) for path in arguments.files]
        arrows, no_end, no_begin = arrows_of(traces)
        clocks, slack = clocks_of(traces, arrows)
        with arguments.out.open("w", encoding="utf-8") as out:
            about = json.dumps(description(traces, clocks, slack))
            out.write('{"displayTimeUnit": "ms", "otherData": ' + about + ', "traceEvents": [\n')
            out.write(",\n".join(map(json.dumps, merged_events(traces, clocks, arrows))))
            out.write("\n]}\n")
    except Problem as problem:
        print(f"trace: {problem}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"trace: {arguments.out}: cannot be written: {error}", file=sys.stderr)
        return 2
    for trace, clock in zip(traces, clocks):
        print(sentence(trace, clock, traces[0].path)
              + ("" if trace.is_whole else "; it has no end: its process was killed, or still runs"))
    if slack:
        print(f"the clocks contradict each other by up to {ms(slack)}: they drift apart, and so "
              "much can arrows lead back in time")
    print(f"{len(arrows)} arrows; {no_end} messages without an end in these files, "
          f"{no_begin} without a beginning")
    print(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
