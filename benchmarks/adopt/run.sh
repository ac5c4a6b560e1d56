#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The four programs of examples/adopt in one process and in four, at equal numbers of samples: the
# training loss as it falls, and what they print at their end. In one process nothing is exchanged;
# four have a fourth of the steps each, and learning rates as they are.
#
#   ./benchmarks/adopt/run.sh          the runs that have no record yet, then table and figure
#   ./benchmarks/adopt/run.sh --plot   only table and figure, from the records
#
# MNIST_DATA names the folder of MNIST's four files; the LSTM reads LICENSE and README.md. A minute
# or two each. What is kept: benchmarks/records/adopt.jsonl.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"
source "$root/benchmarks/runs.sh"
question adopt
export GOSSAMER_EXAMPLES=$root/build/release/benchmarks OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

# train NAME PROCESSES SAMPLES ARGS...: SAMPLES are those of a step of one process.
train() {
  local name=$1 processes=$2 samples=$3 run=$1/$2
  shift 3
  ! recorded "$run" || return 0
  rm -rf "${work:?}/$name-$processes" && mkdir -p "$work/$name-$processes"
  echo "$run"
  GOSSAMER_CURVE=$work/$name-$processes/loss "$root/examples/launch.sh" -n "$processes" \
    "adopt_${name}_curve" "$@" | tee "$work/$name-$processes/said"
  echo "$samples" >"$work/$name-$processes/samples"
  add_record "$run" "$work/$name-$processes"
}

measure() {
  local name processes
  for name in mnist gan lstm finetune; do
    prepare "adopt_${name}_curve" MNIST_DATA "MNIST's four files"
  done
  cat "$root/README.md" "$root/LICENSE" >"$work/text"
  for processes in 1 4; do
    train mnist $processes 50 "$MNIST_DATA" 4
    train gan $processes 128 $((8000 / processes))
    train lstm $processes 16 "$work/text" $((2000 / processes))
    train finetune $processes 32 "" $((6000 / processes))
  done
}

answer plot "$@"
