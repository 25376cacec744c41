// Dataflow selection: which family, with which schedule, for how many rows M of a problem on an
// instruction set level. An analytic prior (cost.h), moved by what was measured. Thread rule: pure
// functions.
//
// After FlashDecoding++ (Hong et al., 2024, section 5): a few implementations compete, and a table
// of breakpoints made beforehand says which one runs; nothing is timed at run time.
#ifndef HONE_CODEGEN_CPU_DATAFLOW_H
#define HONE_CODEGEN_CPU_DATAFLOW_H

#include "codegen/cpu/cost.h"
#include "codegen/measured.h"
#include "codegen/plan/flow.h"

// The table is made for M = 1 ... this; the last entry holds beyond it.
enum { HONE_CPU_DATAFLOW_ROWS = 512 };

typedef struct hone_cpu_interval {
  hone_flow_choice_t choice;
  uint32_t M;                        // where the numbers below were taken, within the interval
  double ns, memory_ns, compute_ns;  // expected; the last two by the prior alone
  bool is_measured;                  // ns is a measured time
  double spread_ns;                  // of a measured time
  bool has_rival;
  hone_flow_choice_t rival;  // the best of another family or, if there is none, schedule
  double rival_ns;
} hone_cpu_interval_t;

typedef struct hone_cpu_dataflow {
  hone_cpu_interval_t intervals[HONE_FLOW_LIMIT];
  size_t count;
  uint32_t threads;  // that the numbers are for
} hone_cpu_dataflow_t;

typedef struct hone_cpu_dataflow_job {
  const hone_kernel_spec_t *problem;  // family and schedule do not count
  uint32_t families;                  // that may be chosen: bits 1 << family
  bool is_static;                     // one kernel for every M: the best on the whole
  const hone_cpu_isa_t *isa;
  const hone_cpu_facts_t *facts;
  uint32_t context;             // positions that attention may read, 0: any
  const hone_measured_t *rows;  // (row_count), as hone_measured_fn gives them
  size_t row_count;
} hone_cpu_dataflow_job_t;

// HONE_UNSUPPORTED: none of the families has a kernel for the problem; the message is the last
// refusal.
HONE_MUST_CHECK bool hone_cpu_dataflow_select(const hone_cpu_dataflow_job_t *job,
                                              hone_cpu_dataflow_t *out, hone_status_t *status);
// "gemv prefetch=64 < 2, flat < 16, gemm": what the attribute hone.dataflow holds.
void hone_cpu_dataflow_write(const hone_cpu_dataflow_t *flow, hone_buffer_t *out);
// What a choice is expected to take, by the same rule as selection.
double hone_cpu_dataflow_ns(const hone_cpu_dataflow_job_t *job, const hone_flow_choice_t *choice,
                            uint32_t M);

#endif
