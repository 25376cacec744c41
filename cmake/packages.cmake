# Libraries outside LLVM, each found once. The runtime uses none of them.
find_package(PkgConfig REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
find_path(HONE_XXHASH_INCLUDE xxhash.h REQUIRED)  # header-only use (XXH_INLINE_ALL)
find_package(Threads REQUIRED)
find_path(HONE_GLPK_INCLUDE glpk.h REQUIRED)  # no pkg-config file in Debian
find_library(HONE_GLPK_LIBRARY glpk REQUIRED)
add_library(hone::jansson ALIAS PkgConfig::JANSSON)
add_library(hone::utf8proc ALIAS PkgConfig::UTF8PROC)
add_library(hone::glpk INTERFACE IMPORTED)
target_include_directories(hone::glpk INTERFACE ${HONE_GLPK_INCLUDE})
target_link_libraries(hone::glpk INTERFACE ${HONE_GLPK_LIBRARY})
