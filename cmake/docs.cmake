# SPDX-License-Identifier: MIT
# `docs`: the API reference, in docs/html of the build folder; needs Doxygen. Each warning is an
# error, but that a member of a class goes without a comment, since its name may say all.
configure_file(${CMAKE_CURRENT_LIST_DIR}/Doxyfile.in Doxyfile @ONLY)
set(no_error "Member .* of (class|struct) .* is not documented")
add_custom_target(docs
  COMMAND ${CMAKE_COMMAND} -E rm -rf docs
  COMMAND doxygen Doxyfile
  COMMAND awk "!/${no_error}/ { print; failed = 1 } END { exit failed }" doxygen.log
  WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}
  COMMENT "The API reference: docs/html/index.html"
  VERBATIM)
