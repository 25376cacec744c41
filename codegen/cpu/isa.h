// x86-64 instruction set levels as parameters of the kernels: how wide a vector is and what LLVM
// may use. The table is isa.def. Thread rule: const data.
#ifndef HONE_CODEGEN_CPU_ISA_H
#define HONE_CODEGEN_CPU_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum hone_cpu_isa_level {
#define ISA(name, ENUM, ...) HONE_CPU_ISA_##ENUM,
#include "codegen/cpu/isa.def"
#undef ISA
  HONE_CPU_ISA_COUNT
} hone_cpu_isa_level_t;

typedef struct hone_cpu_isa {
  const char *name;    // "avx512"
  uint32_t lanes;      // f32 lanes of a vector
  uint32_t bytes;      // int8 lanes of a vector
  uint32_t registers;  // vector registers
  bool vnni;
  const char *triple;
  const char *cpu;       // LLVM processor
  const char *features;  // LLVM feature string
  const char *summary;
} hone_cpu_isa_t;

size_t hone_cpu_isa_count(void);
const hone_cpu_isa_t *hone_cpu_isa_at(size_t index);        // best first
const hone_cpu_isa_t *hone_cpu_isa_find(const char *name);  // NULL if there is none
// Whether the machine this runs on has every feature of the level.
bool hone_cpu_isa_present(const hone_cpu_isa_t *isa);

#endif
