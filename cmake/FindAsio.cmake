# SPDX-License-Identifier: MIT
# Finds the standalone Asio (no Boost), which Debian ships without a CMake package, and defines
# asio::asio. It lies beside the installed package config for the same reason.
find_path(Asio_INCLUDE_DIR asio.hpp)
mark_as_advanced(Asio_INCLUDE_DIR)

if(Asio_INCLUDE_DIR)
  # #define ASIO_VERSION 102201 // 1.22.1
  file(STRINGS ${Asio_INCLUDE_DIR}/asio/version.hpp Asio_VERSION REGEX "define ASIO_VERSION ")
  string(REGEX REPLACE ".*// *([0-9.]+).*" "\\1" Asio_VERSION "${Asio_VERSION}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Asio REQUIRED_VARS Asio_INCLUDE_DIR VERSION_VAR Asio_VERSION)

if(Asio_FOUND AND NOT TARGET asio::asio)
  find_package(Threads REQUIRED)
  add_library(asio::asio INTERFACE IMPORTED)
  target_include_directories(asio::asio INTERFACE ${Asio_INCLUDE_DIR})
  target_compile_definitions(asio::asio INTERFACE ASIO_STANDALONE)
  target_link_libraries(asio::asio INTERFACE Threads::Threads)
endif()
