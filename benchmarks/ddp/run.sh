#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Synchronous training on MNIST by 2 and by 4 processes of this machine: rule::Sync beside an
# all-reduce by hand over c10d's Gloo, and beside Python's DistributedDataParallel on Gloo. The same
# network, batches, first parameters and one thread each; all must end in the same bits.
#
#   ./benchmarks/ddp/run.sh          measures, in turns, then the table
#   ./benchmarks/ddp/run.sh --plot   only the table, from the records
#
# MNIST_DATA names the folder of MNIST's four files. ROUNDS is 60 unless set, of half a second
# for each contender on an idle machine. Needs Debian's python3-torch, which has the same LibTorch.
# What is kept: benchmarks/records/ddp.jsonl.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"
source "$root/benchmarks/runs.sh"
question ddp

measure() {
  local nodes
  need_packages libgloo-dev python3-torch
  prepare bench_ddp MNIST_DATA "MNIST's four files"
  for nodes in 2 4; do
    python3 "$here/measure.py" "$root/build/release/benchmarks/bench_ddp" "$MNIST_DATA" \
      "$work/$nodes.json" --nodes "$nodes" --rounds "${ROUNDS:-60}"
    add_record "processes-$nodes" "$work/$nodes.json"
  done
}

answer tables "$@"
