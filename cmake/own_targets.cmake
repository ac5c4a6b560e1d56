# SPDX-License-Identifier: MIT
# How tests, examples and benchmarks are compiled; a project that uses the library sees none of it.
#
#   gossamer_own_target(TARGET [PRECOMPILED])   the library, our flags, and a precompiled header

set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  if(GOSSAMER_SANITIZE)
    set(default_build_type RelWithDebInfo)
  else()
    set(default_build_type Release)
  endif()
  set(CMAKE_BUILD_TYPE ${default_build_type} CACHE STRING "Build type" FORCE)
endif()

add_library(gossamer_flags INTERFACE)
target_compile_options(gossamer_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Woverloaded-virtual
  # Tensor sizes are signed, container sizes are not.
  -Wno-sign-conversion
  $<$<BOOL:${GOSSAMER_WERROR}>:-Werror>)

if(CMAKE_CXX_COMPILER_ID MATCHES "Clang" AND Torch_VERSION VERSION_LESS 2)
  target_compile_options(gossamer_flags INTERFACE
    "SHELL:-include ${CMAKE_CURRENT_LIST_DIR}/clang_with_libtorch_1.hpp")
endif()

set(known_sanitizers "" thread address undefined "address,undefined")
set(sanitizers ${GOSSAMER_SANITIZE})
if(NOT GOSSAMER_SANITIZE IN_LIST known_sanitizers)
  message(FATAL_ERROR "GOSSAMER_SANITIZE must be thread, address, undefined or "
                      "\"address,undefined\", got \"${GOSSAMER_SANITIZE}\"")
elseif(GOSSAMER_BUILD_FUZZERS)
  set(sanitizers fuzzer-no-link,address,undefined)
endif()
if(sanitizers)
  # -g1: line numbers are enough for a report, and LibTorch's full debug information is huge.
  # GCC's warning is wrong about the standard library's code once that is instrumented.
  target_compile_options(gossamer_flags INTERFACE
    -fsanitize=${sanitizers} -fno-omit-frame-pointer -O1 -g1
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
    # Asio has fences, which ThreadSanitizer does not see; there are locks beside them.
    $<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
  target_link_options(gossamer_flags INTERFACE -fsanitize=${sanitizers})
endif()

find_program(CCACHE ccache)
mark_as_advanced(CCACHE)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # The sloppiness and the flag are what ccache asks for to work with a precompiled header; the base
  # folder lets one clone use what another has compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros
      CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
  target_compile_options(gossamer_flags INTERFACE
    $<IF:$<CXX_COMPILER_ID:GNU>,-fpch-preprocess,SHELL:-Xclang -fno-pch-timestamp>)
endif()

if(GOSSAMER_TIDY)
  find_program(CLANG_TIDY clang-tidy REQUIRED)
  mark_as_advanced(CLANG_TIDY)
  set(CMAKE_CXX_CLANG_TIDY ${CLANG_TIDY} --quiet)
  set(CMAKE_DISABLE_PRECOMPILE_HEADERS ON)  # clang-tidy cannot read that of another compiler
endif()

# LibTorch's tensors take 10 seconds to read: they are read once for all that are compiled with equal
# flags. Not <torch/torch.h>: GCC would instantiate all that its inline functions use again in each
# file, which takes as long as reading it.
file(CONFIGURE OUTPUT precompiled.cpp CONTENT "// Holds the precompiled header.\n")
set(precompiled_source ${CMAKE_CURRENT_BINARY_DIR}/precompiled.cpp)
function(add_precompiled name)
  add_library(${name} OBJECT EXCLUDE_FROM_ALL ${precompiled_source})
  target_link_libraries(${name} PRIVATE gossamer gossamer_flags)
  target_compile_options(${name} PUBLIC ${ARGN})
  target_precompile_headers(${name} PRIVATE
    <torch/types.h>
    <algorithm> <array> <atomic> <chrono> <cmath> <cstdint> <filesystem> <functional> <iostream>
    <map> <memory> <numeric> <optional> <random> <span> <sstream> <string> <string_view> <thread>
    <utility> <vector>)
endfunction()
add_precompiled(gossamer_precompiled)
# Tests take a third less to compile than with -O3.
add_precompiled(gossamer_precompiled_tests -O1)

function(gossamer_own_target target)
  set(precompiled gossamer_precompiled ${ARGN})
  list(GET precompiled -1 precompiled)
  target_link_libraries(${target} PRIVATE gossamer::gossamer gossamer_flags)
  target_compile_options(${target} PRIVATE
                         $<TARGET_PROPERTY:${precompiled},INTERFACE_COMPILE_OPTIONS>)
  target_precompile_headers(${target} REUSE_FROM ${precompiled})
endfunction()
