#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What the library claims of its speed, each figure beside its rival's from the same run.
#
#   ./benchmarks/run.sh               all questions, then the table
#   ./benchmarks/run.sh QUESTION...   kernels, memory, includes, throughput, straggler;
#                                     stream, transport, processes;
#                                     simulator, codec, consensus, easgd_stability
#   ./benchmarks/run.sh --table       all tables, those of the other benchmarks and of README.md, too,
#                                     from the records; none is measured
#
# An idle machine gives clean figures; all takes about ten minutes after the build. What is measured
# goes to benchmarks/records/performance.jsonl, a line for each question, what is of TCP (stream,
# transport, processes) to network.jsonl; the tables are beside them. Asked only by name: `simulator`
# (ten minutes and 2 GB for 100,000 nodes), `codec` (its table only), and what is no matter of speed, `consensus` and
# `easgd_stability` (minutes); each has a record of its name. The status is 1 if a figure misses its
# limit. The comparison of accuracies has scripts of its own: benchmarks/*/run.sh.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../cmake/setup.sh"
out=$root/build/benchmarks
bin=$root/build/release/benchmarks
export OMP_NUM_THREADS=1

# keep RECORD NAME [FILE]: a line of what was measured.
keep() { python3 "$root/benchmarks/records.py" add "$1" "$2" "${3-$out/$2.json}"; }

measure() {
  echo "$1"
  case $1 in
    kernels)
      build release bench_kernels >/dev/null
      "$bin/bench_kernels" --benchmark_enable_random_interleaving=true \
        --benchmark_repetitions=9 --benchmark_min_time=0.2 --benchmark_format=json \
        >"$out/kernels.json" 2>/dev/null
      ;;
    memory)
      build release bench_memory >/dev/null
      "$bin/bench_memory" "$out/memory.json" >/dev/null
      ;;
    includes) python3 "$root/benchmarks/includes/includes.py" "$bin/includes.txt" "$out/includes.json" ;;
    throughput)
      build release bench_throughput >/dev/null
      "$bin/bench_throughput" --out "$out/throughput.json"
      ;;
    straggler)
      build release bench_throughput >/dev/null
      "$bin/bench_throughput" --slow 4 --out "$out/straggler.json"
      ;;
    stream)
      build release bench_stream >/dev/null
      "$bin/bench_stream" 7 "$out/stream.json"
      ;;
    transport)
      build release bench_transport >/dev/null
      "$bin/bench_transport" 5 "$out/transport.json"
      ;;
    processes)
      build release cifar10 >/dev/null
      python3 "$root/benchmarks/throughput/processes.py" "$root/build/release/examples/cifar10" \
        "$out/processes.json"
      ;;
    simulator)
      build release bench_simulator >/dev/null
      for nodes in 1000 10000 100000; do
        "$bin/bench_simulator" "$nodes" 10000 4 "$out/simulator.json"
        keep simulator "nodes-$nodes" "$out/simulator.json"
      done
      ;;
    codec)
      build release bench_codec >/dev/null
      "$bin/bench_codec" >"$out/codec.md"
      mv "$out/codec.md" "$root/benchmarks/records/codec.md"
      ;;
    consensus | easgd_stability)
      build release "bench_$1" >/dev/null
      "$bin/bench_$1" >"$out/$1.jsonl"
      python3 "$root/benchmarks/records.py" lines "$1" "$out/$1.jsonl"
      ;;
    *) die "benchmarks/run.sh: no question is called $1; there are: ${questions[*]} simulator codec consensus easgd_stability" ;;
  esac
  case $1 in
    stream | transport | processes) keep network "$1" ;;
    simulator | codec | consensus | easgd_stability) ;;
    *) keep performance "$1" ;;
  esac
}

questions=(kernels memory includes throughput straggler stream transport processes)
case ${1-} in
  --help | -h)
    sed -n '3,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit
    ;;
  --table) shift ;;
  *)
    need_packages "${build_packages[@]}" libbenchmark-dev libgloo-dev iperf3
    configure release
    mkdir -p "$out"
    (($#)) || set -- "${questions[@]}"
    for question in "$@"; do measure "$question"; done
    ;;
esac
python3 "$root/benchmarks/records.py" tables
python3 "$root/benchmarks/records.py" held "$@"
