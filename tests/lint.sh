#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Checks format and manner; the last line is "N passed, N failed".
#
#   ./tests/lint.sh              clang-format on every file, clang-tidy on one that sees most headers
#   ./tests/lint.sh FILE.cpp...  clang-tidy on these
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../cmake/setup.sh"

passed=0 failed=0
# check TEXT COMMAND...
check() {
  local text=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $text"
  fi
}

cd "$root"
formatted() {
  git ls-files -z '*.hpp' '*.cpp' | xargs -0 clang-format --dry-run --Werror
}
tidied() { clang-tidy -p build/lint --quiet --warnings-as-errors='*' "$@"; }

# A file with known violations must be flagged, else the checks are off.
finds_violations() {
  local file=build/lint/violation.cpp output
  printf 'int* BadName() { return 0; }\n  int x;\n' >$file
  ! clang-format --dry-run --Werror $file 2>/dev/null || return 1
  output=$(clang-tidy --quiet $file -- -std=c++20 2>/dev/null) || true
  [[ $output == *readability-identifier-naming* && $output == *modernize-use-nullptr* ]]
}

need_packages "${build_packages[@]}" "${clang_packages[@]}"
# Nothing is built there: clang-tidy reads how Clang would compile each file.
configure lint -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON

check "clang-format and clang-tidy find known violations" finds_violations
if (($#)); then
  sources=("$@")
else
  check "clang-format" formatted
  sources=(examples/hello/hello.cpp)  # sees nearly all headers
fi
for source in "${sources[@]}"; do
  echo "clang-tidy $source"
  check "clang-tidy $source" tidied "$source"
done
echo "$passed passed, $failed failed"
((failed == 0))
