#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Model-checks the delivery protocol with Spin (Debian and Ubuntu: installs it if it is missing):
# delivery.pml must hold in every state, and broken on purpose it must not. The last line is
# "N passed, N failed".
#
#   ./tests/models/run.sh          about half a minute
#   ./tests/models/run.sh --long   larger scenes as well, some minutes and up to 6 GB
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"

if [[ ${1-} == --help || ${1-} == -h ]]; then
  sed -n '3,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
  exit
fi
need_packages gcc libc6-dev spin
model=$root/tests/models/delivery.pml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
passed=0 failed=0

# explore EXPECTED TEXT ARGS...: all states of the model with these definitions; EXPECTED errors.
explore() {
  local expected=$1 text=$2 errors states begin=$EPOCHREALTIME
  shift 2
  spin -a "$@" "$model" >spin.log || { cat spin.log && die "spin cannot read $model"; }
  gcc -O1 -w -DSAFETY -DNOFAIR -DVECTORSZ=2048 -DMEMLIM=6000 -o pan pan.c
  ./pan -m1000000 -w22 >pan.log 2>&1 || true
  errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log)
  states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log)
  # What was not searched to the end proves nothing.
  ! grep -q 'Search not completed\|max search depth too small\|out of memory' pan.log ||
    ((${errors:-0} > 0)) || errors=incomplete
  printf '%-56s %9.0f states %6.1f s  errors: %s\n' "$text" "${states:-0}" \
    "$(awk "BEGIN { print $EPOCHREALTIME - $begin }")" "${errors:-none counted}"
  if [[ $errors == "$expected" ]]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    cat pan.log
  fi
}

explore 0 "two nodes, a suspicion" -DSUSPICIONS=1
explore 0 "two nodes, a suspicion, frames overtake" -DSUSPICIONS=1 -DSLOTS=2
explore 0 "two nodes, two messages each, two suspicions" -DMESSAGES=2 -DSUSPICIONS=2
explore 0 "two nodes, a crash, frames overtake" -DCRASHES=1 -DSUSPICIONS=0 -DSLOTS=2 -DSENDERS=1
explore 0 "two nodes, two suspicions, a crash" -DSUSPICIONS=2 -DCRASHES=1
explore 0 "three nodes in a chain, a suspicion" -DNODES=3 -DCHAIN
explore 0 "three nodes in a chain, a crash" -DNODES=3 -DCHAIN -DSUSPICIONS=0 -DCRASHES=1
if [[ ${1-} == --long ]]; then
  explore 0 "two nodes, two suspicions, two crashes" -DSUSPICIONS=2 -DCRASHES=2
  explore 0 "two nodes, two suspicions, frames overtake" -DSUSPICIONS=2 -DSLOTS=2
  explore 0 "three nodes in a chain, a suspicion, a crash" -DNODES=3 -DCHAIN -DCRASHES=1
fi
explore 1 "broken: does not wait for the grant" -DBREAK_WAIT
explore 1 "broken: takes home what it has granted" -DBREAK_GRANTED
explore 1 "broken: delivers what it only holds, on suspicion" -DBREAK_HELD
explore 1 "broken: uses the number of a session again" -DBREAK_SESSION
explore 1 "broken: believes frames of an old session" -DBREAK_OLD -DSLOTS=2
explore 1 "broken: takes a new life for the old one" -DBREAK_LIFE -DCRASHES=1 -DSUSPICIONS=0
echo "$passed passed, $failed failed"
((failed == 0))
