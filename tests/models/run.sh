#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Model-checks the delivery protocol with Spin (Debian and Ubuntu: installs it if it is missing):
# delivery.pml as it is must hold in every state, and broken on purpose it must not. The last line
# is "N passed, N failed".
#
#   ./tests/models/run.sh          about a minute
#   ./tests/models/run.sh --long   larger scenes, some minutes and 6 GB
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"

[[ ${1-} != --help && ${1-} != -h ]] || { sed -n '3,/^set/s/^# \{0,1\}//p' "$0"; exit; }
need_packages gcc libc6-dev spin
model=$root/tests/models/delivery.pml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
passed=0 failed=0

# explore TEXT ARGS...: all states of the model with these definitions; sets `errors`, prints a line.
explore() {
  local text=$1 states seconds begin=$SECONDS
  shift
  spin -a "$@" "$model" >spin.log || { cat spin.log; die "spin cannot read $model"; }
  gcc -O2 -w -DSAFETY -DNOFAIR -DMEMLIM=6000 -DVECTORSZ=2048 -o pan pan.c
  ./pan -m1000000 -w22 >pan.log || { tail -n 5 pan.log; die "the search for '$text' broke off"; }
  ! grep -q 'max search depth too small\|out of memory' pan.log || errors=incomplete
  errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log)
  states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log)
  ! grep -q 'max search depth too small\|out of memory\|aborting' pan.log || errors=incomplete
  seconds=$((SECONDS - begin))
  printf '%-58s %12.0f states %4d s  errors: %s\n' "$text" "$states" "$seconds" "$errors"
}
holds() {
  explore "$@"
  if [[ $errors == 0 ]]; then passed=$((passed + 1)); else failed=$((failed + 1)) && cat pan.log; fi
}
breaks() {
  explore "$@"
  if [[ $errors == 1 ]]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

holds "two nodes, either suspected once" -DSUSPICIONS=1
holds "two nodes, suspected twice" -DSUSPICIONS=2
holds "two nodes, suspicions and crashes" -DSUSPICIONS=2 -DCRASHES=2
holds "two nodes, two messages each way" -DMESSAGES=2
holds "two nodes, two frames each way that may come late" -DSLOTS=2
holds "three nodes, one of them sends" -DNODES=3 -DSENDERS=1
if [[ ${1-} == --long ]]; then
  holds "two nodes, late frames, suspicions, a crash" -DSLOTS=2 -DSUSPICIONS=2 -DCRASHES=1
  holds "three nodes, one sends, a crash" -DNODES=3 -DSENDERS=1 -DSUSPICIONS=0 -DCRASHES=1
fi
breaks "broken: takes home what it has granted" -DBREAK_GRANTED
breaks "broken: delivers what it only holds on suspicion" -DBREAK_HELD
breaks "broken: the next session has the number of this one" -DBREAK_SESSION
breaks "broken: does not wait for the grant" -DBREAK_WAIT
breaks "broken: uses frames of an old session" -DBREAK_OLD -DMESSAGES=2 -DSLOTS=2
breaks "broken: takes a new life for the old one" -DBREAK_LIFE -DCRASHES=1

echo "$passed passed, $failed failed"
((failed == 0))
