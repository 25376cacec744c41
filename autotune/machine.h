// What a measurement depends on besides the problem: the processor and the compiler that made the
// code, as text. Both are parts of the key of every record. Thread rule: any thread.
#ifndef HONE_AUTOTUNE_MACHINE_H
#define HONE_AUTOTUNE_MACHINE_H

#include "base/arena.h"

// "Intel(R) Xeon(R) Processor 6-207-2 features 1f2e3d4c": model name, family, model, stepping and a
// hash of the feature flags. "unknown" where the system does not tell.
const char *hone_machine_cpu(hone_arena_t *arena);
// "hone 0.1.0 LLVM 22.1.8 space 1".
const char *hone_machine_compiler(hone_arena_t *arena);

#endif
