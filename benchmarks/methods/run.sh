#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# All rules on CIFAR-10 at equal images: 8 nodes (with a centre: 8 workers) take 200,000 images, as
# threads, on a simulated cluster of equal machines, and on one with a slow machine; then more seeds
# and other rates of exchange, for accuracy against bytes.
#
#   ./benchmarks/methods/run.sh            the runs that have no record yet, then the figure
#   ./benchmarks/methods/run.sh --list     the runs in their order, and which are done
#   ./benchmarks/methods/run.sh --only RE  those whose name matches RE, without the figure
#   ./benchmarks/methods/run.sh --plot     only figure and table, from the records
#
# Needs the real CIFAR-10: GOSSAMER_DATA names its folder. A run takes 3 to 4 minutes of two cores;
# simulated ones have one core each, and as many go side by side as there are cores. It goes on
# where it was cut off. What is kept: benchmarks/records/methods.jsonl.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"
source "$root/benchmarks/runs.sh"
question methods

# NAME NODES ARGS...: where a rule meets now and then, it does so every ten steps, on average.
# push_sum with peers of two choices diverged: a node of little weight takes long steps.
rules=(
  "gosgd               8 --rule gosgd --probability 0.1"
  "gosgd(two_choices)  8 --rule gosgd --probability 0.1 --topology two_choices"
  "persyn              8 --rule persyn --tau 10"
  "slowmo              8 --rule slowmo --tau 10"
  "sgp                 8 --rule sgp"
  "sync                8 --rule sync"
  "gosgd_pull          8 --rule gosgd_pull --probability 0.1"
  "gosgd(permutation)  8 --rule gosgd --schedule every:10 --topology permutation"
  "push_sum            8 --rule push_sum --schedule every:10 --topology permutation"
  "osgp                8 --rule osgp"
  "d_psgd              8 --rule d_psgd"
  "ad_psgd             8 --rule ad_psgd --probability 0.1"
  "gossiping_pull      8 --rule gossiping_pull --probability 0.1"
  "gossiping_push      8 --rule gossiping_push --probability 0.1"
  "elastic_gossip      8 --rule elastic_gossip --probability 0.1"
  "slowmo_gosgd        8 --rule slowmo --base gosgd --probability 0.1 --tau 48"
  "post_local          8 --rule post_local --sync-steps 250 --tau 10"
  "gossip_pga          8 --rule gossip_pga --tau 10"
  "leader_sgd          8 --rule leader_sgd --tau 10"
  "easgd               9 --rule easgd --tau 10"
  "easgd_sync          9 --rule easgd_sync --tau 10"
  "eamsgd              9 --rule easgd --tau 10 --optimizer nesterov"
  "dynamic_easgd       9 --rule dynamic_easgd --tau 10"
  "downpour            9 --rule downpour --tau 10 --momentum 0"
  "none                8 --rule none"
  "single              8 --rule single"
)
# Those with three seeds.
main=(gosgd "gosgd(two_choices)" persyn slowmo sgp sync)
# Those that have them with a slow machine, too: the unequal weights that two choices mend.
pushes=(gosgd "gosgd(two_choices)")
# The main ones at other rates; synchronous rules send in every step, whatever the rate.
rates=(
  "gosgd@0.02               8 --rule gosgd --probability 0.02"
  "gosgd(two_choices)@0.02  8 --rule gosgd --probability 0.02 --topology two_choices"
  "persyn@0.02              8 --rule persyn --tau 50"
  "slowmo@0.02              8 --rule slowmo --tau 50"
  "gosgd@0.4                8 --rule gosgd --probability 0.4"
  "gosgd(two_choices)@0.4   8 --rule gosgd --probability 0.4 --topology two_choices"
  "persyn@0.4               8 --rule persyn --tau 3"
  "slowmo@0.4               8 --rule slowmo --tau 3"
  "gosgd@0.2                8 --rule gosgd --probability 0.2"
  "gosgd(two_choices)@0.2   8 --rule gosgd --probability 0.2 --topology two_choices"
)

# RUN NODES ARGS... for all runs, in their order: RUN is WHERE/NAME/SEED.
runs() {
  local where line name seed
  for where in threads equal slow; do
    for line in "${rules[@]}"; do
      name=${line%% *}
      # One node alone waits for nobody, and nobody is slower than itself.
      [[ $name != single || $where != slow ]] || continue
      echo "$where/$name/1 ${line#* }"
    done
  done
  for seed in 2 3; do
    for line in "${rules[@]}"; do
      name=${line%% *}
      [[ " ${main[*]} " != *" $name "* ]] || echo "equal/$name/$seed ${line#* }"
      [[ " ${pushes[*]} " != *" $name "* ]] || echo "slow/$name/$seed ${line#* }"
    done
  done
  for seed in 1 2 3; do
    for line in "${rates[@]}"; do
      echo "equal/${line%% *}/$seed ${line#* }"
    done
  done
}

cluster_file() {
  case $1-$2 in
    equal-8) echo "$root/benchmarks/cluster/equal.toml" ;;
    slow-8) echo "$root/benchmarks/cluster/straggler.toml" ;;
    *) echo "$here/$1-$2.toml" ;;
  esac
}

train() {
  local run=$1 nodes=$2 where=${1%%/*} place momentum=(--momentum 0.9)
  shift 2
  if [[ $where == threads ]]; then
    place=(--nodes "$nodes")
  else
    place=(--transport simulated --cluster "$(cluster_file "$where" "$nodes")")
  fi
  [[ " $* " != *" --momentum "* ]] || momentum=()
  logged "$run" train_to_record "$run" "${place[@]}" --seed "${run##*/}" --images 200000 \
    --evaluate-every 40000 --node-test-images 200 --checkpoint-every 100000 "${momentum[@]}" "$@"
}

measure() { train_matching "$1"; }

answer plot "$@"
