#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Ledger gossip beside the other rules, each at its own best learning rate and optimizer: CIFAR-10, 8
# nodes, 200,000 images. First every contender is tuned on seed 1 of the cluster of equal machines,
# all with the same six trials (three learning rates, SGD and quasi-global momentum); then the best of
# each optimizer is trained with more seeds, on threads, and on other clusters.
#
#   ./benchmarks/ledger/run.sh            the runs that have no record yet, then the figure
#   ./benchmarks/ledger/run.sh --list     the runs in their order, and which are done
#   ./benchmarks/ledger/run.sh --only RE  those whose name matches RE, without the figure
#   ./benchmarks/ledger/run.sh --plot     only figure and table, from the records
#
# Needs the real CIFAR-10: GOSSAMER_DATA names its folder. A run takes 5 to 8 minutes of one core, on
# threads 3 to 4 of two; it goes on where it was cut off. What is to be run depends on the records of
# the trials: the list grows when they are there. Kept: benchmarks/records/ledger.jsonl.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"
source "$root/benchmarks/runs.sh"
question ledger

runs() { python3 "$here/ledger.py" plan; }  # RUN ARGS...: RUN is WHERE/NAME/OPTIMIZER-RATE/SEED

cluster_file() {
  case $1 in
    equal | straggler | lognormal) echo "$root/benchmarks/cluster/$1.toml" ;;
    *) echo "$here/$1.toml" ;;
  esac
}

train() {
  local run=$1 where=${1%%/*} place
  shift
  if [[ $where == threads ]]; then
    place=(--nodes 8)
  else
    place=(--transport simulated --cluster "$(cluster_file "$where")")
  fi
  logged "$run" train_to_record "$run" "${place[@]}" --images 200000 --evaluate-every 10000 \
    --node-test-images 200 --checkpoint-every 100000 --momentum 0.9 "$@"
}

case ${1-} in
  --help | -h) usage "${BASH_SOURCE[0]}" ;;
  --plot) plot ;;
  --list) list ;;
  --only) train_matching "${2:?a pattern}" ;;
  "")
    train_matching '^equal/[^ ]*/1 '  # the trials, on which the rest depends
    train_matching . && plot
    ;;
  *) die "benchmarks/ledger/run.sh takes --list, --only, --plot or nothing, got '$1'" ;;
esac
