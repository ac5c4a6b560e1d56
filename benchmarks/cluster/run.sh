#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Why one would gossip: test accuracy against virtual seconds on a simulated cluster of 8 machines
# with 1 Gbit/s, for one node alone, synchronous SGD, periodic averaging and GoSGD on CIFAR-10,
# with equal machines, a slow one, varying ones, and one that dies while another one comes.
#
#   ./benchmarks/cluster/run.sh          the runs that have no record yet, then the figure
#   ./benchmarks/cluster/run.sh --plot   only the figure, from the records
#
# Needs the real CIFAR-10: GOSSAMER_DATA names its folder. A run takes 5 to 15 minutes of one core
# and goes on where it was cut off; as many run side by side as there are cores. What is kept:
# benchmarks/records/cluster.jsonl.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"
source "$root/benchmarks/runs.sh"
question cluster

# CLUSTER RULE: a node alone has nobody to wait for, and does not die.
contenders=(
  equal/gosgd equal/sync equal/persyn equal/single
  straggler/gosgd straggler/sync straggler/persyn
  lognormal/gosgd lognormal/sync lognormal/persyn lognormal/single
  membership/gosgd membership/sync membership/persyn
)

train() {
  logged "$1" train_to_record "$1" --transport simulated --cluster "$here/${1%/*}.toml" \
    --rule "${1#*/}" --probability 0.1 --momentum 0.9 --seed 1 --images 400000 \
    --until-accuracy 0.6 --evaluate-every 20000 --node-test-images 200 --checkpoint-every 100000
}

measure() {
  prepare_cifar10
  printf '%s\n' "${contenders[@]}" | side_by_side
}

answer plot "$@"
