# hone_fuzz_target(NAME LIBS TARGET...): tests/fuzz/fuzz_NAME.c, which defines LLVMFuzzerTestOneInput, with the seeds in
# tests/fuzz/seeds/NAME.
#
# Usual builds link it with driver.c: a short run, the same on every machine, over the seeds and mutations of them. With
# HONE_FUZZ (preset "fuzz", clang) it becomes a libFuzzer program for `./dev fuzz NAME SECONDS`.
set(HONE_FUZZ_RUNS 3000 CACHE STRING "Mutated inputs per fuzz target in the test suite")

function(hone_fuzz_target name)
  cmake_parse_arguments(FUZZ "" "" "LIBS" ${ARGN})
  set(seeds ${CMAKE_SOURCE_DIR}/tests/fuzz/seeds/${name})
  add_executable(fuzz_${name} ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_${name}.c)
  target_include_directories(fuzz_${name} PRIVATE ${CMAKE_SOURCE_DIR}/runtime/include)
  target_link_libraries(fuzz_${name} PRIVATE ${FUZZ_LIBS} Threads::Threads m)
  if(HONE_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    add_test(NAME fuzz/${name} COMMAND fuzz_${name} -runs=0 ${seeds})
  else()
    target_sources(fuzz_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/fuzz/driver.c)
    add_test(NAME fuzz/${name} COMMAND fuzz_${name} ${HONE_FUZZ_RUNS} ${seeds})
  endif()
  hone_test_environment(fuzz/${name} fuzz)
endfunction()
