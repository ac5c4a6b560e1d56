# SPDX-License-Identifier: MIT
# `cmake --install`, for `find_package(gossamer)` and `pkg-config gossamer`.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/gossamer)
write_basic_package_version_file(gossamerConfigVersion.cmake COMPATIBILITY SameMinorVersion
                                 ARCH_INDEPENDENT)
install(TARGETS gossamer EXPORT gossamerTargets FILE_SET HEADERS)
if(TARGET gossamer_tcp)
  set(apart gossamer/distributed/join_run.cpp)
  target_sources(gossamer_distributed INTERFACE
    $<INSTALL_INTERFACE:$<INSTALL_PREFIX>/${CMAKE_INSTALL_INCLUDEDIR}/${apart}>)
  install(TARGETS gossamer_tcp gossamer_distributed EXPORT gossamerTargets)
  install(FILES include/${apart} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/gossamer/distributed)
endif()
if(TARGET gossamer_mpi)
  install(TARGETS gossamer_mpi EXPORT gossamerTargets FILE_SET HEADERS)
endif()
install(EXPORT gossamerTargets NAMESPACE gossamer:: DESTINATION ${package_dir})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/gossamerConfigVersion.cmake
              ${CMAKE_CURRENT_LIST_DIR}/gossamerConfig.cmake
              ${CMAKE_CURRENT_LIST_DIR}/check_abi.cmake
              ${CMAKE_CURRENT_LIST_DIR}/python_torch.cmake
              ${CMAKE_CURRENT_LIST_DIR}/FindAsio.cmake
        DESTINATION ${package_dir})

# LibTorch and Asio have no pkg-config files, so ours says where CMake found them; spdlog has one.
set(pc_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH to_include /${pc_dir} /${CMAKE_INSTALL_INCLUDEDIR})
add_library(gossamer_needs INTERFACE)
target_link_libraries(gossamer_needs INTERFACE torch asio::asio)
set(include_dirs $<TARGET_PROPERTY:gossamer_needs,INTERFACE_INCLUDE_DIRECTORIES>)
set(include_dirs $<REMOVE_DUPLICATES:$<PATH:NORMAL_PATH,${include_dirs}>>)
set(definitions $<TARGET_PROPERTY:gossamer_needs,INTERFACE_COMPILE_DEFINITIONS>)
set(definitions $<REMOVE_DUPLICATES:${definitions}>)
set(cflags "-I\${includedir} -I$<JOIN:${include_dirs}, -I> -D$<JOIN:${definitions}, -D>")
set(lib_dir $<TARGET_FILE_DIR:torch>)
set(is_system_dir $<IN_LIST:${lib_dir},${CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES}>)
set(torch_libraries "-ltorch -ltorch_cpu -lc10")
if(TARGET torch_cuda)
  string(APPEND torch_libraries " -Wl,--no-as-needed -ltorch_cuda -lc10_cuda -Wl,--as-needed")
endif()
file(GENERATE OUTPUT gossamer.pc CONTENT "includedir=\${pcfiledir}/${to_include}

Name: gossamer
Description: ${PROJECT_DESCRIPTION}
Version: ${PROJECT_VERSION}
Requires: spdlog
Cflags: ${cflags} ${TORCH_CXX_FLAGS}
Libs: -L${lib_dir} $<$<NOT:${is_system_dir}>:-Wl,-rpath,${lib_dir} >${torch_libraries} -pthread
")
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/gossamer.pc DESTINATION ${pc_dir})
