# SPDX-License-Identifier: MIT
# find_package(gossamer): what the headers need, then the target gossamer::gossamer.
include(CMakeFindDependencyMacro)
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
set(kineto_LIBRARY unused)  # else Debian's LibTorch 2 warns of a library that nobody needs
find_dependency(Torch)
unset(kineto_LIBRARY)
find_dependency(Asio 1.22)
find_dependency(spdlog)
find_dependency(Threads)
list(REMOVE_ITEM CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
include(${CMAKE_CURRENT_LIST_DIR}/check_abi.cmake)
gossamer_check_abi(spdlog)
include(${CMAKE_CURRENT_LIST_DIR}/gossamerTargets.cmake)
