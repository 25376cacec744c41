// An analytic prior: how long a kernel takes, from a roofline of bytes and cycles. It ranks
// families and schedules before anything was measured; constants are cost.def. Thread rule: pure
// functions.
#ifndef HONE_CODEGEN_CPU_COST_H
#define HONE_CODEGEN_CPU_COST_H

#include "codegen/cpu/isa.h"
#include "codegen/kernel.h"

typedef struct hone_cpu_facts {  // of a class of machines: rows MACHINE of cost.def
  const char *name;
  double ghz, core_gbs, asked_gbs, ahead_lines, beside, socket_gbs;
  uint32_t l2_kib;
  double barrier_ns;
  uint32_t threads;
  const char *summary;
} hone_cpu_facts_t;

typedef struct hone_cpu_cost {
  double ns;         // memory and compute overlap: the larger one, and what the other adds
  double memory_ns;  // time the bytes alone take
  double compute_ns;
} hone_cpu_cost_t;

// The class that selection assumes where nothing was measured.
const hone_cpu_facts_t *hone_cpu_facts_default(void);
// Of gemv, flat, gemm, attend_decode and attend_prefill for M rows on `threads` threads; attention
// over 512 keys, split as it is best for 4096. Other families: zeros.
hone_cpu_cost_t hone_cpu_cost(const hone_kernel_spec_t *spec, const hone_cpu_isa_t *isa,
                              const hone_cpu_facts_t *facts, uint64_t M, uint32_t threads);

#endif
