#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds and runs an example; installs what is missing first (Debian and Ubuntu).
#
#   ./examples/run.sh                     8 nodes learn CIFAR-10, some minutes on two cores
#   ./examples/run.sh EXAMPLE             another example, with its own defaults
#   ./examples/run.sh [EXAMPLE] ARGS...   ARGS go to the example
#   ./examples/run.sh cifar10 --help      what the main example understands
#   ./examples/run.sh cifar10 --download [--data DIR] [ARGS...]
#                                         fetches the data set first, unless it is there, to DIR or
#                                         a cache; examples/cifar10/download.sh can use a mirror
#   ./examples/run.sh report RUN... [--out FILE]
#                                         one HTML file of finished runs; needs python3 only.
#                                         RUN is a folder, or benchmarks/records/FILE.jsonl:NAME
#   ./examples/run.sh assess PLAN --out DIR
#                                         rules side by side, tuned alike, with what may be
#                                         concluded; see examples/README.md
#   ./examples/run.sh trace FILE... --out FILE
#                                         one trace of those of several processes, on one clock;
#                                         needs python3 only
#
# The first call compiles for a few minutes, the next ones start at once.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../cmake/setup.sh"

mapfile -t examples < <(sed -n 's/^add_example(\([a-z0-9_]*\) .*/\1/p' "$root/examples/CMakeLists.txt")

if [[ ${1-} == --help || ${1-} == -h ]]; then
  sed -n '3,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
  echo
  echo "EXAMPLE is one of: ${examples[*]}"
  exit 0
fi

case ${1-} in
  report) exec python3 -B "$root/examples/report/report.py" "${@:2}" ;;
  trace) exec python3 -B "$root/examples/trace/merge.py" "${@:2}" ;;
esac

if [[ ${1-} == assess ]]; then
  if [[ " $* " != *" --help "* && " $* " != *" --page "* && " $* " != *" --list "* ]]; then
    need_packages "${build_packages[@]}"
    configure release
    build release cifar10
  fi
  exec python3 -B "$root/examples/assess/assess.py" "${@:2}"
fi

example=cifar10
if [[ $# -gt 0 && $1 != -* ]]; then
  example=$1
  shift
fi
[[ " ${examples[*]} " == *" $example "* ]] ||
  die "No example is called $example; there are: ${examples[*]}"
if [[ $example == cifar10 && $# -eq 0 ]]; then
  set -- --nodes 8 --probability 0.1 --momentum 0.9 --images 60000
fi

# The program knows no --download: it gets --data and the folder instead.
if [[ $example == cifar10* && " $* " == *" --download "* ]]; then
  fetch=("$root/examples/cifar10/download.sh") rest=()
  while (($#)); do
    case $1 in
      --download) ;;
      --data | --data=*)
        fetch+=("$1")
        [[ $1 == *=* || $# -eq 1 ]] || { fetch+=("$2") && shift; }
        ;;
      *) rest+=("$1") ;;
    esac
    shift
  done
  data=$("${fetch[@]}")
  set -- --data "$data" "${rest[@]}"
fi

# Without a text of one's own: the King James Bible, as Debian's program prints it.
if [[ $example == gossip_lm && -z ${GOSSAMER_TEXT-} && ! " $* " =~ \ --(text|help|version)[\ =] ]]; then
  text=${XDG_CACHE_HOME:-$HOME/.cache}/gossamer/king_james.txt
  if [[ ! -s $text ]]; then
    need_packages bible-kjv bible-kjv-text
    mkdir -p "${text%/*}"
    bible -f gen1:1-rev22:21 </dev/null | sed 's/^[^ ]* //' >"$text.part"  # without its references
    mv "$text.part" "$text"
  fi
  set -- --text "$text" "$@"
fi

need_packages "${build_packages[@]}"
configure release
build release "$example"
exec "$root/build/release/examples/$example" "$@"
