#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# EASGD with and without dynamic weights where workers fail to get through: each exchange is dropped
# with probability 1/3. CIFAR-10, 4 and 8 workers, tau 1, 2, 4, overlapping shards, simulated.
#
#   ./benchmarks/dynamic_weighting/run.sh          the runs that have no record yet, then the table
#   ./benchmarks/dynamic_weighting/run.sh --plot   only the table, from the records
#
# Needs the real CIFAR-10: GOSSAMER_DATA names its folder. A run takes three minutes of one core with
# SGD, more with AdaHessian, and goes on where it was cut off; as many side by side as there are
# cores. What is kept: benchmarks/records/dynamic_weighting.jsonl.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"
source "$root/benchmarks/runs.sh"
question dynamic_weighting

# OPTIMIZER WORKERS TAU RULE DROP, in the order of importance.
contenders() {
  local optimizer workers tau
  for optimizer in sgd adahessian; do
    for workers in 4 8; do
      for tau in 1 2 4; do
        echo "$optimizer $workers $tau easgd drop"
        echo "$optimizer $workers $tau dynamic_easgd drop"
      done
    done
    echo "$optimizer 4 1 easgd none"
    echo "$optimizer 4 1 dynamic_easgd none"
  done
}

train() {
  local optimizer=$1 workers=$2 tau=$3 rule=$4 run=$4-$1-$2-$3-$5 drop=0.333333 own
  [[ $5 == drop ]] || drop=0
  own=(--learning-rate 0.01 --momentum 0.9)
  [[ $optimizer == sgd ]] || own=(--learning-rate 0.05)
  # The centre is a node, too, which has a shard that it does not train on: all shards have a
  # quarter of the images in common, so little is missed.
  logged "$run" train_to_record "$run" --transport simulated --nodes $((workers + 1)) \
    --rule "$rule" --alpha 0.1 --tau "$tau" --drop "$drop" --optimizer "$optimizer" "${own[@]}" \
    --shard --overlap 0.25 --seed 1 --images 100000 --evaluate-every 20000 \
    --node-test-images 200 --checkpoint-every 100000
}

measure() {
  prepare_cifar10
  contenders | side_by_side
}

answer tables "$@"
