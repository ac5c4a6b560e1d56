# SPDX-License-Identifier: MIT
# `cmake --install` and `find_package(gossamer)`.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/gossamer)
write_basic_package_version_file(gossamerConfigVersion.cmake COMPATIBILITY SameMinorVersion
                                 ARCH_INDEPENDENT)
install(TARGETS gossamer EXPORT gossamerTargets FILE_SET HEADERS)
install(EXPORT gossamerTargets NAMESPACE gossamer:: DESTINATION ${package_dir})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/gossamerConfigVersion.cmake
              ${CMAKE_CURRENT_LIST_DIR}/gossamerConfig.cmake
              ${CMAKE_CURRENT_LIST_DIR}/FindAsio.cmake
        DESTINATION ${package_dir})
