# LLVM and MLIR 22 from /usr/lib/llvm-22. PATH is never asked: Debian's default lld and clang are too old.
set(HONE_LLVM_ROOT /usr/lib/llvm-22 CACHE PATH "Prefix of LLVM/MLIR 22")
set(HONE_LLVM_BIN ${HONE_LLVM_ROOT}/bin)
if(NOT EXISTS ${HONE_LLVM_ROOT}/include/mlir-c/IR.h OR NOT EXISTS ${HONE_LLVM_BIN}/ld.lld)
  message(FATAL_ERROR "MLIR 22 or lld 22 not found in ${HONE_LLVM_ROOT}: run './dev setup', or install "
    "libmlir-22-dev llvm-22-dev lld-22 mlir-22-tools")
endif()

file(GLOB HONE_MLIR_CAPI ${HONE_LLVM_ROOT}/lib/libMLIRCAPI*.a)
list(FILTER HONE_MLIR_CAPI EXCLUDE REGEX ExecutionEngine)
list(SORT HONE_MLIR_CAPI)
add_library(hone_mlir INTERFACE)
add_library(hone::mlir ALIAS hone_mlir)
target_include_directories(hone_mlir SYSTEM INTERFACE ${HONE_LLVM_ROOT}/include)
target_link_directories(hone_mlir INTERFACE ${HONE_LLVM_ROOT}/lib)
target_link_libraries(hone_mlir INTERFACE -Wl,--start-group ${HONE_MLIR_CAPI} -Wl,--end-group
  MLIR LLVM-22 stdc++ m dl)
target_link_options(hone_mlir INTERFACE -Wl,-rpath,${HONE_LLVM_ROOT}/lib -Wl,--gc-sections)
