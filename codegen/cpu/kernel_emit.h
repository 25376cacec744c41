// From a kernel specification to IR: one function in the arith, vector, scf, func and llvm
// dialects. Thread rule: the builder's thread.
#ifndef HONE_CODEGEN_CPU_KERNEL_EMIT_H
#define HONE_CODEGEN_CPU_KERNEL_EMIT_H

#include "codegen/cpu/isa.h"
#include "codegen/kernel.h"
#include "ir/builder.h"

// Appends `func.func @symbol(%args: !llvm.ptr, %begin: i64, %end: i64)`, the body of a
// hone_kernel_fn, to the block the builder is at (a module's body). HONE_UNSUPPORTED if the
// families of codegen/families.def have no such kernel for this specification: the message says
// what does not fit.
HONE_MUST_CHECK bool hone_cpu_kernel_emit(ir_builder_t *b, const hone_kernel_spec_t *spec,
                                          const hone_cpu_isa_t *isa, const char *symbol,
                                          hone_status_t *status);
// The check that hone_cpu_kernel_emit makes first.
HONE_MUST_CHECK bool hone_cpu_kernel_check(const hone_kernel_spec_t *spec,
                                           const hone_cpu_isa_t *isa, hone_status_t *status);

#endif
