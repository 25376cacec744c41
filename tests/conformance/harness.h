// Builds kernels, links them into a shared object and runs them: whole and in splits, between
// canaries. It knows nothing of what kernels compute. Thread rule: one thread.
#ifndef HONE_TESTS_CONFORMANCE_HARNESS_H
#define HONE_TESTS_CONFORMANCE_HARNESS_H

#include "base/arena.h"
#include "codegen/cpu/isa.h"
#include "codegen/kernel.h"
#include "runtime/thread_pool.h"

enum { ISA_LIMIT = 4, CHECK_LIMIT = 4 };

typedef struct bench {
  hone_arena_t *arena;
  char *folder;
  HONE_LIST(hone_kernel_spec_t) specs;
  HONE_LIST(const char *) symbols;
  size_t isa_count;
  struct {
    const hone_cpu_isa_t *isa;
    bool present;  // the machine has it, and it has kernels of its own: they were loaded
    void *handle;
    hone_kernel_fn **kernels;
  } isa[ISA_LIMIT];
} bench_t;

bench_t *bench_create(void);
void bench_destroy(bench_t *bench);
// Index of the kernel in every isa[].kernels.
size_t bench_add(bench_t *bench, const hone_kernel_spec_t *spec);
// Compiles and links everything added, for every level, but kernels that levels share once; levels
// the machine lacks are compiled and linked only, and named on stdout. Fails the test on an error
// or an undefined symbol.
void bench_build(bench_t *bench);

// Memory with canaries on both sides, filled with a pattern that no kernel writes by chance.
// 64-aligned.
typedef struct region {
  uint8_t *data;
  size_t bytes;
} region_t;
region_t region_create(size_t bytes);
void region_destroy(region_t *region);
region_t region_copy(const region_t *from);
void region_check(const region_t *region, const char *what);

// Runs `units` of the kernel as one piece, and again from the same start in pieces and backwards;
// the regions a kernel writes (`outputs`, pointed to by args->ptr[i] for i in `positions`) must
// come out equal, canaries untouched.
typedef struct outputs {
  size_t count;
  int positions[CHECK_LIMIT];
  region_t *regions[CHECK_LIMIT];
} outputs_t;
void bench_run(const bench_t *bench, size_t isa, size_t kernel, const hone_kernel_args_t *args,
               const outputs_t *outputs);
// All units, on all threads of the pool.
void bench_run_threads(const bench_t *bench, size_t isa, size_t kernel,
                       const hone_kernel_args_t *args, hone_pool_t *pool);
int64_t bench_units(const hone_kernel_spec_t *spec, int64_t M);
const char *bench_name(const bench_t *bench, size_t isa, size_t kernel);

// ---- numbers, the same on every machine
uint32_t random_bits(uint64_t *state);
float random_real(uint64_t *state);  // in (-1, 1)
// |got - want| <= tolerance, else the test fails naming `what` and the place.
void check_close(double got, double want, double tolerance, const char *what, size_t row,
                 size_t column);

#endif
