// Dataflow text: which kernel family an op uses for how many rows, as phase 5 writes it into the
// attribute `hone.dataflow` and lowering reads it.
//
//   gemv unroll=2 < 2, gemm tokens=6
//   entry { "," entry };  entry = FAMILY { KEY "=" NUMBER } [ "<" ROWS ]
// Bounds grow; every entry but the last has one. Keys: codegen/schedules.def. Thread rule: pure
// functions.
#ifndef HONE_CODEGEN_PLAN_FLOW_H
#define HONE_CODEGEN_PLAN_FLOW_H

#include "codegen/kernel.h"

typedef struct hone_flow_choice {
  hone_family_t family;
  hone_schedule_t schedule;
  uint32_t below;  // UINT32_MAX in the last entry
} hone_flow_choice_t;

// At most HONE_FLOW_LIMIT entries. HONE_INVALID names what is wrong and where.
HONE_MUST_CHECK bool hone_flow_parse(const char *text, hone_flow_choice_t *out_choices,
                                     size_t *out_count, hone_status_t *status);
// The family of a name; false if there is none.
bool hone_family_find(const char *name, hone_family_t *out_family);

#endif
