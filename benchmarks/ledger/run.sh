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

plan() { python3 "$here/ledger.py" plan; }  # RUN ARGS...: RUN is WHERE/NAME/OPTIMIZER-RATE/SEED

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

# As in benchmarks/methods/run.sh: threads have both cores, simulated runs share them.
train_matching() {
  local only=$1 line status=0
  prepare_cifar10
  plan | grep -v '^threads/' | grep -E -- "$only" | side_by_side cluster_file || status=1
  while IFS= read -r line; do
    # shellcheck disable=SC2086  # a line is words
    (train $line) || status=1
  done < <(plan | grep '^threads/' | grep -E -- "$only" || true)
  return $status
}

case ${1-} in
  --help | -h) usage "${BASH_SOURCE[0]}" ;;
  --plot) plot ;;
  --list)
    plan | while read -r run args; do
      if recorded "$run"; then state="done"; else state=todo; fi
      echo "$state $run $args"
    done
    ;;
  --only) train_matching "${2:?a pattern}" ;;
  "")
    train_matching '^equal/[^ ]*/1 '  # the trials, on which the rest depends
    train_matching . && plot
    ;;
  *) die "benchmarks/ledger/run.sh takes --list, --only, --plot or nothing, got '$1'" ;;
esac
