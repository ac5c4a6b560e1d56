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
here=$root/benchmarks/cluster
records=$root/benchmarks/records/cluster
work=$root/build/cluster
program=$root/build/release/examples/cifar10

# CLUSTER RULE: a node alone has nobody to wait for, and does not die.
contenders=(
  equal/gosgd equal/sync equal/persyn equal/single
  straggler/gosgd straggler/sync straggler/persyn
  lognormal/gosgd lognormal/sync lognormal/persyn lognormal/single
  membership/gosgd membership/sync membership/persyn
)

train() {
  local name=$1 cluster=${1%/*} rule=${1#*/} resume=()
  local folder=$work/$cluster-$rule record=$records/$cluster-$rule.json
  [[ ! -f $record ]] || return 0
  if [[ -f $folder/checkpoint ]]; then resume=(--resume); else rm -rf "$folder"; fi
  echo "$name: log in $folder.log"
  "$program" --transport simulated --cluster "$here/$cluster.toml" --rule "$rule" \
    --probability 0.1 --momentum 0.9 --seed 1 --images 400000 --until-accuracy 0.6 \
    --evaluate-every 20000 --node-test-images 200 --checkpoint-every 100000 \
    --out "$folder" "${resume[@]}" >"$folder.log" 2>&1 ||
    die "$name ended with an error: see $folder.log"
  python3 "$here/cluster.py" record "$folder" "$record"
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
    [[ -n ${GOSSAMER_DATA-} ]] || die "GOSSAMER_DATA must name the folder of CIFAR-10's binary files"
    need_packages "${build_packages[@]}"
    configure release
    build release cifar10
    mkdir -p "$work" "$records"
    export -f train die
    export work records here program
    printf '%s\n' "${contenders[@]}" | xargs -P "$(nproc)" -I{} bash -euo pipefail -c 'train {}'
    plot
    ;;
  *) die "benchmarks/cluster/run.sh takes --plot or nothing, got '$1'" ;;
esac
