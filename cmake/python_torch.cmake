# SPDX-License-Identifier: MIT
# A LibTorch that is not the system's, Python's above all, brings what hides the system's own. It
# lies beside the installed package config too.
#
#   gossamer_put_system_first(TARGET)   who links TARGET compiles and links as if it did not
function(gossamer_put_system_first target)
  # Headers of another fmt than the one that spdlog was built with (seen in 2.11).
  if(TARGET fmt::fmt)  # else spdlog has its own, under another name
    get_target_property(torch_dirs torch INTERFACE_INCLUDE_DIRECTORIES)
    get_target_property(fmt_dirs fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
    foreach(dirs torch_dirs fmt_dirs)
      unset(${dirs}_fmt)
      find_path(${dirs}_fmt fmt/format.h PATHS ${${dirs}} NO_DEFAULT_PATH NO_CACHE)
    endforeach()
    if(torch_dirs_fmt AND fmt_dirs_fmt AND NOT torch_dirs_fmt STREQUAL fmt_dirs_fmt)
      # A link, since compilers ignore a wish to search /usr/include earlier than they do.
      set(first ${CMAKE_BINARY_DIR}/gossamer_first)
      file(MAKE_DIRECTORY ${first})
      file(CREATE_LINK ${fmt_dirs_fmt}/fmt ${first}/fmt SYMBOLIC)
      target_include_directories(${target} BEFORE INTERFACE $<BUILD_INTERFACE:${first}>)
    endif()
  endif()
  # Functions of the standard library, std::filesystem::remove_all for one, which crash in a program
  # that was built with a newer one (seen in 2.11 with g++ 13): libstdc++ is to be searched first.
  get_target_property(torch_library torch LOCATION)
  cmake_path(GET torch_library PARENT_PATH dir)
  if(CMAKE_SYSTEM_NAME STREQUAL "Linux" AND NOT dir IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
    target_link_options(${target} INTERFACE
      "$<BUILD_INTERFACE:LINKER:--push-state,--no-as-needed,-lstdc++,--pop-state>")
  endif()
endfunction()
