// x86-64 instruction set levels as parameters of the kernels: how wide a vector is and what LLVM
// may use. The table is isa.def. Thread rule: const data.
#ifndef HONE_CODEGEN_CPU_ISA_H
#define HONE_CODEGEN_CPU_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hone/status.h"

typedef enum hone_cpu_isa_level {
#define ISA(name, ENUM, ...) HONE_CPU_ISA_##ENUM,
#include "codegen/cpu/isa.def"
#undef ISA
  HONE_CPU_ISA_COUNT
} hone_cpu_isa_level_t;

typedef struct hone_cpu_isa hone_cpu_isa_t;
struct hone_cpu_isa {
  const char *name;            // "avx512"
  const hone_cpu_isa_t *base;  // whose kernels serve where it has none of its own; itself
  uint32_t lanes;              // f32 lanes of a vector
  uint32_t bytes;              // int8 lanes of a vector
  uint32_t registers;          // vector registers
  bool vnni;
  bool tiles;  // int8 products of 16 x 16 x 64 (AMX)
  const char *triple;
  const char *cpu;       // LLVM processor
  const char *features;  // LLVM feature string
  const char *summary;
};

size_t hone_cpu_isa_count(void);
const hone_cpu_isa_t *hone_cpu_isa_at(size_t index);        // best first
const hone_cpu_isa_t *hone_cpu_isa_find(const char *name);  // NULL if there is none

// Levels that an artefact has kernels for, best first.
typedef struct hone_cpu_levels {
  const hone_cpu_isa_t *items[HONE_CPU_ISA_COUNT];
  size_t count;
} hone_cpu_levels_t;
// Of "avx512,avx2", in any order; NULL: all of them. HONE_INVALID names a word that is no level.
HONE_MUST_CHECK bool hone_cpu_levels_read(const char *text, hone_cpu_levels_t *out,
                                          hone_status_t *status);

#endif
