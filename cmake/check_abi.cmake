# SPDX-License-Identifier: MIT
# LibTorch may be built with libstdc++'s old ABI (Python's torch was, for long); the system's C++
# libraries are not, and the two do not link. It lies beside the installed package config too.
#
#   gossamer_check_abi(PACKAGE)   ends in an error when LibTorch is so and PACKAGE is the system's
function(gossamer_check_abi package)
  if(TORCH_CXX_FLAGS MATCHES "_GLIBCXX_USE_CXX11_ABI=0"
     AND ${package}_DIR MATCHES "^/usr/(lib|share)/")
    message(FATAL_ERROR
      "LibTorch in ${Torch_DIR} is built with _GLIBCXX_USE_CXX11_ABI=0, ${package} in "
      "${${package}_DIR} with 1, so they do not link: set Torch_DIR to a LibTorch built with 1, or "
      "${package}_DIR to a ${package} built with 0")
  endif()
endfunction()
