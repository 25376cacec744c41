// Measured times of kernels, as dataflow selection reads them: how they get from the tuning
// database (autotune/) into a compile, which knows nothing of it. Thread rule: values.
#ifndef HONE_CODEGEN_MEASURED_H
#define HONE_CODEGEN_MEASURED_H

#include "base/arena.h"
#include "codegen/kernel.h"

// One candidate of a problem (hone_kernel_problem_name), measured on this class of machine.
typedef struct hone_measured {
  hone_family_t family;
  hone_schedule_t schedule;
  uint32_t M;        // rows of activations
  uint32_t threads;  // that ran it together
  double ns;         // median time of one call
  double spread_ns;  // median absolute deviation of it
} hone_measured_t;

// Gives everything that is known of a problem on an instruction set level ("avx512"); count 0 if
// nothing is. The rows lie in the arena, ordered by M, threads, family and schedule.
typedef bool hone_measured_fn(void *user, const char *problem, const char *isa, hone_arena_t *arena,
                              const hone_measured_t **out_rows, size_t *out_count,
                              hone_status_t *status);

typedef struct hone_measured_source {
  hone_measured_fn *read;  // NULL: nothing was measured
  void *user;
} hone_measured_source_t;

#endif
