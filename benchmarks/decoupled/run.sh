#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Decoupled greedy learning beside back-propagation: CIFAR-10, the small network and the one of six
# blocks, modules in step, in drawn order with buffers and a slow module, and over four processes;
# activations as float32, int8, int4 and indices into codebooks.
#
#   ./benchmarks/decoupled/run.sh            the runs that have no record yet, then the tables
#   ./benchmarks/decoupled/run.sh --list     all runs, and which are recorded
#   ./benchmarks/decoupled/run.sh --only RE  those whose name matches RE, without the tables
#   ./benchmarks/decoupled/run.sh --plot     only the tables, from the records
#
# Needs the real CIFAR-10: GOSSAMER_DATA names its folder. One run after the other, of one thread (over
# TCP: four processes), some minutes each; what was cut off begins anew. The networks are an eighth as
# wide as the paper's, codebooks have 64 codewords, and the runs are short: two passes over 20,000
# images. What is kept: benchmarks/records/decoupled.jsonl.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"
source "$root/benchmarks/runs.sh"
question decoupled
program=$root/build/release/examples/decoupled_greedy
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

common=(--train-images 20000 --images 40000 --test-images 5000 --evaluate-every 20000 --codes 64
  --quiet)

# RUN ARGS..., in the order of importance.
runs() {
  local activations buffer slow network seed
  for seed in 1 2 3; do
    for network in three six; do
      echo "$network/backprop/float32/$seed --mode backprop"
      for activations in float32 int8 vq int4; do
        echo "$network/sync/$activations/$seed --mode sync --activations $activations"
      done
    done
    for network in three six; do
      for buffer in 10 2 50; do
        echo "$network/async/float32/$seed/$buffer --mode async --buffer $buffer"
        for slow in 4 2 1.1; do
          echo "$network/async/float32/$seed/$buffer/$slow --mode async --buffer $buffer" \
            "--slow-module 1 --slowdown $slow"
        done
      done
      echo "$network/async/vq/$seed/10/2 --mode async --activations vq --buffer 10" \
        "--slow-module 1 --slowdown 2"
    done
  done
  echo "six/tcp/vq/1/10 --mode tcp --activations vq --buffer 10"
  echo "six/tcp_killed/vq/1/10 --mode tcp --activations vq --buffer 10"
}

# processes RUN ARGS...: four processes; of a run with _killed, the third is killed once it has saved
# its module, and started again.
processes() {
  local run=$1 folder=$work/${1//\//-} i pids=()
  shift
  ! recorded "$run" || return 0
  rm -rf "$folder"
  one() { "$program" "${@:3}" --rank "$1" "${ports[@]}" --out "$folder/node-$1" >"$folder-$1.log" 2>&1 & }
  mkdir -p "$folder"
  for i in 0 1 2 3; do
    ports=(--listen "127.0.0.1:$((29470 + i))" --insecure)
    ((i == 0)) || ports+=(--contact 127.0.0.1:29470)
    one "$i" -- "$@"
    pids+=($!)
  done
  if [[ $run == *_killed* ]]; then
    until [[ -f $folder/node-2/module-2.pt ]]; do
      kill -0 "${pids[2]}" || die "process 2 of $run has ended"
      sleep 0.2
    done
    kill -9 "${pids[2]}"
    wait "${pids[2]}" || true
    ports=(--listen 127.0.0.1:29472 --insecure --contact 127.0.0.1:29470)
    one 2 -- "$@" --resume
    pids[2]=$!
  fi
  for i in 0 1 2 3; do
    wait "${pids[i]}" || die "process $i of $run ended with an error: see $folder-$i.log"
  done
  add_record "$run" "$folder"
}

train() {
  local run=$1 network=${1%%/*} seed how=train_to_record width=16
  shift
  seed=$(cut -d/ -f4 <<<"$run")
  if [[ $run == */tcp* ]]; then how=processes; set -- "$@" --modules 4; fi
  logged "$run" "$how" "$run" "$@" --network "$network" --width "$width" --seed "$seed" \
    "${common[@]}"
}

measure() {
  prepare decoupled_greedy GOSSAMER_DATA "CIFAR-10's binary files"
  one_by_one "$1"
}

answer tables "$@"
