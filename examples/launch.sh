#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Starts N processes of an example on this machine, which meet over TCP, the adopt_* ones under a key
# that is made for them. The first one's output is shown; the others' is in the folder that is
# printed. Ctrl+C lets all of them leave in order.
#
#   ./examples/launch.sh -n 4 cifar10 ARGS...     ARGS go to each process
#   ./examples/launch.sh -n 4 adopt_mnist FOLDER
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() { sed -n '3,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | sed '/^set/d'; }
if [[ ${1-} == --help || ${1-} == -h ]]; then
  usage
  exit 0
fi
[[ ${1-} == -n && ${2-} =~ ^[1-9][0-9]*$ && -n ${3-} ]] || { usage >&2; exit 2; }
count=$2 example=$3
shift 3
program=${GOSSAMER_EXAMPLES:-$root/build/release/examples}/$example
[[ -x $program ]] || { echo "launch.sh: build it first: ./examples/run.sh $example --help" >&2; exit 2; }

logs=$(mktemp -d "${TMPDIR:-/tmp}/gossamer-launch-XXXXXX")
# A port that is free now. Whoever takes it before the first process does is named by that.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export WORLD_SIZE=$count LOCAL_WORLD_SIZE=$count MASTER_ADDR=127.0.0.1 MASTER_PORT=$port
options=(--transport tcp)
if [[ $example == adopt_* ]]; then  # they take all from the environment
  options=()
  if [[ -z ${GOSSAMER_KEY-} ]]; then
    "$root/examples/make_keys.sh" --shared-key "$logs/run.key" >/dev/null
    export GOSSAMER_KEY=$logs/run.key
  fi
fi
export OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS-1}

pids=()
trap 'kill -TERM "${pids[@]}" 2>/dev/null || true' INT TERM
for ((rank = count - 1; rank >= 0; --rank)); do
  if ((rank > 0)); then
    RANK=$rank "$program" "${options[@]}" "$@" >"$logs/$rank.log" 2>&1 &
  else
    RANK=0 "$program" "${options[@]}" "$@" &
  fi
  pids[rank]=$!
done
echo "launch.sh: $count processes; the output of the others is in $logs"

status=0
for ((rank = 0; rank < count; ++rank)); do
  code=0
  while :; do  # a signal interrupts the wait, not the process
    code=0
    wait "${pids[rank]}" || code=$?
    kill -0 "${pids[rank]}" 2>/dev/null || break
  done
  if ((code != 0)); then
    echo "launch.sh: process $rank ended with status $code" >&2
    ((rank == 0)) || tail -n 3 "$logs/$rank.log" >&2
    status=1
  fi
done
exit "$status"
