# SPDX-License-Identifier: MIT
# find_package(gossamer): what the headers need, then the target gossamer::gossamer.
include(CMakeFindDependencyMacro)
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
find_dependency(Torch)
find_dependency(Asio 1.22)
find_dependency(spdlog)
find_dependency(Threads)
list(REMOVE_ITEM CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
include(${CMAKE_CURRENT_LIST_DIR}/gossamerTargets.cmake)
