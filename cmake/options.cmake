# Compiler options shared by every target.
option(HONE_WERROR "Treat warnings as errors" OFF)
option(HONE_FUZZ "Build tests/fuzz as libFuzzer programs (clang)" OFF)
set(HONE_SANITIZE "" CACHE STRING "Sanitizers for our own code, e.g. address,undefined")

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wshadow -Wvla -Wpointer-arith -Wwrite-strings
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes> $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>
  -Wno-missing-field-initializers -fno-common -ffunction-sections -fdata-sections
  # Same input, same bytes: no machine paths in what we build.
  "-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=")
# Numerics are part of the contract: what a * b + c rounds to must not depend on the compiler.
add_compile_options(-ffp-contract=off)
if(HONE_WERROR)
  add_compile_options(-Werror)
endif()
if(HONE_SANITIZE)
  add_compile_options(-fsanitize=${HONE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${HONE_SANITIZE})
endif()
if(HONE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
include_directories(${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/base/include)
