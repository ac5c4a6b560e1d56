#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Checks format and manner; the last line is "N passed, N failed".
#
#   ./tests/lint.sh              clang-format on all files, clang-tidy on one that sees most headers;
#                                no <torch/torch.h> in headers, no include of a room
#                                above, no header of more than 400 lines, all sentences of concepts tested,
#                                Slurm's and Kubernetes' files well formed, the benchmarks' tables
#                                what their records say; links, commands, names and code on pages
#                                what is there
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

# <torch/torch.h> takes 19 seconds to read, so the library never includes it.
light_includes() { ! grep -rnE '# *include *<torch/(all|extension|torch)\.h>' include; }

# No header includes one of a room above its own; one that does, in a copy, is found out. None has more
# than 400 lines.
rooms_in_order() {
  local copy=build/lint/rooms header
  python3 tests/room_order.py || return 1
  rm -rf $copy && mkdir -p $copy && cp -r include $copy
  sed -i 's,^#include <gossamer/rule/rule.hpp>,&\n#include <gossamer/node/engine.hpp>,' \
    $copy/include/gossamer/rule/gosgd.hpp
  ! python3 tests/room_order.py $copy/include >/dev/null || return 1
  while IFS= read -r header; do
    (($(wc -l <"$header") <= 400)) ||
      { echo "$header has more than 400 lines"; return 1; }
  done < <(git ls-files 'include/*.hpp')
}

# Every sentence "NAME needs: ..." of a concept is expected by a file in tests/compile_errors.
sentences_tested() {
  local sentence expected untested=0
  expected=$(sed -n 's,^// expect: ,,p' tests/compile_errors/*.cpp)
  while IFS= read -r sentence; do
    while IFS= read -r part && [[ $sentence != "$part"* ]]; do :; done <<<"$expected"
    [[ -n $part ]] || { echo "no compile-error test expects: $sentence"; untested=1; }
  done < <(cat $(git ls-files 'include/*.hpp') | tr -d '\n' | sed 's/" *"//g' |
    grep -oE '"[A-Z][a-z]+ needs: [^"]*"' | tr -d '"')
  return "$untested"
}

# The files for clusters are at least well formed. kubectl, asked to change the set of pods here and
# not at a server (--local), refuses what has not the types of Kubernetes.
typed_pods() { awk '/^---/ {++part} part == 2' | kubectl set image --local -f - node=checked -o name; }
well_formed_cluster_files() {
  local file=examples/cluster/kubernetes.yaml
  shellcheck examples/cluster/slurm.sbatch &&
    yamllint -d '{extends: default, rules: {document-start: disable, line-length: {max: 100}}}' \
      "$file" &&
    kubectl label --local -f "$file" checked=yes -o name >/dev/null &&
    typed_pods <"$file" >/dev/null || return 1
  ! sed 's/replicas: 4/replicas: four/' "$file" | typed_pods >/dev/null 2>&1
}

# Tables of records, and those on pages, can be made again. A copy with one figure changed is found out.
tables_are_of_records() {
  local copy=build/lint/tables
  python3 benchmarks/records.py check || return 1
  rm -rf $copy && mkdir -p $copy && cp -r benchmarks README.md $copy
  sed -i 's/"test_accuracy_mean": 0\.9/"test_accuracy_mean": 0.8/' \
    $copy/benchmarks/records/mnist.jsonl
  ! python3 $copy/benchmarks/records.py check 2>/dev/null
}

# Links, commands, names and quoted code on the pages are there; each kind of mistake is found out.
pages_are_true() {
  local page=build/lint/wrong.md found
  python3 tests/pages.py || return 1
  cat >$page <<'END'
# Wrong
[gone](gone.md), [no such heading](wrong.md#right), `rule::GoSdg`, `no_such_function()`, `--no-such-option`
```
./examples/gone.sh
./examples/run.sh nobody
./examples/run.sh cifar10 --no-such-option
build/release/examples/cifar10 --transport tcp \
  --no-such-option
./tests/run.sh --no-such-option
```
```cpp
gossamer::rule::GoSdg rule;
```
<!-- examples/hello/hello.cpp -->
```cpp
int main() { return 1; }
```
END
  found=$(python3 tests/pages.py $page) && return 1
  [[ $(wc -l <<<"$found") -eq 12 ]] || { echo "12 mistakes, found: $found"; return 1; }
}

# A file with known violations must be flagged, else the checks are off.
finds_violations() {
  local file=build/lint/violation.cpp output
  printf 'int* BadName() { return 0; }\n  int x;\n' >$file
  ! clang-format --dry-run --Werror $file 2>/dev/null || return 1
  output=$(clang-tidy --quiet $file -- -std=c++20 2>/dev/null) || true
  [[ $output == *readability-identifier-naming* && $output == *modernize-use-nullptr* ]]
}

need_packages "${build_packages[@]}" "${clang_packages[@]}" shellcheck yamllint
# Many machines have a kubectl that is not Debian's, and both packages would own the same file.
command -v kubectl >/dev/null || need_packages kubernetes-client
# Nothing is built there: clang-tidy reads how Clang would compile each file.
configure lint -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON

check "clang-format and clang-tidy find known violations" finds_violations
if (($#)); then
  sources=("$@")
else
  check "clang-format" formatted
  check "no header includes <torch/torch.h>" light_includes
  check "rooms stand in their order" rooms_in_order
  check "every sentence of a concept is tested" sentences_tested
  check "examples/cluster" well_formed_cluster_files
  check "tables are what the records say" tables_are_of_records
  check "pages say what is there" pages_are_true
  sources=(examples/hello/hello.cpp)  # sees nearly all headers
fi
for source in "${sources[@]}"; do
  echo "clang-tidy $source"
  check "clang-tidy $source" tidied "$source"
done
echo "$passed passed, $failed failed"
((failed == 0))
