#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Elastic Gossip and Gossiping SGD (pull) on MNIST beside the figures of the Elastic Gossip thesis:
# a perceptron 784-1024-1024-1024-10, W = 4, momentum 0.99, simulated nodes of equal speed.
#
#   ./benchmarks/mnist/run.sh          the runs that have no record yet, then the table
#   ./benchmarks/mnist/run.sh --plot   only the table, from the records
#
# MNIST_DATA names the folder of MNIST's four files. EPOCHS is 40 unless set (the thesis has 100): 30
# seconds of one core each; as many runs side by side as there are cores. DEVICE=cuda trains on a
# GPU: the records that are here are from an H200, 10 seconds an epoch of all runs side by side.
# What is kept: benchmarks/records/mnist/*.json and table.md.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"
here=$root/benchmarks/mnist
records=$root/benchmarks/records/mnist
work=$root/build/mnist
epochs=${EPOCHS:-40}
device=${DEVICE:-cpu}

# RULE PROBABILITY OPTION..., in the order of importance.
contenders=(
  "elastic_gossip 0.125" "gossiping_pull 0.125"
  "elastic_gossip 0.001953125" "gossiping_pull 0.001953125"
  "elastic_gossip 0.03125" "gossiping_pull 0.03125"
  "elastic_gossip 0.0078125" "gossiping_pull 0.0078125"
  "sync 0" "none 0" "none 0 --own-images"
  "gosgd 0.125" "gosgd 0.03125" "gosgd 0.0078125" "gosgd 0.001953125"
)

train() {
  local rule=$1 probability=$2 name=$1-$2${3-}
  shift 2
  [[ ! -f $records/$name.json ]] || return 0
  echo "$name: log in $work/$name.log"
  OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
    "$root/build/release/benchmarks/bench_mnist" "$MNIST_DATA" "$records/$name.json" \
    --rule "$rule" --probability "$probability" --epochs "$epochs" \
    --device "$device" "$@" >"$work/$name.log" 2>&1 ||
    die "$name ended with an error: see $work/$name.log"
  echo "$name: done"
}

table() {
  python3 "$here/mnist.py" "$records" >"$work/table.md"
  mv "$work/table.md" "$records/table.md"
}

case ${1-} in
  --help | -h) sed -n '3,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" ;;
  --plot) mkdir -p "$work" && table ;;
  "")
    [[ -n ${MNIST_DATA-} ]] || die "MNIST_DATA must name the folder of MNIST's four files"
    need_packages "${build_packages[@]}"
    configure release
    build release bench_mnist
    mkdir -p "$work" "$records"
    export -f train die
    export work records root epochs device MNIST_DATA
    printf '%s\n' "${contenders[@]}" | xargs -P "$(nproc)" -I{} bash -euo pipefail -c 'train {}'
    table
    ;;
  *) die "benchmarks/mnist/run.sh takes --plot or nothing, got '$1'" ;;
esac
