#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads a folder of runs by the rules of MLflow's own file store, and is stricter.

    python3 tests/observe/read_mlflow.py FOLDER

Prints a JSON list for each experiment, [name], and after it one for each of its runs: name, status,
parameters, tags and metrics, these as [step, value]. The status is 1 after one sentence if something is
wrong. YAML is read as far as it is needed here; where there is PyYAML, it must agree.
"""
import json
import pathlib
import posixpath
import re
import sys
import urllib.parse

try:
    import yaml
except ImportError:
    yaml = None

STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
EXPERIMENT = {"artifact_location": str, "creation_time": int, "experiment_id": str,
              "last_update_time": int, "lifecycle_stage": str, "name": str}
RUN = {"artifact_uri": str, "end_time": (int, type(None)), "entry_point_name": str,
       "experiment_id": str, "lifecycle_stage": str, "run_id": str, "run_name": str, "run_uuid": str,
       "source_name": str, "source_type": int, "source_version": str, "start_time": int, "status": int,
       "tags": list, "user_id": str}


def scalar(text):
    if text[0] == '"':  # JSON's strings but for \xNN
        return json.loads(re.sub(r"((?:^|[^\\])(?:\\\\)*)\\x", r"\1\\u00", text))
    if text[0] == "'":
        return text[1:-1].replace("''", "'")
    if text == "null":
        return None
    if text == "[]":
        return []
    return int(text) if re.fullmatch("[0-9]+", text) else text


def meta(folder, types):
    path = folder / "meta.yaml"
    text = path.read_bytes().decode()
    found = {}
    for line in text.splitlines():
        key, _, value = line.partition(": ")
        found[key] = scalar(value)
    if yaml and yaml.safe_load(text) != found:
        sys.exit(f"{path}: PyYAML reads something else")
    if set(found) != set(types):
        sys.exit(f"{path}: keys {sorted(found)}")
    for key, kind in types.items():
        if not isinstance(found[key], kind):
            sys.exit(f"{path}: {key} is {found[key]!r}")
    if found["lifecycle_stage"] != "active":
        sys.exit(f"{path}: {found['lifecycle_stage']}")
    return found


def files(folder):
    """Name and content of each file; a name has its folders."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        name = str(path.relative_to(folder))
        normal = posixpath.normpath(name)
        if not re.fullmatch(r"[/\w.\- ]*", name, re.ASCII) or normal != name or len(name) > 250:
            sys.exit(f"a file that MLflow refuses: {name!r}")
        yield name, path.read_bytes().decode()


def points(name, text, start):
    if not text.endswith("\n"):
        sys.exit(f"metric {name}: half a line")
    before = start
    for line in text.splitlines():
        time, value, step = line.split(" ")
        if not before <= int(time):
            sys.exit(f"metric {name}: {time} after {before}")
        before = int(time)
        yield [int(step), float(value)]


def read_run(folder, experiment):
    info = meta(folder, RUN)
    if not re.fullmatch("[0-9a-f]{32}", folder.name) or not (
            info["run_id"] == info["run_uuid"] == folder.name):
        sys.exit(f"{folder}: is of run {info['run_id']}")
    if info["experiment_id"] != experiment["experiment_id"]:
        sys.exit(f"{folder}: is of experiment {info['experiment_id']}")
    if info["source_type"] != 4 or not info["start_time"] > 1.6e12:
        sys.exit(f"{folder}: source {info['source_type']}, of the time {info['start_time']}")
    status = STATUS[info["status"]]
    if (status == "RUNNING") != (info["end_time"] is None) or (info["end_time"] or 4e12) < info["start_time"]:
        sys.exit(f"{folder}: {status}, ended {info['end_time']}")
    place = pathlib.Path(urllib.parse.unquote(urllib.parse.urlsplit(info["artifact_uri"]).path))
    if not place.is_dir() or place != folder / "artifacts":
        sys.exit(f"{folder}: artifacts in {place}")
    entries = {path.name for path in folder.iterdir()}
    if entries != {"meta.yaml", "artifacts", "metrics", "params", "tags"}:
        sys.exit(f"{folder}: has {sorted(entries)}")
    tags = dict(files(folder / "tags"))
    if tags.pop("mlflow.runName") != info["run_name"] or tags.pop("mlflow.source.type") != "LOCAL":
        sys.exit(f"{folder}: tags are not those of its meta.yaml")
    if tags.pop("mlflow.user") != info["user_id"]:
        sys.exit(f"{folder}: another user's")
    params = dict(files(folder / "params"))
    if any(len(value) > 6000 for value in params.values()):
        sys.exit(f"{folder}: a parameter is too long")
    metrics = {name: list(points(name, text, info["start_time"]))
               for name, text in files(folder / "metrics")}
    return [info["run_name"], status, params, tags, metrics]


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    for folder in sorted(root.iterdir()):
        if folder.name == ".trash":
            continue
        experiment = meta(folder, EXPERIMENT)
        if experiment["experiment_id"] != folder.name or not re.fullmatch("[0-9]{1,18}", folder.name):
            sys.exit(f"{folder}: is of experiment {experiment['experiment_id']}")
        print(json.dumps([experiment["name"]]), flush=True)
        runs = [read_run(path, experiment) for path in folder.iterdir() if path.name != "meta.yaml"]
        for run in sorted(runs):
            print(json.dumps(run))


main()
