# SPDX-License-Identifier: MIT
# Sourced by the scripts (examples/run.sh, tests/run.sh, ...): packages, configuring, building.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Nodes are threads; a BLAS that starts threads of its own only gets in their way.
export OPENBLAS_NUM_THREADS=1

build_packages=(build-essential ccache cmake g++ ninja-build pkg-config
  libasio-dev libspdlog-dev libxxhash-dev libtinyxml2-dev libncurses-dev zlib1g-dev
  libcli11-dev nlohmann-json3-dev libtomlplusplus-dev libssl-dev openssl
  catch2 python3)
mpi_packages=(libopenmpi-dev openmpi-bin)
clang_packages=(clang clang-format clang-tidy libclang-rt-dev)
docs_packages=(doxygen)

die() {
  echo "$*" >&2
  exit 1
}

# Where LibTorch comes from: Torch_DIR, else CMAKE_PREFIX_PATH, else the active python3's torch,
# else Debian's package. CMake reads Torch_DIR from the environment.
find_torch() {
  local prefix dir prefixes
  if [[ -z ${Torch_DIR-} ]]; then
    IFS=: read -ra prefixes <<<"${CMAKE_PREFIX_PATH-}"
    if command -v python3 >/dev/null; then  # does not import it: that takes seconds
      prefixes+=("$(python3 -c 'import importlib.util, os
torch = importlib.util.find_spec("torch")
if torch and torch.origin: print(os.path.dirname(torch.origin))' || true)")
    fi
    for prefix in "${prefixes[@]}"; do
      for dir in "$prefix"/{,share/cmake/,lib/cmake/,lib/*/cmake/}Torch; do
        [[ -z $prefix || ! -f $dir/TorchConfig.cmake ]] || break 2
        dir=
      done
    done
    [[ -z ${dir-} ]] || export Torch_DIR=$dir
  fi
  if [[ ${Torch_DIR-/usr/lib/} == /usr/lib/* ]]; then
    build_packages+=(libtorch-dev libopenblas0-pthread)
  elif [[ ! -f $Torch_DIR/TorchConfig.cmake ]]; then
    die "Torch_DIR must be the folder of LibTorch's TorchConfig.cmake, got '$Torch_DIR'"
  fi
}
find_torch

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
  rm -f "$root"/build/*/configured  # CMake may find now what it did not
}

# configure DIR ARGS...: runs CMake for build/DIR, and says which LibTorch it found, unless it has
# been run with the same arguments.
configure() {
  local dir=$root/build/$1 wanted
  shift
  wanted="$root ${Torch_DIR-} ${CMAKE_PREFIX_PATH-} $*"
  [[ -f $dir/build.ninja && $(cat "$dir/configured" 2>/dev/null) == "$wanted" ]] && return
  rm -f "$dir/CMakeCache.txt"  # another compiler or option must not meet old answers
  cmake -S "$root" -B "$dir" -G Ninja "$@" | sed -n 's/^-- \(LibTorch .*\)/\1/p'
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
