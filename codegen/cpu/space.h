// The schedules that kernels of the cpu target can have: a table of values per family and field.
// Thread rule: const data.
#ifndef HONE_CODEGEN_CPU_SPACE_H
#define HONE_CODEGEN_CPU_SPACE_H

#include "codegen/kernel.h"

typedef struct hone_cpu_axis {
  hone_family_t family;
  hone_schedule_field_t field;
  const uint32_t *values;  // (count), growing
  size_t count;
} hone_cpu_axis_t;

size_t hone_cpu_axis_count(void);
const hone_cpu_axis_t *hone_cpu_axis_at(size_t index);
// Grows whenever the same schedule may build another kernel than before; part of what identifies a
// measurement.
enum { HONE_CPU_SPACE_VERSION = 4 };

#endif
