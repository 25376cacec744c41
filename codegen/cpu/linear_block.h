// Register blocks of the linear families: what a schedule asks for, cut to what an instruction set
// has registers for. Two schedules of a specification with equal blocks (and equal other fields)
// are the same kernel. Thread rule: pure functions.
#ifndef HONE_CODEGEN_CPU_LINEAR_BLOCK_H
#define HONE_CODEGEN_CPU_LINEAR_BLOCK_H

#include "codegen/cpu/isa.h"
#include "codegen/kernel.h"

// The level whose kernel a specification has on `isa`: that one, or the one it builds on.
const hone_cpu_isa_t *hone_cpu_kernel_level(const hone_kernel_spec_t *spec,
                                            const hone_cpu_isa_t *isa);
// Rows of the tiles that a block's rows lie in.
uint32_t hone_cpu_linear_rows(const hone_kernel_spec_t *spec);
uint32_t hone_cpu_linear_vectors(const hone_kernel_spec_t *spec, const hone_cpu_isa_t *isa);
// Tokens of a block that the registers have room for, 0: not even one.
uint32_t hone_cpu_linear_room(const hone_kernel_spec_t *spec, const hone_cpu_isa_t *isa);
uint32_t hone_cpu_linear_tokens(const hone_kernel_spec_t *spec, const hone_cpu_isa_t *isa);
// Tokens for which gemm decodes weights once.
uint32_t hone_cpu_linear_pass(const hone_kernel_spec_t *spec, const hone_cpu_isa_t *isa);
// Groups of columns that gemm decodes at once, from the schedule's `chunk`: whole folds, or with
// tiles an even part of one.
int64_t hone_cpu_linear_run(const hone_kernel_spec_t *spec, const hone_cpu_isa_t *isa);

// Whether two specifications of one problem build the same kernel, in other words: a block that
// registers have no room for is cut, and a field that is not given has a value.
bool hone_cpu_same_kernel(const hone_kernel_spec_t *a, const hone_kernel_spec_t *b,
                          const hone_cpu_isa_t *isa);

#endif
