# SPDX-License-Identifier: MIT
# Sourced by the benchmarks that train the CIFAR-10 example for long: each run goes on where it was
# cut off, and leaves one small record. CIFAR10_OPTIONS may add options of the example to every run,
# such as --channels-last.
program=$root/build/release/examples/cifar10

# prepare_runs DIR...: builds the example, and makes the folders.
prepare_runs() {
  [[ -n ${GOSSAMER_DATA-} ]] || die "GOSSAMER_DATA must name the folder of CIFAR-10's binary files"
  need_packages "${build_packages[@]}"
  configure release
  build release cifar10
  mkdir -p "$@"
}

# train_to_record SCRIPT FOLDER RECORD ARGS...: runs the example in FOLDER, unless RECORD is there,
# and has SCRIPT (Python, `SCRIPT record FOLDER RECORD`) make the record of it.
train_to_record() {
  local script=$1 folder=$2 record=$3 resume=()
  shift 3
  [[ ! -f $record ]] || return 0
  if [[ -f $folder/checkpoint ]]; then resume=(--resume); else rm -rf "$folder"; fi
  # shellcheck disable=SC2086  # CIFAR10_OPTIONS is words
  "$program" "$@" ${CIFAR10_OPTIONS-} --out "$folder" "${resume[@]}" &&
    python3 "$script" record "$folder" "$record"
}

# side_by_side FUNCTION...: the caller's `train` with the words of each line that is read, as many at
# once as there are cores. FUNCTION... are what it calls beside the ones above.
side_by_side() {
  # shellcheck disable=SC2163  # names of functions
  export -f train train_to_record die "$@"
  export root work records here program common
  xargs -r -P "$(nproc)" -I{} bash -euo pipefail -c 'train {}'
}
