#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A language model under ten rules: gossip_lm's transformer, made small (136,960 parameters), on a
# text of which each of 8 simulated nodes has a part; held-out bits per byte against bytes sent and
# virtual seconds. One learning rate for all, tuned for none; short runs.
#
#   ./benchmarks/language/run.sh            the runs that have no record yet, then the table
#   ./benchmarks/language/run.sh --list     the runs in their order, and which are done
#   ./benchmarks/language/run.sh --only RE  those whose name matches RE, without the table
#   ./benchmarks/language/run.sh --plot     only the table, from the records
#
# GOSSAMER_TEXT names the file; the records are of the King James text that ./examples/run.sh
# gossip_lm leaves in ~/.cache/gossamer. One run after the other, of one thread, one to three minutes
# each; what was cut off begins anew. What is kept: benchmarks/records/language.jsonl.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"
source "$root/benchmarks/runs.sh"
question language
program=$root/build/release/examples/gossip_lm
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

# RUN ARGS..., in the order of importance. Those with a period average or meet every 10 steps; those
# by chance meet as often.
runs() {
  local seed
  for seed in 1 2 3; do
    echo "sync/$seed --rule sync"
    echo "persyn/$seed --rule persyn --tau 10"
    echo "post_local/$seed --rule post_local --sync-steps 60 --tau 10"
    echo "gosgd/$seed --rule gosgd --probability 0.1"
    echo "ledger_gossip/$seed --rule ledger_gossip --probability 1 --graph hypercube"
    echo "noloco/$seed --rule noloco --tau 10"
    echo "gasloc/$seed --rule gasloc --tau 10"
    echo "a2cid2/$seed --rule a2cid2 --probability 0.1 --graph hypercube"
    echo "async_diloco/$seed --rule async_diloco --tau 10"
    echo "acco/$seed --rule acco"
  done
}

train() {
  local run=$1
  shift
  logged "$run" train_to_record "$run" --transport simulated --cluster "$here/cluster.toml" \
    --seed "${run#*/}" --width 64 --layers 2 --heads 2 --context 64 --batch 8 --steps 300 \
    --learning-rate 0.004 --node-bytes 8192 --quiet "$@"
}

measure() {
  prepare gossip_lm GOSSAMER_TEXT "a text"
  one_by_one "$1"
}

answer tables "$@"
