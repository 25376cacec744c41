// Reads and checks a plan (base/artefact.h). After hone_plan_check every offset and index in it may
// be used without a further look. Thread rule: pure functions.
#ifndef HONE_RUNTIME_PLAN_H
#define HONE_RUNTIME_PLAN_H

#include "base/artefact.h"
#include "hone/status.h"

// Checks the whole plan. `limit_bytes` is how much memory is known to be readable at `plan`.
// Errors: HONE_INVALID for damage (says which field or launch), HONE_UNSUPPORTED for a plan of
// another version.
HONE_MUST_CHECK bool hone_plan_check(const hone_plan_t *plan, uint64_t limit_bytes,
                                     hone_status_t *status);

static inline const void *hone_plan_at(const hone_plan_t *plan, uint64_t offset) {
  return (const char *)plan + offset;
}
static inline const char *hone_plan_string(const hone_plan_t *plan, uint64_t offset) {
  return (const char *)plan + plan->strings + offset;
}
static inline const hone_launch_t *hone_plan_launches(const hone_plan_t *plan) {
  return hone_plan_at(plan, plan->launches);
}
// plan->flow_count flows of the instruction set level `isa` of the image.
static inline const hone_flow_t *hone_plan_flows(const hone_plan_t *plan, uint32_t isa) {
  return (const hone_flow_t *)hone_plan_at(plan, plan->flows) + (size_t)isa * plan->flow_count;
}
static inline const hone_tensor_t *hone_plan_tensors(const hone_plan_t *plan) {
  return hone_plan_at(plan, plan->tensors);
}
static inline const hone_kernel_info_t *hone_plan_kernels(const hone_plan_t *plan) {
  return hone_plan_at(plan, plan->kernels);
}
static inline const double *hone_plan_rope(const hone_plan_t *plan) {
  return hone_plan_at(plan, plan->rope);
}

// Entry of `flow` for M rows, and the number of units there.
static inline uint32_t hone_flow_entry(const hone_flow_t *flow, uint32_t M) {
  uint32_t i = 0;
  while (i + 1 < flow->count && M >= flow->below[i]) ++i;
  return i;
}
static inline int64_t hone_flow_units(const hone_flow_t *flow, uint32_t entry, uint32_t M) {
  uint32_t rows = flow->unit_rows[entry];
  return (int64_t)flow->unit_count[entry] * (rows != 0 ? (M + (uint64_t)rows - 1) / rows : 1);
}

#endif
