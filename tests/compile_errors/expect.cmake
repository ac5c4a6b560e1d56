# SPDX-License-Identifier: MIT
# cmake -D SOURCE=FILE -P expect.cmake -- COMPILER ARGS...
# Succeeds when FILE does not compile and the compiler says the sentences of its lines
#   // expect: NAME needs: BEGINNING OF THE SENTENCE
# all of them, in this order, and no other "NAME needs:". So a file may hold many mistakes, one per
# sentence, and a sentence that stands for the wrong operation is out of its order.
file(STRINGS ${SOURCE} expected REGEX "^// expect: ")
list(TRANSFORM expected REPLACE "^// expect: " "")

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
                OUTPUT_VARIABLE output ERROR_VARIABLE output)
string(REGEX MATCHALL "error: static[^\n]* needs: [^\n]*" said "${output}")
list(TRANSFORM said REPLACE ".*[ \"]([A-Z][a-z]+ needs: )" "\\1")
foreach(sentence part IN ZIP_LISTS said expected)
  string(FIND "${sentence}" "${part}" position)
  if(NOT position EQUAL 0 OR "${part}" STREQUAL "")
    message(FATAL_ERROR "${SOURCE}: expected \"${part}\", got \"${sentence}\"; the compiler said:\n"
                        "${output}")
  endif()
endforeach()
if(NOT expected)
  message(FATAL_ERROR "${SOURCE}: has no line \"// expect: SENTENCE\"")
endif()
