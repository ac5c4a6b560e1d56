# SPDX-License-Identifier: MIT
# Sourced by examples/run.sh, tests/run.sh and tests/lint.sh: packages, configuring, building.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Nodes are threads; a BLAS that starts threads of its own only gets in their way.
export OPENBLAS_NUM_THREADS=1

build_packages=(build-essential ccache cmake g++ ninja-build pkg-config
  libtorch-dev libopenblas0-pthread libasio-dev libspdlog-dev libxxhash-dev
  libcli11-dev nlohmann-json3-dev libssl-dev libcurl4-openssl-dev libarchive-dev
  catch2 python3)
clang_packages=(clang clang-format clang-tidy libclang-rt-dev)

die() {
  echo "$*" >&2
  exit 1
}

# need_packages PACKAGE...: installs those that are missing; one question to dpkg when none is.
need_packages() {
  local missing get=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3)
  if ! command -v apt-get dpkg-query >/dev/null; then
    die "This script installs its packages on Debian and Ubuntu only. Elsewhere, install what these
Debian packages hold, then run cmake, ninja and ctest by hand (see .github/CONTRIBUTING.md):
$*"
  fi
  missing=$(comm -23 <(printf '%s\n' "$@" | sort) \
    <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
      sed -n 's/^installed //p' | sort -u))
  [[ -n $missing ]] || return 0
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "Please install, as root: apt-get install" $missing
    get=(sudo "${get[@]}")
  fi
  echo "Installing" $missing
  mkdir -p "$root/build"
  if ! { "${get[@]}" update && "${get[@]}" install -y --no-install-recommends $missing; } \
    >"$root/build/apt.log" 2>&1 </dev/null; then
    tail -n 20 "$root/build/apt.log" >&2
    die "The packages could not be installed: see build/apt.log"
  fi
}

# configure DIR ARGS...: runs CMake for build/DIR unless it has been run with the same arguments.
configure() {
  local dir=$root/build/$1 wanted
  shift
  wanted="$root $*"
  [[ -f $dir/build.ninja && $(cat "$dir/configured" 2>/dev/null) == "$wanted" ]] && return
  rm -f "$dir/CMakeCache.txt"  # another compiler or option must not meet old answers
  cmake -S "$root" -B "$dir" -G Ninja "$@" >/dev/null
  echo "$wanted" >"$dir/configured"
}

# build DIR TARGET...: one job per core, fewer where memory is short (a LibTorch file takes 1.5 GB).
build() {
  local dir=$root/build/$1 jobs memory
  shift
  jobs=$(nproc)
  memory=$(awk '/^MemAvailable/ { print int($2 / 1500000) }' /proc/meminfo)
  ((memory >= jobs)) || jobs=$((memory > 1 ? memory : 1))
  ninja -C "$dir" -j "$jobs" "$@"
}
