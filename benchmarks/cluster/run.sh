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
# benchmarks/records/cluster/*.json.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"
source "$root/benchmarks/cifar10_runs.sh"
here=$root/benchmarks/cluster
records=$root/benchmarks/records/cluster
work=$root/build/cluster

# CLUSTER RULE: a node alone has nobody to wait for, and does not die.
contenders=(
  equal/gosgd equal/sync equal/persyn equal/single
  straggler/gosgd straggler/sync straggler/persyn
  lognormal/gosgd lognormal/sync lognormal/persyn lognormal/single
  membership/gosgd membership/sync membership/persyn
)

train() {
  local name=$1 cluster=${1%/*} rule=${1#*/}
  local run=$cluster-$rule
  [[ ! -f $records/$run.json ]] || return 0
  echo "$name: log in $work/$run.log"
  train_to_record "$here/cluster.py" "$work/$run" "$records/$run.json" \
    --transport simulated --cluster "$here/$cluster.toml" --rule "$rule" \
    --probability 0.1 --momentum 0.9 --seed 1 --images 400000 --until-accuracy 0.6 \
    --evaluate-every 20000 --node-test-images 200 --checkpoint-every 100000 \
    >"$work/$run.log" 2>&1 || die "$name ended with an error: see $work/$run.log"
  echo "$name: done"
}

plot() {
  need_packages python3-matplotlib
  /usr/bin/python3 "$here/cluster.py" plot "$records" "$here/cluster.csv" "$here/cluster.png"
}

case ${1-} in
  --help | -h) sed -n '3,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" ;;
  --plot) plot ;;
  "")
    prepare_runs "$work" "$records"
    printf '%s\n' "${contenders[@]}" | side_by_side
    plot
    ;;
  *) die "benchmarks/cluster/run.sh takes --plot or nothing, got '$1'" ;;
esac
