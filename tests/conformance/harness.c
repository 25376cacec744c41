// See harness.h.
#include "tests/conformance/harness.h"

#include <dlfcn.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the headers above first.
#include <cmocka.h>

#include "base/file.h"
#include "codegen/cpu/linear_block.h"
#include "codegen/cpu/object.h"
#include "codegen/link/link.h"
#include "runtime/cpu.h"

enum { CANARY_BYTES = 256, PATTERN = 0xA5 };

bench_t *bench_create(void) {
  hone_arena_t *arena = hone_arena_create();
  hone_status_t status = {0};
  bench_t *bench = HONE_NEW(arena, bench_t);
  bench->arena = arena;
  if (!hone_scratch_create(arena, &bench->folder, &status)) fail_msg("%s", status.message);
  return bench;
}

void bench_destroy(bench_t *bench) {
  for (size_t i = 0; i < bench->isa_count; i++) {
    if (bench->isa[i].handle) dlclose(bench->isa[i].handle);
  }
  hone_scratch_remove(bench->folder);
  hone_arena_destroy(bench->arena);
}

size_t bench_add(bench_t *bench, const hone_kernel_spec_t *spec) {
  size_t index = bench->specs.count;
  hone_list_push(bench->arena, &bench->specs, *spec);
  hone_list_push(bench->arena, &bench->symbols,
                 hone_arena_format(bench->arena, "tested_%zu", index));
  return index;
}

static bool is_own(const bench_t *bench, size_t isa, size_t kernel) {
  const hone_cpu_isa_t *level = bench->isa[isa].isa;
  return hone_cpu_kernel_level(&bench->specs.items[kernel], level) == level;
}

static void load_kernels(bench_t *bench, size_t isa, const char *path) {
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) fail_msg("%s", dlerror());
  bench->isa[isa].handle = handle;
  for (size_t i = 0, own = 0; i < bench->specs.count; i++) {
    if (!is_own(bench, isa, i)) continue;
    void *symbol = dlsym(handle, hone_arena_format(bench->arena, "kernel_%zu", own++));
    assert_non_null(symbol);
    memcpy(&bench->isa[isa].kernels[i], &symbol, sizeof symbol);
  }
}

static void build_own(bench_t *bench, ir_session_t *session, size_t index,
                      const hone_cpu_kernel_t *kernels, const char *const *symbols, size_t count) {
  const hone_cpu_isa_t *isa = bench->isa[index].isa;
  hone_status_t status = {0};
  hone_buffer_t object = {0};
  if (!hone_cpu_object_build(session, isa, kernels, count, HONE_CPU_EMIT_OBJECT, &object, &status))
    fail_msg("%s (%s)", status.message, ir_session_error(session));
  const hone_slice_t objects = {object.data, object.bytes};
  const hone_link_kernels_t job = {
      .scratch = bench->folder,
      .name = hone_arena_format(bench->arena, "%s.so", isa->name),
      .objects = &objects,
      .object_count = 1,
      .symbols = symbols,
      .symbol_count = count,
  };
  const char *library;
  if (!hone_link_kernels(&job, bench->arena, &library, &status)) fail_msg("%s", status.message);
  printf("%s: %zu kernels, object of %zu bytes, %s\n", isa->name, count, object.bytes,
         bench->isa[index].present ? "run here"
                                   : "compiled and linked only: this machine lacks the level");
  if (bench->isa[index].present) load_kernels(bench, index, library);
  hone_buffer_deinit(&object);
}

// The level's own kernels; the others are those of the level it builds on, which come first.
static void build_isa(bench_t *bench, ir_session_t *session, size_t index) {
  const hone_cpu_isa_t *isa = hone_cpu_isa_at(index);
  size_t count = 0, base = 0;
  hone_cpu_kernel_t *kernels = HONE_NEW_ARRAY(bench->arena, hone_cpu_kernel_t, bench->specs.count);
  const char **symbols = HONE_NEW_ARRAY(bench->arena, const char *, bench->specs.count);
  bench->isa[index].isa = isa;
  bench->isa[index].kernels = HONE_NEW_ARRAY(bench->arena, hone_kernel_fn *, bench->specs.count);
  while (hone_cpu_isa_at(base) != isa->base) base++;
  for (size_t i = 0; i < bench->specs.count; i++) {
    if (!is_own(bench, index, i)) {
      bench->isa[index].kernels[i] = bench->isa[base].kernels[i];
      continue;
    }
    symbols[count] = bench->symbols.items[i];
    kernels[count++] = (hone_cpu_kernel_t){bench->specs.items[i], bench->symbols.items[i]};
  }
  bench->isa[index].present = count > 0 && hone_cpu_has(isa->name, NULL, 0);
  if (count)
    build_own(bench, session, index, kernels, symbols, count);
  else
    printf("%s: no kernels of its own\n", isa->name);
}

