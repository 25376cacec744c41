# hone_unit_test(ROOM/NAME LIBS TARGET...): builds tests/unit/ROOM/NAME.c with cmocka and registers it, label "unit".
# hone_test_environment(TEST LABEL): the label and the environment every test runs in.

function(hone_test_environment test label)
  set_property(TEST ${test} APPEND PROPERTY LABELS ${label})
  set_property(TEST ${test} PROPERTY TIMEOUT 600)
  set_property(TEST ${test} APPEND PROPERTY ENVIRONMENT
    "HONE_SOURCE_DIR=${CMAKE_SOURCE_DIR}"
    "HONE_LLVM_BIN=${HONE_LLVM_BIN}"
    "XDG_DATA_HOME=${CMAKE_BINARY_DIR}/no-data"  # no tuning database of the developer's
    "XDG_CACHE_HOME=${CMAKE_BINARY_DIR}/test-cache"  # kernels that one test builds serve the next
    "ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1"
    "LSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/cmake/lsan.supp:print_suppressions=0"
    "UBSAN_OPTIONS=print_stacktrace=1")
endfunction()

function(hone_unit_test name)
  cmake_parse_arguments(UNIT "" "" "LIBS" ${ARGN})
  string(REPLACE "/" "_" target "unit_${name}")
  add_executable(${target} ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../unit/${name}.c)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/base/include
    ${CMAKE_SOURCE_DIR}/runtime/include)
  target_link_libraries(${target} PRIVATE ${UNIT_LIBS} PkgConfig::CMOCKA Threads::Threads m)
  add_test(NAME unit/${name} COMMAND ${target})
  hone_test_environment(unit/${name} unit)
endfunction()
