#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs the library to a folder of its own, then builds and runs a user's program in each way
# that the pages show, each from an empty folder. The last line is "N passed, N failed".
#
#   ./tests/packaging/run.sh
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../cmake/setup.sh"

here=$root/tests/packaging
work=$root/build/packaging
# What the pages show, but for the CMake lines, which are in the folders' CMakeLists.txt.
install_lines='cmake -B build -DGOSSAMER_BUILD_TESTS=OFF -DGOSSAMER_BUILD_EXAMPLES=OFF \
  -DGOSSAMER_BUILD_BENCHMARKS=OFF
cmake --install build --prefix "$PREFIX"'
pkg_config_line='g++ -std=c++20 main.cpp $(pkg-config --cflags --libs gossamer) -o my_program'

passed=0 failed=0
# check TEXT COMMAND...: shows what the command printed if it fails.
check() {
  local text=$1 start=$SECONDS
  shift
  if (cd "$work" && "$@") >"$work/check.log" 2>&1; then
    passed=$((passed + 1))
    echo "$text: passed, $((SECONDS - start)) s"
  else
    failed=$((failed + 1))
    cat "$work/check.log"
    echo "FAILED: $text"
  fi
}

installed() { (cd gossamer && PREFIX=$work/first && eval "$install_lines") && mv first prefix; }

# No path of this machine is in what CMake exports.
names_no_path() {
  local file=prefix/lib/cmake/gossamer/gossamerTargets.cmake
  [[ -f $file ]] && ! grep -nE '(^|[" ;=])/[A-Za-z]' "$file"
}

# built_with_cmake FOLDER [CMAKE ARGS...]
built_with_cmake() {
  cd "$1" && cmake -B build -G Ninja "${@:2}" && ninja -C build && build/my_program
}

built_with_pkg_config() { cd pkg_config && eval "$pkg_config_line" && ./my_program; }

# As Python's LibTorch does, this one has headers of another fmt than the system's spdlog wants.
built_with_another_fmt() {
  local torch header
  torch=$(sed -n 's/^Torch_DIR:[^=]*=//p' gossamer/build/CMakeCache.txt)
  mkdir -p another_fmt/{include/fmt,Torch}
  for header in core format; do
    echo '#error "not the fmt that spdlog was built with"' >another_fmt/include/fmt/$header.h
  done
  cat >another_fmt/Torch/TorchConfig.cmake <<END
include($torch/TorchConfig.cmake)
set_property(TARGET torch PROPERTY
             INTERFACE_INCLUDE_DIRECTORIES $work/another_fmt/include \${TORCH_INCLUDE_DIRS})
END
  rm -rf find_package/build
  built_with_cmake find_package -DTorch_DIR="$work/another_fmt/Torch"
}

# README, or the page of the library, has these lines, together and in this order.
on_a_page() {
  [[ $(<"$root/README.md") == *$'\n'"$1"$'\n'* ||
    $(<"$root/include/gossamer/README.md") == *$'\n'"$1"$'\n'* ]]
}

need_packages "${build_packages[@]}"
rm -rf "$work"
mkdir -p "$work"/{add_subdirectory,fetch_content,find_package,one_definition,pkg_config,separate}
for folder in "$work"/*; do
  cp "$here/main.cpp" "$folder"
  [[ $folder == */pkg_config ]] || cp "$here/$(basename "$folder")"/* "$folder"
done
# What a user has of us: neither tests nor examples.
tar -czf "$work/gossamer.tar.gz" --transform 's,^,gossamer/,' -C "$root" \
  CMakeLists.txt cmake include
tar -xzf "$work/gossamer.tar.gz" -C "$work"
cp -r "$work/gossamer" "$work/add_subdirectory"

# ccache knows the program from another clone's run too.
export CCACHE_BASEDIR=$work CCACHE_NOHASHDIR=1
! command -v ccache >/dev/null || export CMAKE_CXX_COMPILER_LAUNCHER=ccache

check "cmake --install, then moved" installed
check "exported CMake files name no path" names_no_path
export PKG_CONFIG_PATH=$work/prefix/lib/pkgconfig
for way in find_package one_definition separate; do
  CMAKE_PREFIX_PATH=$work/prefix${CMAKE_PREFIX_PATH+:$CMAKE_PREFIX_PATH} \
    check "$way" built_with_cmake $way
done
CMAKE_PREFIX_PATH=$work/prefix${CMAKE_PREFIX_PATH+:$CMAKE_PREFIX_PATH} \
  check "find_package, LibTorch with another fmt" built_with_another_fmt
check "pkg-config" built_with_pkg_config
check "add_subdirectory" built_with_cmake add_subdirectory
check "fetch_content" built_with_cmake fetch_content -DGOSSAMER_URL="$work/gossamer.tar.gz"

check "a page shows how to install" on_a_page "$install_lines"
check "a page shows pkg-config" on_a_page "$pkg_config_line"
for way in find_package add_subdirectory fetch_content separate; do
  check "a page shows $way" on_a_page "$(sed '1,/^$/d' "$here/$way/CMakeLists.txt")"
done

echo "$passed passed, $failed failed"
((failed == 0))
