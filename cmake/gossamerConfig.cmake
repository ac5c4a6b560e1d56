# SPDX-License-Identifier: MIT
# find_package(gossamer): what the headers need, then the target gossamer::gossamer. With
# COMPONENTS tcp: OpenSSL too, then gossamer::tcp, which brings both.
include(CMakeFindDependencyMacro)
list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
set(kineto_LIBRARY unused)  # else Debian's LibTorch 2 warns of a library that nobody needs
find_dependency(Torch)
unset(kineto_LIBRARY)
find_dependency(Asio 1.22)
find_dependency(spdlog)
find_dependency(Threads)
if(tcp IN_LIST gossamer_FIND_COMPONENTS)
  find_dependency(OpenSSL 3.0 COMPONENTS SSL)
endif()
list(REMOVE_ITEM CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
include(${CMAKE_CURRENT_LIST_DIR}/check_abi.cmake)
gossamer_check_abi(spdlog)
include(${CMAKE_CURRENT_LIST_DIR}/gossamerTargets.cmake)
set(gossamer_tcp_FOUND FALSE)  # gossamer::tcp was exported only if OpenSSL was there
if(TARGET gossamer::tcp AND TARGET OpenSSL::SSL)
  set(gossamer_tcp_FOUND TRUE)
endif()
if(gossamer_FIND_REQUIRED_tcp AND NOT gossamer_tcp_FOUND)
  set(gossamer_FOUND FALSE)
  set(gossamer_NOT_FOUND_MESSAGE "gossamer::tcp needs OpenSSL 3, here and where gossamer was installed")
endif()
