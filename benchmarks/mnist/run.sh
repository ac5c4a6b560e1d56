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
# What is kept: benchmarks/records/mnist.jsonl.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"
source "$root/benchmarks/runs.sh"
question mnist
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
  local run=$1-$2${3-}
  logged "$run" train_one "$run" --rule "$1" --probability "$2" "${@:3}"
}
train_one() {
  local file=$work/$1.json
  OMP_NUM_THREADS=1 "$root/build/release/benchmarks/bench_mnist" "$MNIST_DATA" "$file" \
    --epochs "$epochs" --device "$device" "${@:2}" && add_record "$1" "$file"
}

measure() {
  prepare bench_mnist MNIST_DATA "MNIST's four files"
  export epochs device
  printf '%s\n' "${contenders[@]}" | side_by_side train_one
}

answer tables "$@"
