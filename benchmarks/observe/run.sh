#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What it costs training that somebody looks on: live page with a viewer, metrics, TensorBoard, record
# and the estimate of the consensus error, beside none of them, in turns. The example's network on
# random images, 8 nodes as threads and 4 over TCP.
#
#   ./benchmarks/observe/run.sh          measures, then the table
#   ./benchmarks/observe/run.sh --plot   only the table, from the record
#
# ROUNDS is 40 unless set, of 2 seconds for each of the two: six minutes on an idle machine. What is
# kept: benchmarks/records/observe.jsonl.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"
source "$root/benchmarks/runs.sh"
question observe

measure() {
  need_packages "${build_packages[@]}"
  configure release
  build release bench_observe
  mkdir -p "$work"
  export OMP_NUM_THREADS=1
  "$root/build/release/benchmarks/bench_observe" --rounds "${ROUNDS:-40}" --out "$work/observe.json"
  add_record everything "$work/observe.json"
}

answer tables "$@"
