#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds and runs the tests; installs what is missing first (Debian and Ubuntu). The last line is
# the number of test cases: "N passed, N failed".
#
#   ./tests/run.sh [CTEST ARGS...]                      all, or e.g. -R rule/gosgd
#   ./tests/run.sh --sanitize thread [-- CATCH ARGS...]   [threads] under ThreadSanitizer
#   ./tests/run.sh --sanitize address [-- CATCH ARGS...]  [parse] under Address- and UBSanitizer
#   ./tests/run.sh --fuzz [SECONDS]                     every fuzzer for SECONDS (default 20), from
#                                                       tests/fuzz/corpus
#   ./tests/run.sh --headers                            every header compiles alone; counts headers
#   ./tests/run.sh --docs                               the API reference: build/release/docs/html
#   ./tests/run.sh --network                            processes that are killed, cut off, churned
#
# CATCH ARGS choose among those tests: [threads] is what starts threads, [parse] what reads bytes.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../cmake/setup.sh"

run_all() {
  need_packages "${build_packages[@]}" "${mpi_packages[@]}" curl
  configure release
  build release
  local status=0 report=$root/build/release/tests.xml
  ctest --test-dir "$root/build/release" --parallel "$(nproc)" --output-on-failure \
    --output-junit "$report" --test-output-size-passed 1000000 \
    --test-output-size-failed 1000000 "$@" || status=$?
  python3 "$root/tests/count_cases.py" --junit "$report"
  return "$status"
}

