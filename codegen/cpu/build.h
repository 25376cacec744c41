// Objects of many kernels: one object per kernel and instruction set level, taken from the object
// cache or built, by several threads. Equal kernels give equal bytes whether cached or not.
// Thread rule: the session's thread; it starts threads of its own.
#ifndef HONE_CODEGEN_CPU_BUILD_H
#define HONE_CODEGEN_CPU_BUILD_H

#include "base/diagnostic.h"
#include "codegen/cpu/object.h"

typedef struct hone_cpu_build {
  const hone_cpu_isa_t *isa;
  hone_kernel_spec_t spec;
  const char *name;      // of the specification (hone_kernel_spec_name)
  const char *symbol;    // hone_cpu_symbol of it
  hone_buffer_t object;  // appended to; the caller's to deinit
} hone_cpu_build_t;

typedef struct hone_cpu_build_job {
  ir_session_t *session;
  hone_cpu_build_t *items;  // (count)
  size_t count;
  int64_t threads;                  // 0: as many as there are CPUs
  const char *cache;                // folder of objects, or NULL
  uint64_t cache_bytes;             // its bound
  hone_diagnostics_t *diagnostics;  // told once if the cache cannot be used
} hone_cpu_build_job_t;

// "hone_avx512_gemv_0123456789abcdef": names a kernel by what it is, so that its object is the same
// in every model.
const char *hone_cpu_symbol(const hone_cpu_isa_t *isa, hone_family_t family, const char *name,
                            hone_arena_t *arena);
// Errors are those of the first item that fails, whatever the number of threads.
HONE_MUST_CHECK bool hone_cpu_build_run(const hone_cpu_build_job_t *job, hone_status_t *status);

#endif
