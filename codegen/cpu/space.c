// See space.h; the table is space.def.
#include "codegen/cpu/space.h"

#define AXIS(FAMILY, field, ...) static const uint32_t values_##FAMILY##_##field[] = {__VA_ARGS__};
#include "codegen/cpu/space.def"
#undef AXIS

static const hone_cpu_axis_t axes[] = {
#define AXIS(FAMILY, field, ...)                                           \
  {HONE_FAMILY_##FAMILY, HONE_SCHEDULE_##field, values_##FAMILY##_##field, \
   sizeof values_##FAMILY##_##field / sizeof *values_##FAMILY##_##field},
#include "codegen/cpu/space.def"
#undef AXIS
};

size_t hone_cpu_axis_count(void) { return sizeof axes / sizeof *axes; }
const hone_cpu_axis_t *hone_cpu_axis_at(size_t index) {
  return index < hone_cpu_axis_count() ? &axes[index] : NULL;
}