run_sanitized() {
  local kind=${1-} status=0 log
  [[ $kind == thread || $kind == address ]] || die "--sanitize takes thread or address, got '$kind'"
  shift
  [[ ${1-} != -- ]] || shift
  if [[ $kind == thread ]]; then
    (($#)) || set -- '[threads]~[.]'
    export TSAN_OPTIONS="suppressions=$root/tests/tsan.supp halt_on_error=0 second_deadlock_stack=1"
    need_packages "${build_packages[@]}"
    configure thread -DGOSSAMER_SANITIZE=thread -DGOSSAMER_BUILD_EXAMPLES=OFF
  else
    (($#)) || set -- '[parse]~[.]'
    export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
    export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    need_packages "${build_packages[@]}"
    configure address -DGOSSAMER_SANITIZE=address,undefined -DGOSSAMER_BUILD_EXAMPLES=OFF
  fi
  build "$kind" gossamer_tests
  log=$root/build/$kind/tests.log
  # One thread per node: what OpenMP's threads do inside LibTorch is not ours to check.
  OMP_NUM_THREADS=1 "$root/build/$kind/tests/gossamer_tests" "$@" 2>&1 | tee "$log" || status=$?
  python3 "$root/tests/count_cases.py" --log "$log" "$status"
  return "$status"
}

run_fuzzers() {
  local seconds=${1:-20} passed=0 failed=0 source name corpus seeds
  need_packages "${build_packages[@]}" "${clang_packages[@]}"
  configure fuzz -DCMAKE_CXX_COMPILER=clang++ -DGOSSAMER_BUILD_FUZZERS=ON -DGOSSAMER_BUILD_TESTS=OFF
  build fuzz fuzzers
  for source in "$root"/tests/fuzz/*_fuzzer.cpp; do
    name=$(basename "$source" .cpp)
    corpus=$root/build/fuzz/corpus/$name  # kept between calls, so that each goes further
    mkdir -p "$corpus"
    echo "$name, $seconds s"
    seeds=("$root/tests/fuzz/corpus/$name")
    [[ -d ${seeds[0]} ]] || seeds=()
    # Entropic schedules cost more than a run of the faster fuzzers. One input that takes longer
    # than the timeout is a loop without end.
    if (cd "$root/build/fuzz" && "tests/fuzz/$name" -max_total_time="$seconds" -verbosity=0 \
      -timeout=30 -entropic=0 -print_final_stats=1 "$corpus" "${seeds[@]}"); then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
    fi
  done
  echo "$passed passed, $failed failed"
  ((failed == 0))
}

run_headers() {
  local dir=$root/build/release log=$root/build/release/headers.log header object first failed=0
  local -A object_of begins_with proven
  local -a todo objects next
  need_packages "${build_packages[@]}" "${mpi_packages[@]}"
  configure release
  while read -r header object; do
    object_of[$header]=$object
    first=$(sed -n '/^#pragma once/d; /^#/ { s,^#include <\(.*\)>,\1,p; q }' \
      "$root/include/$header")
    begins_with[$header]=${first:-nothing}
  done < <(ninja -C "$dir" -t targets all |
    sed -n 's,^\(.*_verify_interface_header_sets/.*\(gossamer/.*\.hpp\)\.cxx\.o\): .*,\2 \1,p')
  ((${#object_of[@]})) || die "tests/run.sh --headers found no header in build/release/build.ninja"
  # A header that compiles alone proves the one that it begins with too, since the compiler reads
  # that first. So those are not compiled, unless one that begins with them fails.
  for header in "${!object_of[@]}"; do
    [[ " ${begins_with[*]} " == *" $header "* ]] || todo+=("$header")
  done
  while ((${#todo[@]})); do
    objects=()
    for header in "${todo[@]}"; do objects+=("${object_of[$header]}"); done
    build release -k 0 "${objects[@]}" | tee "$log" || grep -q '^FAILED: ' "$log" ||
      die "tests/run.sh --headers: ninja failed, but at no header"
    next=()
    for header in "${todo[@]}"; do
      if grep -q "^FAILED: .*/$header\.cxx\.o" "$log"; then
        proven[$header]=0
        next+=("${begins_with[$header]}")
      else
        while [[ -n ${object_of[$header]-} ]]; do
          proven[$header]=1
          header=${begins_with[$header]}
        done
      fi
    done
    todo=()
    for header in "${next[@]}"; do
      [[ -z ${object_of[$header]-} || -n ${proven[$header]-} ]] || todo+=("$header")
    done
  done
  for header in "${!proven[@]}"; do
    if ((!proven[$header])); then
      failed=$((failed + 1))
      echo "FAILED: <$header> does not compile alone"
    fi
  done
  echo "$((${#object_of[@]} - failed)) passed, $failed failed"
  ((failed == 0))
}

run_docs() {
  need_packages "${build_packages[@]}" "${docs_packages[@]}"
  configure release
  local failed=0
  build release docs || failed=1
  echo "$((1 - failed)) passed, $failed failed"
  return "$failed"
}

# Short forms of the trials in tests/network. How long gaps are is not checked: other things may run
# beside this.
run_network() {
  need_packages "${build_packages[@]}" "${mpi_packages[@]}" iproute2
  configure release
  build release cifar10 chaos_node adopt_mnist
  local passed=0 failed=0
  local -a trial
  while read -ra trial; do
    printf '\n%s\n' "${trial[*]}"
    if python3 "$root/tests/network/${trial[0]}" "${trial[@]:1}" </dev/null; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
    fi
  done <<'END'
books_test.py
launchers.py openmpi openmpi_over_mpi launch_script variables_slurm agent_has_the_port restarted_after_a_checkpoint wrong_nobody_to_meet wrong_no_address wrong_world_size wrong_rules wrong_run wrong_key_mode wrong_transport wrong_launcher_of_mpi
churn.py --seconds 45
cut.py --whole 5 --parted 12 --dead-after 5
halves.py --whole 8 --parted 12 --dead-after 2
slow.py rate
slow.py leave
slow.py cut
slow.py memory --megabytes 8 --newcomers 4 --dead-after 1
kill.py --kill 2 --trials 1 --control 0 --nodes 4 --images 2400 --gap-limit 0
END
  echo "$passed passed, $failed failed"
  ((failed == 0))
}

case ${1-} in
  --help | -h) sed -n '3,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" ;;
  --sanitize) shift && run_sanitized "$@" ;;
  --fuzz) shift && run_fuzzers "$@" ;;
  --headers) run_headers ;;
  --docs) run_docs ;;
  --network) run_network ;;
  *) run_all "$@" ;;
esac
