// Object code of a set of kernels for one instruction set level: MLIR module, lowering, LLVM, ELF
// object in memory. It does not link. Deterministic: equal inputs give equal bytes, and no path of
// this machine is in them. Thread rule: the session's thread; sessions of their own on several
// threads are fine.
#ifndef HONE_CODEGEN_CPU_OBJECT_H
#define HONE_CODEGEN_CPU_OBJECT_H

#include "base/text.h"
#include "codegen/cpu/isa.h"
#include "codegen/kernel.h"
#include "ir/session.h"

typedef struct hone_cpu_kernel {
  hone_kernel_spec_t spec;
  const char *symbol;  // unique within one object; global and hidden in the ELF file
} hone_cpu_kernel_t;

typedef enum hone_cpu_emit {
  HONE_CPU_EMIT_OBJECT,  // relocatable ELF, position-independent, one section per kernel
                         // (.text.SYMBOL)
  HONE_CPU_EMIT_MLIR,    // text: the kernels as emitted, before lowering
  HONE_CPU_EMIT_LLVM,    // text: LLVM IR after optimisation
  HONE_CPU_EMIT_ASM,     // text: assembly
} hone_cpu_emit_t;

// Appends the result to *out. HONE_UNSUPPORTED: a specification the families cannot serve (nothing
// is appended).
HONE_MUST_CHECK bool hone_cpu_object_build(ir_session_t *session, const hone_cpu_isa_t *isa,
                                           const hone_cpu_kernel_t *kernels, size_t count,
                                           hone_cpu_emit_t form, hone_buffer_t *out,
                                           hone_status_t *status);

// Makes LLVM's x86 targets known, once; hone_cpu_object_build does it too.
void hone_cpu_llvm_initialise(void);

#endif
