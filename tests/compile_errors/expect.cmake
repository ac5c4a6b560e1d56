# SPDX-License-Identifier: MIT
# cmake -D SOURCE=FILE -P expect.cmake -- COMPILER ARGS...
# Succeeds when FILE does not compile and the compiler says the sentence of the file's first line:
#   // expect: SENTENCE
file(READ ${SOURCE} text)
if(NOT text MATCHES "^// expect: ([^\n]+)\n")
  message(FATAL_ERROR "${SOURCE}: the first line must be \"// expect: SENTENCE\"")
endif()
set(sentence "${CMAKE_MATCH_1}")

set(command "")
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(i RANGE ${last})
  if(DEFINED after_dashes)
    list(APPEND command "${CMAKE_ARGV${i}}")
  elseif(CMAKE_ARGV${i} STREQUAL "--")
    set(after_dashes TRUE)
  endif()
endforeach()

execute_process(COMMAND ${command} -fsyntax-only ${SOURCE}
                RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(result EQUAL 0)
  message(FATAL_ERROR "${SOURCE} compiles, but should fail with: ${sentence}")
endif()
string(FIND "${output}" "${sentence}" position)
if(position EQUAL -1)
  message(FATAL_ERROR "${SOURCE}: expected \"${sentence}\", the compiler said:\n${output}")
endif()