void bench_build(bench_t *bench) {
  hone_status_t status = {0};
  ir_session_t *session = NULL;
  if (!ir_session_create(NULL, &session, &status)) fail_msg("%s", status.message);
  bench->isa_count = hone_cpu_isa_count();
  assert_true(bench->isa_count <= ISA_LIMIT);
  for (size_t i = bench->isa_count; i-- > 0;) build_isa(bench, session, i);
  ir_session_destroy(session);
}

// ---- memory
region_t region_create(size_t bytes) {
  size_t whole = (bytes + 2 * CANARY_BYTES + 63) / 64 * 64;
  uint8_t *memory = aligned_alloc(64, whole);
  assert_non_null(memory);
  memset(memory, PATTERN, whole);
  return (region_t){memory + CANARY_BYTES, bytes};
}

void region_destroy(region_t *region) {
  if (region->data) free(region->data - CANARY_BYTES);
  *region = (region_t){0};
}

region_t region_copy(const region_t *from) {
  region_t copy = region_create(from->bytes);
  memcpy(copy.data, from->data, from->bytes);
  return copy;
}

void region_check(const region_t *region, const char *what) {
  for (size_t i = 0; i < CANARY_BYTES; i++) {
    if (region->data[-1 - (ptrdiff_t)i] != PATTERN)
      fail_msg("%s: wrote %zu bytes before its output", what, i + 1);
    if (region->data[region->bytes + i] != PATTERN)
      fail_msg("%s: wrote %zu bytes past its output", what, i + 1);
  }
}

// ---- running
int64_t bench_units(const hone_kernel_spec_t *spec, int64_t M) {
  uint32_t count = 0, rows = 0;
  hone_kernel_spec_units(spec, &count, &rows);
  return count * (rows ? (M + rows - 1) / rows : 1);
}

const char *bench_name(const bench_t *bench, size_t isa, size_t kernel) {
  const char *name = hone_kernel_spec_name(&bench->specs.items[kernel], bench->arena);
  return hone_arena_format(bench->arena, "%s on %s", name, bench->isa[isa].isa->name);
}

// Pieces of 1, 2, 3, ... units, the last piece first.
static void run_pieces(hone_kernel_fn *kernel, const hone_kernel_args_t *args, int64_t units) {
  int64_t piece = 1;
  for (int64_t end = units; end > 0; piece = piece % 7 + 1) {
    int64_t begin = end > piece ? end - piece : 0;
    kernel(args, begin, end);
    end = begin;
  }
}

void bench_run(const bench_t *bench, size_t isa, size_t kernel, const hone_kernel_args_t *args,
               const outputs_t *outputs) {
  const char *name = bench_name(bench, isa, kernel);
  hone_kernel_fn *call = bench->isa[isa].kernels[kernel];
  int64_t units = bench_units(&bench->specs.items[kernel], args->M);
  hone_kernel_args_t pieces = *args;
  region_t copies[CHECK_LIMIT];
  for (size_t i = 0; i < outputs->count; i++) {
    copies[i] = region_copy(outputs->regions[i]);
    for (int p = 0; p < HONE_KERNEL_POINTERS; p++) {  // in place: an input may be the same memory
      if (args->ptr[p] == args->ptr[outputs->positions[i]]) pieces.ptr[p] = copies[i].data;
    }
  }
  call(args, 0, units);
  call(args, units, units);  // nothing
  run_pieces(call, &pieces, units);
  for (size_t i = 0; i < outputs->count; i++) {
    region_check(outputs->regions[i], name);
    region_check(&copies[i], name);
    if (memcmp(copies[i].data, outputs->regions[i]->data, copies[i].bytes) != 0) {
      fail_msg("%s: M = %ld: splitting the units changes the result", name, (long)args->M);
    }
    region_destroy(&copies[i]);
  }
}

typedef struct call {
  hone_kernel_fn *kernel;
  const hone_kernel_args_t *args;
} call_t;

static void call_piece(void *data, int64_t begin, int64_t end) {
  const call_t *call = data;
  call->kernel(call->args, begin, end);
}

void bench_run_threads(const bench_t *bench, size_t isa, size_t kernel,
                       const hone_kernel_args_t *args, hone_pool_t *pool) {
  call_t call = {bench->isa[isa].kernels[kernel], args};
  hone_pool_run(pool, 0, bench_units(&bench->specs.items[kernel], args->M), call_piece, &call);
}

// ---- numbers
uint32_t random_bits(uint64_t *state) {  // splitmix64
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (uint32_t)(z >> 32);
}

float random_real(uint64_t *state) {
  return ((float)(random_bits(state) >> 8) + 0.5f) / 8388608.0f - 1.0f;
}

void check_close(double got, double want, double tolerance, const char *what, size_t row,
                 size_t column) {
  if (fabs(got - want) <= tolerance) return;
  fail_msg("%s: row %zu column %zu is %.9g, should be %.9g within %.3g", what, row, column, got,
           want, tolerance);
}
