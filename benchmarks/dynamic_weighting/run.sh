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
# cores. What is kept: benchmarks/records/dynamic_weighting/*.json and table.md.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"
source "$root/benchmarks/cifar10_runs.sh"
here=$root/benchmarks/dynamic_weighting
records=$root/benchmarks/records/dynamic_weighting
work=$root/build/dynamic_weighting
common="--images 100000 --evaluate-every 20000 --node-test-images 200 --checkpoint-every 100000"

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
  local optimizer=$1 workers=$2 tau=$3 rule=$4 name=$4-$1-$2-$3-$5 own drop=0.333333
  [[ ! -f $records/$name.json ]] || return 0
  [[ $5 == drop ]] || drop=0
  # The centre is a node, too, which has a shard that it does not train on: all shards have a
  # quarter of the images in common, so little is missed.
  own="--learning-rate 0.01 --momentum 0.9"
  [[ $optimizer == sgd ]] || own="--learning-rate 0.05"
  echo "$name: log in $work/$name.log"
  # shellcheck disable=SC2086  # common and own are words
  train_to_record "$here/dynamic_weighting.py" "$work/$name" "$records/$name.json" \
    --transport simulated --nodes $((workers + 1)) --rule "$rule" --alpha 0.1 --tau "$tau" \
    --drop "$drop" --optimizer "$optimizer" $own --shard --overlap 0.25 --seed 1 $common \
    >"$work/$name.log" 2>&1 || die "$name ended with an error: see $work/$name.log"
  echo "$name: done"
}

table() { python3 "$here/dynamic_weighting.py" table "$records" "$records/table.md"; }

case ${1-} in
  --help | -h) sed -n '3,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" ;;
  --plot) table ;;
  "")
    prepare_runs "$work" "$records"
    contenders | side_by_side
    table
    ;;
  *) die "benchmarks/dynamic_weighting/run.sh takes --plot or nothing, got '$1'" ;;
esac
