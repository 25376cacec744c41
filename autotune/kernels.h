// Kernels as functions of this process: built for one instruction set level, linked by ld.lld and
// loaded. Thread rule: one thread.
#ifndef HONE_AUTOTUNE_KERNELS_H
#define HONE_AUTOTUNE_KERNELS_H

#include "base/artefact.h"
#include "codegen/cpu/isa.h"
#include "codegen/kernel.h"
#include "ir/session.h"

typedef struct hone_kernels hone_kernels_t;
HONE_MUST_CHECK bool hone_kernels_create(hone_kernels_t **out_kernels, hone_status_t *status);
void hone_kernels_destroy(hone_kernels_t *kernels);

// Compiles a kernel unless it is known; HONE_UNSUPPORTED where there is none such.
HONE_MUST_CHECK bool hone_kernels_build(hone_kernels_t *kernels, const hone_kernel_spec_t *spec,
                                        const hone_cpu_isa_t *isa, hone_status_t *status);
// Links and loads all that were built since the last call; files lie in `scratch` only meanwhile.
HONE_MUST_CHECK bool hone_kernels_load(hone_kernels_t *kernels, const char *scratch,
                                       hone_status_t *status);
// NULL unless it was built and loaded.
hone_kernel_fn *hone_kernels_find(const hone_kernels_t *kernels, const hone_kernel_spec_t *spec,
                                  const hone_cpu_isa_t *isa);

#endif
