#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Gossip against synchronous and single-thread SGD on CIFAR-10, as in the GoSGD slides: 8 nodes,
# batch 20, learning rate 0.01, at least 4,000 steps a node.
#
#   ./benchmarks/figure/run.sh             the runs that have no record yet, then the figure
#   ./benchmarks/figure/run.sh --time      the speeds again, interleaved; wants an idle machine
#   ./benchmarks/figure/run.sh --plot      only the figure, from the records
#
# Needs the real CIFAR-10: GOSSAMER_DATA names its folder. A run takes 10 to 30 minutes on two
# cores and goes on where it was cut off. What is kept: benchmarks/records/figure.jsonl.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"
source "$root/benchmarks/runs.sh"
question figure
common=(--momentum 0.9 --seed 1 --node-test-images 200)

# NAME IMAGES ARGS...: what is compared. 640,000 images are 4,000 steps for each of 8 nodes.
contenders=(
  "gosgd-0.02   640000 --rule gosgd --probability 0.02"
  "sync         640000 --rule sync"
  "persyn-0.02  640000 --rule persyn --probability 0.02"
  "single       320000 --rule single"
  "gosgd-0.01   640000 --rule gosgd --probability 0.01"
  "gosgd-0.4    640000 --rule gosgd --probability 0.4"
  "persyn-0.01  640000 --rule persyn --probability 0.01"
  "persyn-0.4   640000 --rule persyn --probability 0.4"
)

train() {
  local name=$1 images=$2 every=40000
  shift 2
  [[ $name != single ]] || every=10000  # its steps go by eight times as slowly
  echo "$name: $images images"
  train_to_record "$name" "$@" "${common[@]}" --images "$images" --evaluate-every "$every" \
    --checkpoint-every 40000
}

# Training alone, each contender in turn, several rounds: the machine's moods hit all alike.
measure_speeds() {
  local rounds=3 round contender name images args folder
  rm -rf "$work/speed"
  for ((round = 1; round <= rounds; ++round)); do
    for contender in "${contenders[@]}"; do
      read -r name images args <<<"$contender"
      folder=$work/speed/$name.$round
      # shellcheck disable=SC2086  # ARGS are words
      "$program" $args "${common[@]}" --images $((images / 40)) --evaluate-every 1000000000 \
        --quiet --out "$folder" >/dev/null
      echo "$name, round $round of $rounds: $(sed -n 's/.*"images_per_second": \([0-9]*\).*/\1/p' \
        "$folder/summary.json") images/s"
    done
  done
  add_record speeds "$work/speed"
}

case ${1-} in
  --help | -h) usage "${BASH_SOURCE[0]}" ;;
  --plot) plot ;;
  --time) prepare_cifar10 && measure_speeds && plot ;;
  "")
    prepare_cifar10
    for contender in "${contenders[@]}"; do
      # shellcheck disable=SC2086
      train $contender
    done
    recorded speeds || measure_speeds
    plot
    ;;
  *) die "benchmarks/figure/run.sh takes --time, --plot or nothing, got '$1'" ;;
esac
