# Libraries outside LLVM, each found once. The runtime uses none of them.
find_package(PkgConfig REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
find_path(HONE_XXHASH_INCLUDE xxhash.h REQUIRED)  # header-only use (XXH_INLINE_ALL)
find_package(Threads REQUIRED)
add_library(hone::jansson ALIAS PkgConfig::JANSSON)
add_library(hone::utf8proc ALIAS PkgConfig::UTF8PROC)
