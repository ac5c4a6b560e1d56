#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The rate of DADAO beside that of its theory, and beside gossip with gradient steps: 16 nodes, four
# graphs, kappa from 10 to 10,000, five seeds. 20 minutes of one core.
#
#   ./benchmarks/dadao/run.sh          the runs that have no record yet, then the table
#   ./benchmarks/dadao/run.sh --plot   only table and figure, from the records
#
# What is kept: benchmarks/records/dadao.jsonl.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"
source "$root/benchmarks/runs.sh"
question dadao
program=$root/build/release/examples/dadao

# PROBLEM GRAPH KAPPA SEED.
contenders() {
  local seed graph kappa
  for seed in 1 2 3 4 5; do
    for graph in two_way_ring complete random_regular:3 walk:3; do
      for kappa in 10 100 1000 10000; do echo "ridge $graph $kappa $seed"; done
      echo "logistic $graph 1000 $seed"
    done
  done
}

train() {
  local run=$1/$2/$3/$4
  logged "$run" run_one "$run" --problem "$1" --graph "$2" --kappa "$3" --seed "$4"
}
run_one() {
  local file=$work/${1//\//-}.json
  rm -f "$file"
  OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 "$program" --quiet --out "$file" "${@:2}" &&
    add_record "$1" "$file"
}

case ${1-} in
  --help | -h) usage "${BASH_SOURCE[0]}" ;;
  --plot) plot ;;
  "")
    need_packages "${build_packages[@]}"
    configure release
    build release dadao
    mkdir -p "$work"
    contenders | side_by_side run_one
    tables
    ;;
  *) die "benchmarks/dadao/run.sh takes --plot or nothing, got '$1'" ;;
esac
