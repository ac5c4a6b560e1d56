# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced by the benchmarks that train for long, beside cmake/setup.sh: each run goes on where it was
# cut off, and leaves one line in benchmarks/records/QUESTION.jsonl. CIFAR10_OPTIONS may add options
# of the example to every run, such as --channels-last.

# question NAME: what the caller asks; sets here, work (a folder for runs and logs) and records.
question() {
  question=$1 here=$root/benchmarks/$1 work=$root/build/$1
  records=$root/benchmarks/records/$1.jsonl program=$root/build/release/examples/cifar10
}

# prepare TARGET VARIABLE TEXT: builds TARGET, for which VARIABLE must name the folder of TEXT.
prepare() {
  [[ -n ${!2-} ]] || die "$2 must name the folder of $3"
  need_packages "${build_packages[@]}"
  configure release
  build release "$1"
  mkdir -p "$work"
}
prepare_cifar10() { prepare cifar10 GOSSAMER_DATA "CIFAR-10's binary files"; }

# recorded RUN: whether it has a line, which begins with its name.
recorded() { grep -qsF -- "{\"name\": \"$1\"," "$records"; }

# add_record RUN FROM: its line, made of what it left.
add_record() { python3 "$root/benchmarks/records.py" add "$question" "$1" "$2"; }

# train_to_record RUN ARGS...: runs the example in a folder of its own, unless RUN is recorded.
train_to_record() {
  local run=$1 folder=$work/${1//\//-} resume=()
  shift
  ! recorded "$run" || return 0
  if [[ -f $folder/checkpoint ]]; then resume=(--resume); else rm -rf "$folder"; fi
  # shellcheck disable=SC2086  # CIFAR10_OPTIONS is words
  "$program" "$@" ${CIFAR10_OPTIONS-} --out "$folder" "${resume[@]}" && add_record "$run" "$folder"
}

# logged RUN COMMAND...: unless RUN is recorded; its output goes to a file beside its folder.
logged() {
  local run=$1 log=$work/${1//\//-}.log
  shift
  ! recorded "$run" || return 0
  echo "$run: log in $log"
  "$@" >"$log" 2>&1 || die "$run ended with an error: see $log"
  echo "$run: done"
}

# side_by_side FUNCTION...: the caller's `train` with the words of each line that is read, as many at
# once as there are cores. FUNCTION... are what it calls beside the ones above.
side_by_side() {
  # shellcheck disable=SC2163  # names of functions
  export -f train train_to_record recorded add_record logged die "$@"
  export root question work records here program
  # shellcheck disable=SC2016  # the words are the other shell's
  xargs -r -d '\n' -P "$(nproc)" -I{} bash -euo pipefail -c 'train $1' train {}
}

# list: the caller's `runs` (RUN ARGS... a line, in their order), and which are recorded.
list() {
  runs | while read -r run args; do
    if recorded "$run"; then state="done"; else state=todo; fi
    echo "$state $run $args"
  done
}

# train_matching RE: those of `runs` that match. Runs on threads have both cores, one after the other;
# simulated ones share them. What ends with an error does not keep the others from running.
train_matching() {
  local only=$1 line status=0
  prepare_cifar10
  while IFS= read -r line; do
    # shellcheck disable=SC2086  # a line is words
    (train $line) || status=1
  done < <(runs | grep '^threads/' | grep -E -- "$only" || true)
  runs | grep -v '^threads/' | grep -E -- "$only" | side_by_side cluster_file || status=1
  return $status
}

# one_by_one RE: the caller's `train` for those of `runs` that match.
one_by_one() {
  local line
  while IFS= read -r line; do
    # shellcheck disable=SC2086  # a line is words
    train $line </dev/null
  done < <(runs | grep -E -- "$1")
}

# tables, and plot: from the records.
tables() { python3 "$root/benchmarks/records.py" tables "$question"; }
plot() {
  need_packages python3-matplotlib
  /usr/bin/python3 "$root/benchmarks/records.py" plot "$question"
}

# usage SCRIPT: the comment that it begins with.
usage() { sed -n '3,/^set/s/^# \{0,1\}//p' "$1"; }

# answer SHOW ARGS...: does what the caller was told. Of the caller is `measure RE`, which makes the
# records that there are not yet, and `runs`, if one may name some; SHOW is tables or plot.
answer() {
  local show=$1 takes="--plot or nothing"
  shift
  ! declare -F runs >/dev/null || takes="--list, --only, $takes"
  case ${1-} in
    --help | -h) usage "$here/run.sh" ;;
    --plot) "$show" ;;
    "")
      measure .
      "$show"
      ;;
    --list | --only)
      [[ $takes == *"$1"* ]] || die "benchmarks/$question/run.sh takes $takes, got '$1'"
      if [[ $1 == --list ]]; then list; else measure "${2:?a pattern}"; fi
      ;;
    *) die "benchmarks/$question/run.sh takes $takes, got '$1'" ;;
  esac
}
