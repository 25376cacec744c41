// What this machine's CPU offers: instruction-set levels and how many CPUs this process may use.
// Thread rule: any thread; nothing is cached.
#ifndef HONE_RUNTIME_CPU_H
#define HONE_RUNTIME_CPU_H

#include <stddef.h>
#include <stdint.h>

#include "hone/status.h"

// Instruction-set levels that kernels are built for. A level is a set of CPU features that the
// operating system also has to save on a task switch.
//   avx2    AVX, AVX2, FMA, F16C, BMI1, BMI2, LZCNT, POPCNT
//   avx512  avx2 and AVX-512 F, BW, DQ, VL, VNNI
//   amx     avx512 and AMX TILE, INT8; Linux lets a process use tiles only if it asks to

// True if this CPU and operating system have the level `isa`; else writes what is missing ("fma,
// f16c") to out_missing (`limit` bytes, terminated if there are any; NULL and 0: not wanted). An
// unknown name is missing itself. Asking for amx asks Linux to let this process, all its threads
// and its children use tiles; a thread with a signal stack too small for them makes Linux refuse.
bool hone_cpu_has(const char *isa, char *out_missing, size_t limit);

// CPUs this process may use: its affinity mask, cut to the control group's quota; at least 1.
uint32_t hone_cpu_count(void);

#endif
