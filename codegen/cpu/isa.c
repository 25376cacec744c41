// The table of instruction set levels, and what the host has. No code generation.
#include "codegen/cpu/isa.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <string.h>

static const hone_cpu_isa_t levels[] = {
#define ISA(name, ENUM, lanes, bytes, registers, vnni, cpu, features, summary) \
  {#name, lanes, bytes, registers, vnni, "x86_64-unknown-linux-gnu", cpu, features, summary},
#include "codegen/cpu/isa.def"
#undef ISA
};

size_t hone_cpu_isa_count(void) { return HONE_CPU_ISA_COUNT; }

const hone_cpu_isa_t *hone_cpu_isa_at(size_t index) {
  return index < HONE_CPU_ISA_COUNT ? &levels[index] : NULL;
}

const hone_cpu_isa_t *hone_cpu_isa_find(const char *name) {
  for (size_t i = 0; i < HONE_CPU_ISA_COUNT; i++) {
    if (strcmp(levels[i].name, name) == 0) return &levels[i];
  }
  return NULL;
}

#if defined(__x86_64__)
// Asked by cpuid: clang's __builtin_cpu_supports does not know the name.
static bool has_f16c(void) {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

bool hone_cpu_isa_present(const hone_cpu_isa_t *isa) {
#if defined(__x86_64__)
  bool base = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
              __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
              __builtin_cpu_supports("popcnt") && has_f16c();
  if (isa == &levels[HONE_CPU_ISA_AVX2]) return base;
  if (isa == &levels[HONE_CPU_ISA_AVX512]) {
    return base && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
  }
#else
  (void)isa;
#endif
  return false;
}
